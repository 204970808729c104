-- A batch of messages as one statement; see `Db::write_messages`. What is the same for all messages of one sender in one
-- conversation is judged once for them: $13 to $16 are those pairs, in order, how many messages each has, and the last of these.
WITH locked AS MATERIALIZED (
    SELECT c.id, c.status, c.last_seq FROM conversations c WHERE c.id = ANY($13) ORDER BY c.id FOR NO KEY UPDATE
), present AS MATERIALIZED (
    -- From here on what the locks protect is looked at by functions with a snapshot of their own: the statement's may be
    -- from before what their last holder did, such as reading everything.
    SELECT p.*, (SELECT true FROM users u WHERE u.id = p.user_id) AS is_user
    FROM (SELECT array_agg(id) AS ids FROM locked) l, souk_members_now(l.ids) p
), repeats AS MATERIALIZED (
    SELECT r.* FROM (SELECT count(*) AS n FROM locked) l, souk_repeats_now($10 AND l.n >= 0, $1, $2, $3, $4, $6, $7, $8, $9, $17) r
), quotes AS MATERIALIZED (
    SELECT q.* FROM (SELECT count(*) AS n FROM locked) l, souk_quotes_now($2, $3, CASE WHEN l.n >= 0 THEN $9::uuid[] END) q
), judged AS MATERIALIZED (
    SELECT l.*, clock_timestamp() AS at, souk_minute(clock_timestamp()) AS minute, COALESCE(g.members, '{}') AS members, COALESCE(g.users, '{}') AS users, cardinality(g.members) = 2 AND EXISTS (
               SELECT 1 FROM user_blocks b WHERE b.blocker_id = ANY (g.members) AND b.blocked_id = ANY (g.members)) AS blocked
    FROM locked l LEFT JOIN (SELECT conversation_id, array_agg(user_id ORDER BY user_id) AS members,
                                   array_agg(user_id) FILTER (WHERE is_user) AS users FROM present GROUP BY 1) g
        ON g.conversation_id = l.id
), clock AS MATERIALIZED (
    -- Looked at when the locks are held: a statement that nobody waits for any more stores nothing.
    SELECT clock_timestamp() > $11 AS too_late FROM (SELECT count(*) FROM locked) l
), pairs AS MATERIALIZED (
    SELECT p.*, j.last_seq, j.at, j.minute,
           CASE WHEN j.id IS NULL THEN 'not_found'
                -- The shop deletes users, and leaves us to find out.
                WHEN NOT p.sender_id = ANY (j.users) THEN 'not_member'
                WHEN k.too_late THEN 'too_late'
                WHEN j.status <> 'active' THEN 'closed'
                WHEN cardinality(j.members) > 1 AND cardinality(j.users) = 1 THEN 'deleted'
                WHEN j.blocked THEN 'blocked' END AS barred
    FROM unnest($13::uuid[], $14::uuid[], $15::bigint[], $16::bigint[]) AS p (conversation_id, sender_id, count, last)
    CROSS JOIN clock k
    LEFT JOIN judged j ON j.id = p.conversation_id
), refused AS MATERIALIZED (
    -- Messages that are not stored now, or not again. Mostly there is none, and it takes three counts to know.
    SELECT * FROM (
        SELECT i.ord, i.conversation_id, d.seq, d.created_at,
               -- What is stored is told, whatever became of its sender meanwhile.
               CASE WHEN d.by_id THEN 'stored_before'
                    WHEN p.barred IN ('not_found', 'not_member') THEN p.barred
                    WHEN p.barred = 'too_late' THEN p.barred
                    WHEN d.seq IS NOT NULL THEN 'repeat'
                    WHEN p.barred IS NOT NULL THEN p.barred
                    WHEN i.reply_to IS NOT NULL AND q.quote IS NULL THEN 'reply_not_found' END AS outcome
        FROM unnest($2::uuid[], $3::uuid[], $9::uuid[]) WITH ORDINALITY AS i (conversation_id, sender_id, reply_to, ord)
        LEFT JOIN pairs p ON p.conversation_id = i.conversation_id AND p.sender_id = i.sender_id
        LEFT JOIN repeats d ON d.ord = i.ord
        LEFT JOIN quotes q ON q.ord = i.ord
        WHERE (SELECT count(barred) FROM pairs) > 0 OR (SELECT count(*) FROM repeats) > 0
           OR cardinality(array_remove($9, NULL)) > 0
        OFFSET 0
    ) r WHERE outcome IS NOT NULL
), inserted AS (
    -- Each has its place among those of its conversation ($12); those before it that are refused leave none empty.
    INSERT INTO messages (id, conversation_id, sender_id, seq, message_text, message_type, attachments,
                          client_message_id, temp_id, reply_to_message_id, created_at, updated_at)
    SELECT i.id, i.conversation_id, i.sender_id,
           j.last_seq + i.place - CASE WHEN (SELECT count(*) FROM refused) = 0 THEN 0
               ELSE (SELECT count(*) FROM refused r WHERE r.conversation_id = i.conversation_id AND r.ord < i.ord) END,
           i.message_text, i.message_type, COALESCE(i.attachments, '[]'), i.client_message_id, i.temp_id, i.reply_to, j.at, j.at
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::text[], $9::uuid[], $12::bigint[])
        WITH ORDINALITY AS i (id, conversation_id, sender_id, message_text, message_type, attachments,
                              client_message_id, temp_id, reply_to, place, ord)
    JOIN judged j ON j.id = i.conversation_id
    WHERE i.ord NOT IN (SELECT ord FROM refused)
), sent AS MATERIALIZED (
    SELECT conversation_id, sender_id, count, last, last_seq, at, minute FROM pairs WHERE (SELECT count(*) FROM refused) = 0
    UNION ALL
    SELECT i.conversation_id, i.sender_id, count(*), max(i.ord), p.last_seq, p.at, p.minute
    FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY AS i (conversation_id, sender_id, ord)
    LEFT JOIN pairs p ON p.conversation_id = i.conversation_id AND p.sender_id = i.sender_id
    WHERE (SELECT count(*) FROM refused) > 0 AND i.ord NOT IN (SELECT ord FROM refused)
    GROUP BY 1, 2, 5, 6, 7
), last AS MATERIALIZED (
    SELECT conversation_id, sum(count)::bigint AS count, last_seq + sum(count)::bigint AS seq, at, minute,
           ($4::text[])[max(last)::integer] AS message_text, ($6::jsonb[])[max(last)::integer] AS attachments
    FROM sent GROUP BY conversation_id, last_seq, at, minute
), previews AS (
    UPDATE conversations c
    SET last_seq = n.seq, last_message_at = n.at, updated_at = n.at,
        last_message_text = CASE WHEN btrim(n.message_text, E' \t\r\n') = '' THEN COALESCE(NULLIF(n.attachments -> 0 ->> 'name', ''), n.message_text)
                                 ELSE n.message_text END
    FROM last n WHERE c.id = n.conversation_id
), touched AS MATERIALIZED (
    -- The senders' own messages are not unread, others' are; and once a minute a row says when its conversation was active.
    -- Most messages change their sender's row alone.
    SELECT p.conversation_id, p.user_id, COALESCE(n.count, 0) AS count, h.minute, h.count > COALESCE(n.count, 0) AS unread
    FROM present p
    JOIN last h ON h.conversation_id = p.conversation_id
    LEFT JOIN sent n ON n.conversation_id = p.conversation_id AND n.sender_id = p.user_id
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
-- A row for each conversation, before the first of its new messages; one for each message that is refused; one for each quote.
SELECT NULL::bigint AS ord, j.id AS conversation_id, NULL::text AS outcome, j.last_seq AS seq, j.at AS "created_at: Time", j.members,
       clock_timestamp() AS "clock!", NULL::jsonb AS "quote: Json<Quote>"
FROM judged j
-- Who came to take part while this waited is not in its snapshot, and cannot be counted for.
WHERE CASE WHEN (SELECT count(*) FROM touched) > (SELECT count(*) FROM own) THEN souk_conflict() ELSE true END
UNION ALL
SELECT r.ord, r.conversation_id, r.outcome, r.seq, r.created_at, NULL, clock_timestamp(), NULL FROM refused r
UNION ALL
SELECT q.ord, NULL, NULL, NULL, NULL, NULL, clock_timestamp(), q.quote FROM quotes q
