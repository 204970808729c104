-- Stores a batch of messages (`Db::write_messages`): locks their conversations, checks the senders, finds repeats, numbers and
-- inserts, and keeps the previews and the members' counters. It is one statement: one round trip, and all of it holds or nothing.
--
-- Checks that depend only on (conversation, sender) run once per pair, not once per message.
WITH asked AS NOT MATERIALIZED (
    -- The parameters by name. NOT MATERIALIZED puts each in place of its name, which costs nothing.
    SELECT -- One element for each message of the batch; its place in the arrays, from 1, is its `ord`.
           $1::uuid[]       AS ids,
           $2::uuid[]       AS conversations,
           $3::uuid[]       AS senders,
           $4::text[]       AS texts,
           $5::text[]       AS types,
           $6::jsonb[]      AS files,            -- NULL for none
           $7::text[]       AS client_ids,
           $8::text[]       AS temp_ids,
           $9::boolean[]    AS temp_ids_again,   -- the same socket sent this tempId before
           $10::uuid[]      AS replies,          -- the message that it answers
           $11::bigint[]    AS places,           -- its place among the messages of its conversation, from 1
           -- One element for each pair, in the order of (conversation, sender).
           $12::uuid[]      AS pair_conversations,
           $13::uuid[]      AS pair_senders,
           $14::bigint[]    AS pair_counts,      -- how many messages it has
           $15::bigint[]    AS pair_lasts,       -- the ord of the last of them
           -- An earlier attempt may have stored some of them: look for their ids too.
           $16::boolean     AS was_tried,
           -- After this time nobody waits for the answer any more.
           $17::timestamptz AS deadline
), locked AS MATERIALIZED (
    -- Locks the conversations in the order of their ids, as every statement does: no deadlocks.
    SELECT c.id, c.status, c.last_seq
    FROM asked a JOIN conversations c ON c.id = ANY (a.pair_conversations) ORDER BY c.id FOR NO KEY UPDATE OF c
), held AS MATERIALIZED (
    -- One row, there as soon as all locks are held. The functions below take an argument from it, so that none is called before.
    -- They have a snapshot of their own: that of this statement may be from before what the locks' last holder committed.
    SELECT count(*) >= 0 AS always, array_agg(l.id) AS conversations, clock_timestamp() AS at FROM locked l
), members AS MATERIALIZED (
    -- The members of the conversations, and whether each still is a user of the shop's.
    SELECT m.*, (SELECT true FROM users u WHERE u.id = m.user_id) AS is_user
    FROM held h, souk_members_now(h.conversations) m
), repeats AS MATERIALIZED (
    -- Messages of the batch that are stored already.
    SELECT r.*
    FROM asked a, held h, souk_repeats_now(a.was_tried AND h.always, a.ids, a.conversations, a.senders, a.texts, a.files,
                                           a.client_ids, a.temp_ids, a.replies, a.temp_ids_again) r
), quotes AS MATERIALIZED (
    -- What the replies among them quote; nothing where the quoted message is not there.
    SELECT q.* FROM asked a, held h, souk_quotes_now(a.conversations, a.senders, CASE WHEN h.always THEN a.replies END) q
), judged AS MATERIALIZED (
    -- Each conversation: its members, those of them who are users, whether one of two blocked the other, and its messages' time.
    SELECT l.*, clock_timestamp() AS at, souk_minute(clock_timestamp()) AS minute,
           COALESCE(g.members, '{}') AS members, COALESCE(g.users, '{}') AS users,
           cardinality(g.members) = 2 AND EXISTS (
               SELECT 1 FROM user_blocks b WHERE b.blocker_id = ANY (g.members) AND b.blocked_id = ANY (g.members)) AS blocked
    FROM locked l
    LEFT JOIN (SELECT m.conversation_id, array_agg(m.user_id ORDER BY m.user_id) AS members,
                      array_agg(m.user_id) FILTER (WHERE m.is_user) AS users FROM members m GROUP BY 1) g
           ON g.conversation_id = l.id
), pairs AS MATERIALIZED (
    -- Each pair, and why its messages are not stored (`barred`); NULL where they are.
    SELECT p.*, j.last_seq, j.at, j.minute,
           CASE WHEN j.id IS NULL THEN 'not_found'
                -- A user whom the shop deleted stays a member.
                WHEN NOT p.sender_id = ANY (j.users) THEN 'not_member'
                WHEN h.at > a.deadline THEN 'too_late'
                WHEN j.status <> 'active' THEN 'closed'
                WHEN cardinality(j.members) > 1 AND cardinality(j.users) = 1 THEN 'deleted'
                WHEN j.blocked THEN 'blocked' END AS barred
    FROM asked a
    CROSS JOIN held h
    CROSS JOIN LATERAL unnest(a.pair_conversations, a.pair_senders, a.pair_counts, a.pair_lasts)
        AS p (conversation_id, sender_id, count, last)
    LEFT JOIN judged j ON j.id = p.conversation_id
), refused AS MATERIALIZED (
    -- Each message that is not stored now, or not again, and why. Mostly there is none: the three counts find that out without
    -- a look at any message, and OFFSET 0 keeps them apart from the condition on the outcome, which needs one.
    SELECT * FROM (
        SELECT i.ord, i.conversation_id, d.seq, d.created_at,
               -- What is stored already is told, whatever became of its sender meanwhile.
               CASE WHEN d.by_id THEN 'stored_before'
                    WHEN p.barred IN ('not_found', 'not_member', 'too_late') THEN p.barred
                    WHEN d.seq IS NOT NULL THEN 'repeat'
                    WHEN p.barred IS NOT NULL THEN p.barred
                    WHEN i.reply_to IS NOT NULL AND q.quote IS NULL THEN 'reply_not_found' END AS outcome
        FROM asked a
        CROSS JOIN LATERAL unnest(a.conversations, a.senders, a.replies)
            WITH ORDINALITY AS i (conversation_id, sender_id, reply_to, ord)
        LEFT JOIN pairs p ON p.conversation_id = i.conversation_id AND p.sender_id = i.sender_id
        LEFT JOIN repeats d ON d.ord = i.ord
        LEFT JOIN quotes q ON q.ord = i.ord
        WHERE (SELECT count(barred) FROM pairs) > 0 OR (SELECT count(*) FROM repeats) > 0
           OR cardinality(array_remove(a.replies, NULL)) > 0
        OFFSET 0
    ) r WHERE outcome IS NOT NULL
), inserted AS (
    -- Stores the others. A message's number is the conversation's last one and its place, less the refused ones before it: no gap.
    INSERT INTO messages (id, conversation_id, sender_id, seq, message_text, message_type, attachments,
                          client_message_id, temp_id, reply_to_message_id, created_at, updated_at)
    SELECT i.id, i.conversation_id, i.sender_id,
           j.last_seq + i.place - CASE WHEN (SELECT count(*) FROM refused) = 0 THEN 0
               ELSE (SELECT count(*) FROM refused r WHERE r.conversation_id = i.conversation_id AND r.ord < i.ord) END,
           i.message_text, i.message_type, COALESCE(i.files, '[]'), i.client_message_id, i.temp_id, i.reply_to, j.at, j.at
    FROM asked a
    CROSS JOIN LATERAL unnest(a.ids, a.conversations, a.senders, a.texts, a.types, a.files, a.client_ids, a.temp_ids, a.replies, a.places)
        WITH ORDINALITY AS i (id, conversation_id, sender_id, message_text, message_type, files,
                              client_message_id, temp_id, reply_to, place, ord)
    JOIN judged j ON j.id = i.conversation_id
    WHERE i.ord NOT IN (SELECT ord FROM refused)
), sent AS MATERIALIZED (
    -- How many messages of each pair are stored. Where none is refused the server has counted them; else they are counted here.
    SELECT p.conversation_id, p.sender_id, p.count, p.last, p.last_seq, p.at, p.minute
    FROM pairs p WHERE (SELECT count(*) FROM refused) = 0
    UNION ALL
    SELECT i.conversation_id, i.sender_id, count(*), max(i.ord), p.last_seq, p.at, p.minute
    FROM asked a
    CROSS JOIN LATERAL unnest(a.conversations, a.senders) WITH ORDINALITY AS i (conversation_id, sender_id, ord)
    LEFT JOIN pairs p ON p.conversation_id = i.conversation_id AND p.sender_id = i.sender_id
    WHERE (SELECT count(*) FROM refused) > 0 AND i.ord NOT IN (SELECT ord FROM refused)
    GROUP BY 1, 2, 5, 6, 7
), newest AS MATERIALIZED (
    -- The newest message of each conversation: the one that comes last in the batch.
    SELECT s.conversation_id, s.count, s.last_seq + s.count AS seq, s.at, s.minute,
           a.texts[s.last] AS message_text, a.files[s.last] AS files
    FROM asked a
    CROSS JOIN (SELECT conversation_id, last_seq, at, minute, sum(count)::bigint AS count, max(last)::integer AS last
                FROM sent GROUP BY conversation_id, last_seq, at, minute) s
), previews AS (
    -- Counts the new messages, and shows the newest in the list of conversations: as souk_preview does, which is not inlined.
    UPDATE conversations c
    SET last_seq = n.seq, last_message_at = n.at, updated_at = n.at,
        last_message_text = CASE WHEN btrim(n.message_text, E' \t\r\n') = '' THEN COALESCE(NULLIF(n.files -> 0 ->> 'name', ''), n.message_text)
                                 ELSE n.message_text END
    FROM newest n WHERE c.id = n.conversation_id
), touched AS MATERIALIZED (
    -- The members whose row changes: senders, whose own messages are not unread to them; whoever had read everything, as now
    -- something may be unread; and once a minute everybody, as the row says when its conversation was active.
    SELECT m.conversation_id, m.user_id, COALESCE(s.count, 0) AS count, n.minute, n.count > COALESCE(s.count, 0) AS unread
    FROM members m
    JOIN newest n ON n.conversation_id = m.conversation_id
    LEFT JOIN sent s ON s.conversation_id = m.conversation_id AND s.sender_id = m.user_id
    WHERE s.count IS NOT NULL OR m.active_minute < n.minute OR NOT m.maybe_unread
), own AS (
    -- Locks their rows in the order of their keys: one after the other by the index, as a join could be planned in any order.
    SELECT t.* FROM (SELECT * FROM touched ORDER BY conversation_id, user_id) t
    CROSS JOIN LATERAL (SELECT FROM conversation_members m WHERE m.conversation_id = t.conversation_id AND m.user_id = t.user_id
                        FOR NO KEY UPDATE) m
), counted AS (
    -- Changes them. Unread is last_seq - last_read_seq - skipped: a sender skips their own messages.
    UPDATE conversation_members m
    SET skipped = m.skipped + o.count, active_minute = GREATEST(m.active_minute, o.minute), maybe_unread = m.maybe_unread OR o.unread
    FROM own o WHERE m.conversation_id = o.conversation_id AND m.user_id = o.user_id
)
-- A row for each conversation, with its number before the batch; one for each message that is refused; one for each quote.
SELECT NULL::bigint AS ord, j.id AS conversation_id, NULL::text AS outcome, j.last_seq AS seq, j.at AS "created_at: Time", j.members,
       clock_timestamp() AS "clock!", NULL::jsonb AS "quote: Json<Quote>"
FROM judged j
-- A member who came while this waited for the locks has no row in this statement's snapshot, and cannot be counted for: it fails,
-- and the next attempt sees them.
WHERE CASE WHEN (SELECT count(*) FROM touched) > (SELECT count(*) FROM own) THEN souk_conflict() ELSE true END
UNION ALL
SELECT r.ord, r.conversation_id, r.outcome, r.seq, r.created_at, NULL, clock_timestamp(), NULL FROM refused r
UNION ALL
SELECT q.ord, NULL, NULL, NULL, NULL, NULL, clock_timestamp(), q.quote FROM quotes q
