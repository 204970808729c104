-- Views, under the names and with the columns that SQL users know from the Node server, telling the truth on the new tables.
--
-- Locks: nothing but what it makes.

CREATE VIEW conversation_participants AS
SELECT c.id AS conversation_id, c.type, c.status, cm.user_id, c.last_message_at, c.created_at
FROM conversations c JOIN conversation_members cm ON cm.conversation_id = c.id;

CREATE VIEW unread_message_counts AS
SELECT cm.conversation_id, cm.user_id, c.last_seq - cm.last_read_seq - cm.skipped AS unread_count
FROM conversation_members cm JOIN conversations c ON c.id = cm.conversation_id;

-- How often a message has which reaction, and from whom.
--
-- Two reactions are the same where they differ in U+FE0F alone, the sign after which some characters are drawn in
-- colour: keyboards send ❤ with it or without it. They are counted together, under the form that came first, and a
-- user who stored both forms before this rule counts once.
DO $$
BEGIN
    -- The column's type is the adopted table's.
    EXECUTE format($view$
        CREATE VIEW message_reaction_counts AS
        SELECT message_id, (array_agg(reaction ORDER BY at, user_id))[1]::%s AS reaction, count(*) AS count,
               jsonb_agg(user_id ORDER BY at, user_id) AS user_ids
        FROM (SELECT message_id, replace(reaction, chr(65039), '') AS key, user_id, min(created_at) AS at,
                     (array_agg(reaction ORDER BY created_at, id))[1] AS reaction
              FROM message_reactions GROUP BY 1, 2, 3) r
        GROUP BY message_id, key
    $view$, (SELECT format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = 'message_reactions'::regclass AND attname = 'reaction'));
END $$;

-- The reactions of a message as the API gives them. There may be many from before there was a limit: they are not all sent
-- along with the message.
-- Called by messages_with_reactions, souk_add_reaction and souk_remove_reaction.
CREATE FUNCTION souk_reactions(p_message_id uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object('reaction', r.reaction, 'count', r.count, 'user_ids', r.user_ids)
                              ORDER BY r.reaction), '[]')
    FROM (SELECT * FROM message_reaction_counts WHERE message_id = p_message_id ORDER BY reaction LIMIT 100) r
$$;

-- The Node server's columns as the API shows them: what a message's own row says of its readers (adopted messages)
-- together with what the watermarks say, and nothing of what was deleted for everyone.
CREATE VIEW messages_with_reactions AS
SELECT m.id, m.conversation_id, m.sender_id,
       CASE WHEN m.is_deleted THEN '' ELSE m.message_text END AS message_text,
       m.message_type,
       CASE WHEN m.is_deleted THEN '[]' ELSE m.attachments END AS attachments,
       r.read_by, d.delivered_to, m.is_edited, m.is_deleted, m.created_at, m.updated_at, m.edited_at, m.deleted_at,
       (CASE WHEN m.status = 'read' OR jsonb_array_length(r.read_by) > 1 THEN 'read'
             WHEN m.status = 'delivered' OR jsonb_array_length(d.delivered_to) > 0 THEN 'delivered'
             ELSE 'sent' END)::varchar(20) AS status,
       CASE WHEN COALESCE(m.delivered_at, d.at, m.read_at, r.at) IS NOT NULL
            THEN GREATEST(COALESCE(LEAST(m.delivered_at, d.at), LEAST(m.read_at, r.at)), m.created_at) END AS delivered_at,
       CASE WHEN COALESCE(m.read_at, r.at) IS NOT NULL
            THEN GREATEST(LEAST(m.read_at, r.at), m.created_at) END AS read_at,
       m.reply_to_message_id, m.deletion_type, m.deleted_by, m.edit_count, m.last_edited_at,
       m.seq, m.client_message_id, souk_reactions(m.id) AS reactions
FROM messages m
CROSS JOIN LATERAL (
    SELECT jsonb_agg(id ORDER BY place, id) AS read_by, min(at) AS at
    FROM (SELECT id, min(place) AS place, min(at) AS at
          FROM (SELECT m.sender_id::text AS id, 0 AS place, NULL::timestamptz AS at
                UNION ALL
                SELECT s.id, s.place, NULL FROM jsonb_array_elements_text(m.read_by) WITH ORDINALITY AS s (id, place)
                WHERE s.id ~ '^[0-9a-f-]{36}$'
                UNION ALL
                SELECT w.user_id::text, 1000000, w.last_read_at FROM conversation_members w
                WHERE w.conversation_id = m.conversation_id AND w.last_read_seq >= m.seq AND w.user_id <> m.sender_id) x
          GROUP BY id) y
) r
CROSS JOIN LATERAL (
    SELECT COALESCE(jsonb_agg(id ORDER BY place, id), '[]') AS delivered_to, min(at) AS at
    FROM (SELECT id, min(place) AS place, min(at) AS at
          FROM (SELECT s.id, s.place, NULL::timestamptz AS at
                FROM jsonb_array_elements_text(m.delivered_to) WITH ORDINALITY AS s (id, place)
                WHERE s.id ~ '^[0-9a-f-]{36}$'
                UNION ALL
                SELECT w.user_id::text, 1000000, COALESCE(w.last_delivered_at, w.last_read_at) FROM conversation_members w
                WHERE w.conversation_id = m.conversation_id AND w.user_id <> m.sender_id
                  AND GREATEST(w.last_delivered_seq, w.last_read_seq) >= m.seq
                UNION ALL
                SELECT s.id, 2000000, NULL FROM jsonb_array_elements_text(r.read_by) AS s (id)
                WHERE s.id <> m.sender_id::text) x
          GROUP BY id) y
) d;

-- Who could read the Node server's views can read these.
DO $$
DECLARE
    g record;
BEGIN
    IF to_regclass('pg_temp.adopted_grants') IS NOT NULL THEN
        FOR g IN SELECT * FROM pg_temp.adopted_grants LOOP
            EXECUTE format('GRANT %s ON %I TO %s', g.privilege, g.view_name, g.grantee);
        END LOOP;
    END IF;
END $$;
