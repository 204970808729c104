-- Fills a migrated, empty database for the benchmarks; psql's variable `messages` says with how many messages, from
-- 10,000 on. The ids are computed, so that the load generator knows them without asking (load/src/ids.rs):
--
--   user 0             a busy seller with 10,000 conversations
--   users 1 … 20,000   customers; the first 10,000 have conversation 1 … 10,000 with the seller
--   from 30,000 on     1,000 pairs of a customer and a seller, each with an empty conversation
--
-- Conversations 1 … 50 have 100 messages or one more each whatever the size, so that a page of them is the same page at every
-- size; every twentieth of the others (498) has some that the seller has not read, so that there is as much to count. What
-- is above 10,000 goes to all of the others. Messages are stored as they come in life: in the order of time, one
-- conversation after the other, so that a page of one conversation is not one page of the table.

\set ON_ERROR_STOP on
BEGIN;

CREATE FUNCTION pg_temp.user_id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
$$;
CREATE FUNCTION pg_temp.conversation_id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('00000001-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
$$;

INSERT INTO users (id, email, password_hash, role, display_name)
SELECT pg_temp.user_id(n), 'user' || n || '@bench.example', '!',
       CASE WHEN n = 0 OR (n >= 30000 AND n % 2 = 1) THEN 'seller' ELSE 'customer' END, 'User ' || n
FROM (SELECT generate_series(0, 20000) UNION ALL SELECT generate_series(30000, 31999)) AS u (n);

INSERT INTO conversations (id, type, participant_ids, created_at, updated_at)
SELECT pg_temp.conversation_id(n), 'customer_seller', jsonb_build_array(pg_temp.user_id(n), pg_temp.user_id(0)), t, t
FROM generate_series(1, 10000) AS n, LATERAL (SELECT now() - interval '91 days' + n * interval '1 second' AS t) AS at;
INSERT INTO conversations (id, type, participant_ids)
SELECT pg_temp.conversation_id(30000 + n), 'customer_seller',
       jsonb_build_array(pg_temp.user_id(30000 + 2 * n), pg_temp.user_id(30000 + 2 * n + 1))
FROM generate_series(0, 999) AS n;

-- A million foreign keys that are known to hold need no look. Message ids are of version 7, as the server makes them.
SET LOCAL session_replication_role = replica;
INSERT INTO messages (id, conversation_id, sender_id, seq, message_text, created_at, updated_at)
SELECT (lpad(to_hex((extract(epoch FROM t) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid,
       pg_temp.conversation_id(c), pg_temp.user_id(CASE WHEN seq % 2 = 1 THEN c ELSE 0 END), seq,
       'Message ' || seq || ': is the blue one still available, and would you ship it abroad?', t, t
FROM (SELECT i, now() - interval '90 days' + i * (interval '90 days' / :messages) AS t,
             CASE WHEN i < 5020 THEN 1 + i % 50 WHEN i < 10000 THEN 60 + (i - 5020) % 498 * 20 ELSE later END AS c,
             CASE WHEN i < 5020 THEN 1 + i / 50 WHEN i < 10000 THEN 1 + (i - 5020) / 498
                  ELSE 1 + (i - 10000) / 9950 + CASE WHEN later % 20 = 0 THEN 10 ELSE 0 END END AS seq
      FROM generate_series(0, :messages - 1) AS i, LATERAL (SELECT 51 + (i - 10000) % 9950 AS later) AS l) AS m
ORDER BY i;
SET LOCAL session_replication_role = origin;

UPDATE conversations c
SET last_seq = m.seq, last_message_at = m.created_at, updated_at = m.created_at, last_message_text = m.message_text
FROM (SELECT DISTINCT ON (conversation_id) conversation_id, seq, created_at, message_text
      FROM messages ORDER BY conversation_id, seq DESC) m
WHERE c.id = m.conversation_id;

-- Everyone has read everything. Then the seller goes back in every twentieth conversation, to before its last three
-- messages: by way of the schema's own triggers, which keep what else follows from it. Own messages do not count.
UPDATE conversation_members m
SET last_read_seq = c.last_seq, last_delivered_seq = c.last_seq, last_read_at = now(), last_delivered_at = now(), skipped = 0
FROM conversations c WHERE c.id = m.conversation_id;
UPDATE conversation_members m
SET last_read_seq = c.last_seq - 3, skipped = c.last_seq / 2 - (c.last_seq - 3) / 2
FROM conversations c
WHERE c.id = m.conversation_id AND m.user_id = pg_temp.user_id(0)
  AND c.id IN (SELECT pg_temp.conversation_id(n) FROM generate_series(60, 10000, 20) AS n);

COMMIT;
VACUUM (ANALYZE);
