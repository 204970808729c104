-- A batch of messages as one statement; see `Db::write_messages`.
WITH input AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::text[], $9::uuid[])
        WITH ORDINALITY AS i (id, conversation_id, sender_id, message_text, message_type, attachments,
                              client_message_id, temp_id, reply_to, ord)
), locked AS MATERIALIZED (
    SELECT c.id, c.status, c.last_seq FROM conversations c WHERE c.id = ANY($2) ORDER BY c.id FOR NO KEY UPDATE
), present AS MATERIALIZED (
    -- From here on what the locks protect is looked at by functions with a snapshot of their own: the statement's may be
    -- from before what their last holder did, such as reading everything.
    SELECT p.* FROM (SELECT array_agg(id) AS ids FROM locked) l, souk_members_now(l.ids) p
), repeats AS MATERIALIZED (
    SELECT r.* FROM (SELECT count(*) AS n FROM locked) l, souk_repeats_now($10 AND l.n >= 0, $1, $2, $3, $4, $6, $7, $8, $9) r
), quotes AS MATERIALIZED (
    SELECT q.* FROM (SELECT count(*) AS n FROM locked) l, souk_quotes_now($2, $3, CASE WHEN l.n >= 0 THEN $9::uuid[] END) q
), judged AS MATERIALIZED (
    SELECT l.*, clock_timestamp() AS at, souk_minute(clock_timestamp()) AS minute, COALESCE(g.members, '{}') AS members, cardinality(g.members) = 2 AND EXISTS (
               SELECT 1 FROM user_blocks b WHERE b.blocker_id = ANY (g.members) AND b.blocked_id = ANY (g.members)) AS blocked
    FROM locked l LEFT JOIN (SELECT conversation_id, array_agg(user_id ORDER BY user_id) AS members FROM present GROUP BY 1) g
        ON g.conversation_id = l.id
), clock AS MATERIALIZED (
    -- Looked at when the locks are held: a statement that nobody waits for any more stores nothing.
    SELECT clock_timestamp() > $11 AS too_late FROM (SELECT count(*) FROM locked) l
), checked AS MATERIALIZED (
    SELECT i.*, l.last_seq, l.at, l.minute, l.members, d.seq AS repeat_seq, d.created_at AS repeat_at,
           q.quote,
           CASE WHEN l.id IS NULL THEN 'not_found'
                WHEN NOT i.sender_id = ANY (l.members) THEN 'not_member'
                WHEN d.by_id THEN 'stored_before'
                WHEN k.too_late THEN 'too_late'
                WHEN d.seq IS NOT NULL THEN 'repeat'
                WHEN l.status <> 'active' THEN 'closed'
                WHEN l.blocked THEN 'blocked'
                WHEN i.reply_to IS NOT NULL AND q.quote IS NULL THEN 'reply_not_found'
                ELSE 'stored' END AS outcome
    FROM input i
    CROSS JOIN clock k
    LEFT JOIN judged l ON l.id = i.conversation_id
    LEFT JOIN repeats d ON d.ord = i.ord
    LEFT JOIN quotes q ON q.ord = i.ord
), numbered AS MATERIALIZED (
    -- A boolean, of which the planner expects half the rows: of an equality it expects one, and loops over all in all.
    SELECT *, last_seq + row_number() OVER (PARTITION BY conversation_id ORDER BY ord) AS seq
    FROM (SELECT *, outcome = 'stored' AS stored FROM checked OFFSET 0) c WHERE stored
), inserted AS (
    INSERT INTO messages (id, conversation_id, sender_id, seq, message_text, message_type, attachments,
                          client_message_id, temp_id, reply_to_message_id, created_at, updated_at)
    SELECT id, conversation_id, sender_id, seq, message_text, message_type, COALESCE(attachments, '[]'),
           client_message_id, temp_id, reply_to, at, at
    FROM numbered
), last AS MATERIALIZED (
    SELECT DISTINCT ON (conversation_id) conversation_id, seq, seq - last_seq AS count, at, minute, message_text
    FROM numbered ORDER BY conversation_id, seq DESC
), previews AS (
    UPDATE conversations c
    SET last_seq = n.seq, last_message_at = n.at, updated_at = n.at, last_message_text = n.message_text
    FROM last n WHERE c.id = n.conversation_id
), touched AS MATERIALIZED (
    -- The senders' own messages are not unread, others' are; and once a minute a row says when its conversation was active.
    -- Most messages change their sender's row alone.
    SELECT p.conversation_id, p.user_id, COALESCE(n.count, 0) AS count, h.minute, h.count > COALESCE(n.count, 0) AS unread
    FROM present p
    JOIN last h ON h.conversation_id = p.conversation_id
    LEFT JOIN (SELECT conversation_id, sender_id, count(*) AS count FROM numbered GROUP BY 1, 2) n
      ON n.conversation_id = p.conversation_id AND n.sender_id = p.user_id
    WHERE n.count IS NOT NULL OR p.active_minute < h.minute OR NOT p.maybe_unread
), own AS (
    -- One row after the other, in their order, by the index however many there are: a join could be planned in any order.
    SELECT t.* FROM (SELECT * FROM touched ORDER BY conversation_id, user_id) t
    CROSS JOIN LATERAL (SELECT FROM conversation_members m WHERE m.conversation_id = t.conversation_id AND m.user_id = t.user_id
                        FOR NO KEY UPDATE) m
), counted AS (
    UPDATE conversation_members m
    SET skipped = m.skipped + o.count, active_minute = GREATEST(m.active_minute, o.minute), maybe_unread = m.maybe_unread OR o.unread
    FROM own o WHERE m.conversation_id = o.conversation_id AND m.user_id = o.user_id
)
SELECT c.outcome AS "outcome!", COALESCE(n.seq, c.repeat_seq) AS seq, COALESCE(c.repeat_at, c.at, now()) AS "created_at!",
       -- Of each conversation's new messages the first one brings the members.
       CASE WHEN c.outcome IN ('stored_before', 'repeat') OR n.seq = c.last_seq + 1 THEN c.members END AS members,
       clock_timestamp() AS "clock!", c.quote AS "reply_to: Json<Quote>"
FROM checked c LEFT JOIN numbered n ON n.ord = c.ord
-- Who came to take part while this waited is not in its snapshot, and cannot be counted for.
WHERE CASE WHEN (SELECT count(*) FROM touched) > (SELECT count(*) FROM own) THEN souk_conflict() ELSE true END
ORDER BY c.ord
