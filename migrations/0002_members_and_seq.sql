-- Members with watermarks, a gap-free sequence number per conversation, and times with a zone.
-- Adopts what the Node server left: nothing is deleted, and every step says how many rows it touched.

-- 1. Out of the way: views that hang on columns about to change, functions and triggers that are replaced below.
--    The Node server's triggers kept the preview (now part of the send statement) and delivered_at / read_at
--    (now derived from watermarks); left in place they would write every row twice.
DROP VIEW IF EXISTS messages_with_reactions, message_reaction_counts, unread_message_counts, conversation_participants;
DO $$
DECLARE
    f regprocedure;
    t record;
BEGIN
    FOR f IN SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE n.nspname = current_schema() AND p.proname IN (
                 'is_conversation_participant', 'mark_messages_as_read', 'get_unread_message_count', 'edit_message',
                 'delete_message', 'add_message_reaction', 'remove_message_reaction', 'get_message_edit_history',
                 'get_message_details')
    LOOP
        EXECUTE format('DROP FUNCTION %s', f);
    END LOOP;
    FOR t IN SELECT tgname, tgrelid::regclass AS rel FROM pg_trigger
             WHERE NOT tgisinternal AND tgrelid IN ('messages'::regclass, 'typing_indicators'::regclass)
    LOOP
        RAISE NOTICE 'adoption: dropping the Node server''s trigger % on %', t.tgname, t.rel;
        EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.rel);
    END LOOP;
END $$;

-- 2. Times: all of them are UTC already, most without saying so.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT table_name, string_agg(format(
                 'ALTER COLUMN %1$I DROP DEFAULT, ALTER COLUMN %1$I TYPE timestamptz USING %1$I AT TIME ZONE ''UTC''',
                 column_name), ', ') AS changes
             FROM information_schema.columns
             WHERE table_schema = current_schema() AND data_type = 'timestamp without time zone'
               AND table_name IN ('conversations', 'messages', 'message_reactions', 'message_edits',
                                  'typing_indicators', 'user_online_status')
             GROUP BY table_name
    LOOP
        RAISE NOTICE 'adoption: times of % become timestamptz', c.table_name;
        EXECUTE format('ALTER TABLE %I %s', c.table_name, c.changes);
    END LOOP;
END $$;
ALTER TABLE conversations ALTER COLUMN created_at SET DEFAULT now(), ALTER COLUMN updated_at SET DEFAULT now();
ALTER TABLE messages ALTER COLUMN created_at SET DEFAULT now(), ALTER COLUMN updated_at SET DEFAULT now();
ALTER TABLE message_reactions ALTER COLUMN created_at SET DEFAULT now();
ALTER TABLE message_edits ALTER COLUMN edited_at SET DEFAULT now();
ALTER TABLE typing_indicators ALTER COLUMN last_typed_at SET DEFAULT now();
ALTER TABLE user_online_status ALTER COLUMN updated_at SET DEFAULT now();

-- 3. Columns and tables that the Node server did not have.
ALTER TABLE conversations ADD COLUMN last_seq bigint NOT NULL DEFAULT 0;
ALTER TABLE messages
    ADD COLUMN seq bigint,
    ADD COLUMN client_message_id varchar(128),
    ADD COLUMN temp_id varchar(128);

-- Who takes part: the truth. A participant's rights and read state hang on this row.
-- No foreign key on user_id: real data has participants whose user is gone, and they are kept.
CREATE TABLE conversation_members (
    conversation_id    uuid        NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id            uuid        NOT NULL,
    joined_at          timestamptz NOT NULL DEFAULT now(),
    -- Everything up to this seq has been read (delivered).
    last_read_seq      bigint      NOT NULL DEFAULT 0,
    last_read_at       timestamptz,
    last_delivered_seq bigint      NOT NULL DEFAULT 0,
    last_delivered_at  timestamptz,
    -- Messages above last_read_seq that do not count as unread: own ones, deleted ones.
    -- unread = conversations.last_seq - last_read_seq - skipped, without looking at messages.
    skipped            bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, user_id)
) WITH (fillfactor = 80);

-- Deletions "for me": only this user stops seeing the message.
CREATE TABLE message_deletions (
    message_id uuid        NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    user_id    uuid        NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (message_id, user_id)
);

-- Which server holds sockets of which user; rows of a server whose heartbeat stopped are swept.
CREATE TABLE chat_servers (
    name         text PRIMARY KEY,
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE chat_server_users (
    server_name text NOT NULL REFERENCES chat_servers (name) ON DELETE CASCADE,
    user_id     uuid NOT NULL,
    PRIMARY KEY (server_name, user_id)
);
CREATE INDEX chat_server_users_user ON chat_server_users (user_id);

-- 4. The data.
DO $$
DECLARE
    conversations_before bigint;
    messages_before      bigint;
    n                    bigint;
BEGIN
    SELECT count(*) INTO conversations_before FROM conversations;
    SELECT count(*) INTO messages_before FROM messages;
    RAISE NOTICE 'adoption: found % conversations, % messages', conversations_before, messages_before;

    UPDATE conversations SET metadata = '{}' WHERE metadata IS NULL;
    UPDATE conversations SET created_at = COALESCE(created_at, last_message_at, updated_at, now()),
                             updated_at = COALESCE(updated_at, last_message_at, created_at, now()),
                             status = COALESCE(status, 'active')
    WHERE created_at IS NULL OR updated_at IS NULL OR status IS NULL;

    -- A "for me" deletion was stored as deleted for everybody: it goes back to the one who meant it.
    INSERT INTO message_deletions (message_id, user_id, deleted_at)
    SELECT id, deleted_by, COALESCE(deleted_at, now()) FROM messages
    WHERE is_deleted AND deletion_type = 'for_me' AND deleted_by IS NOT NULL;
    GET DIAGNOSTICS n = ROW_COUNT;
    RAISE NOTICE 'adoption: % deletions for one user only', n;

    -- The order was created_at. Equal times are broken so that read state survives: read before unread, then id.
    UPDATE messages m SET
        seq          = o.seq,
        attachments  = CASE WHEN jsonb_typeof(m.attachments) = 'array' THEN m.attachments ELSE '[]' END,
        read_by      = CASE WHEN jsonb_typeof(m.read_by) = 'array' THEN m.read_by ELSE '[]' END,
        delivered_to = CASE WHEN jsonb_typeof(m.delivered_to) = 'array' THEN m.delivered_to ELSE '[]' END,
        message_type = COALESCE(m.message_type, 'text'),
        status       = CASE WHEN m.status IN ('delivered', 'read') THEN m.status ELSE 'sent' END,
        is_edited    = COALESCE(m.is_edited, false),
        edit_count   = COALESCE(m.edit_count, 0),
        created_at   = COALESCE(m.created_at, m.updated_at, now()),
        updated_at   = COALESCE(m.updated_at, m.created_at, now()),
        is_deleted   = COALESCE(m.is_deleted AND NOT (COALESCE(m.deletion_type, '') = 'for_me' AND m.deleted_by IS NOT NULL), false),
        deleted_at   = CASE WHEN m.deletion_type = 'for_me' AND m.deleted_by IS NOT NULL THEN NULL ELSE m.deleted_at END,
        deleted_by   = CASE WHEN m.deletion_type = 'for_me' THEN NULL ELSE m.deleted_by END,
        deletion_type = CASE WHEN m.deletion_type = 'for_me' AND m.deleted_by IS NOT NULL THEN NULL
                             WHEN m.is_deleted THEN 'for_everyone' END
    FROM (SELECT id, row_number() OVER (
                         PARTITION BY conversation_id
                         ORDER BY COALESCE(created_at, updated_at, now()),
                                  CASE WHEN jsonb_typeof(read_by) = 'array' THEN -jsonb_array_length(read_by) ELSE 0 END,
                                  id) AS seq
          FROM messages) o
    WHERE o.id = m.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    RAISE NOTICE 'adoption: % messages numbered', n;

    UPDATE conversations c SET last_seq = s.last_seq, last_message_at = COALESCE(c.last_message_at, s.last_at)
    FROM (SELECT conversation_id, max(seq) AS last_seq, max(created_at) AS last_at FROM messages GROUP BY 1) s
    WHERE s.conversation_id = c.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    RAISE NOTICE 'adoption: % conversations with messages', n;

    INSERT INTO conversation_members (conversation_id, user_id, joined_at)
    SELECT DISTINCT c.id, p.id::uuid, c.created_at
    FROM conversations c
    CROSS JOIN LATERAL jsonb_array_elements_text(
        CASE WHEN jsonb_typeof(c.participant_ids) = 'array' THEN c.participant_ids ELSE '[]' END) AS p (id)
    WHERE p.id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';
    GET DIAGNOSTICS n = ROW_COUNT;
    RAISE NOTICE 'adoption: % members', n;
END $$;

-- Watermarks: read up to just before the first message by another that is unread and not deleted.
-- What was read above such a hole keeps its stored read_by and counts as skipped, so no count changes.
CREATE TEMPORARY TABLE adopted_unread ON COMMIT DROP AS
SELECT cm.conversation_id, cm.user_id, min(m.seq) AS first_seq, count(*) AS unread
FROM conversation_members cm
JOIN messages m ON m.conversation_id = cm.conversation_id
WHERE m.sender_id <> cm.user_id AND NOT m.is_deleted AND NOT m.read_by ? cm.user_id::text
  AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = m.id AND d.user_id = cm.user_id)
GROUP BY 1, 2;
UPDATE conversation_members cm SET
    last_read_seq      = COALESCE(u.first_seq - 1, c.last_seq),
    last_delivered_seq = COALESCE(u.first_seq - 1, c.last_seq),
    skipped            = CASE WHEN u.first_seq IS NULL THEN 0 ELSE c.last_seq - u.first_seq + 1 - u.unread END
FROM conversations c
LEFT JOIN adopted_unread u ON u.conversation_id = c.id
WHERE c.id = cm.conversation_id AND u.user_id = cm.user_id;
UPDATE conversation_members cm SET last_read_seq = c.last_seq, last_delivered_seq = c.last_seq
FROM conversations c
WHERE c.id = cm.conversation_id
  AND NOT EXISTS (SELECT 1 FROM adopted_unread u WHERE u.conversation_id = cm.conversation_id AND u.user_id = cm.user_id);
UPDATE conversation_members cm SET last_read_at = r.at, last_delivered_at = r.at
FROM (SELECT conversation_id, max(read_at) AS at FROM messages WHERE read_at IS NOT NULL GROUP BY 1) r
WHERE r.conversation_id = cm.conversation_id AND cm.last_read_seq > 0;

-- 5. What holds from now on.
ALTER TABLE conversations
    ALTER COLUMN metadata SET DEFAULT '{}', ALTER COLUMN metadata SET NOT NULL,
    ALTER COLUMN created_at SET NOT NULL, ALTER COLUMN updated_at SET NOT NULL, ALTER COLUMN status SET NOT NULL;
ALTER TABLE messages
    ALTER COLUMN seq SET NOT NULL,
    ALTER COLUMN message_type SET NOT NULL, ALTER COLUMN attachments SET NOT NULL, ALTER COLUMN attachments SET DEFAULT '[]',
    ALTER COLUMN read_by SET NOT NULL, ALTER COLUMN read_by SET DEFAULT '[]',
    ALTER COLUMN delivered_to SET NOT NULL, ALTER COLUMN delivered_to SET DEFAULT '[]',
    ALTER COLUMN is_edited SET NOT NULL, ALTER COLUMN is_edited SET DEFAULT false,
    ALTER COLUMN is_deleted SET NOT NULL, ALTER COLUMN is_deleted SET DEFAULT false,
    ALTER COLUMN edit_count SET NOT NULL, ALTER COLUMN edit_count SET DEFAULT 0,
    ALTER COLUMN status SET NOT NULL, ALTER COLUMN status SET DEFAULT 'sent',
    ALTER COLUMN created_at SET NOT NULL, ALTER COLUMN updated_at SET NOT NULL;
CREATE UNIQUE INDEX messages_conversation_seq ON messages (conversation_id, seq);
-- A retry with the same clientMessageId is the same message, for good.
CREATE UNIQUE INDEX messages_client_message_id ON messages (conversation_id, sender_id, client_message_id)
    WHERE client_message_id IS NOT NULL;
-- A retry with the same tempId and content within ten minutes: not unique, the clock makes tempIds.
CREATE INDEX messages_temp_id ON messages (sender_id, temp_id) WHERE temp_id IS NOT NULL;
CREATE INDEX conversation_members_user ON conversation_members (user_id, conversation_id);
CREATE INDEX IF NOT EXISTS message_edits_message ON message_edits (message_id, edited_at DESC);
-- Every message updates its conversation's row: room on the page keeps that update off the indexes.
ALTER TABLE conversations SET (fillfactor = 80);
-- Typing is memory's truth; the table is a window for SQL readers and need not survive a crash.
ALTER TABLE typing_indicators SET UNLOGGED;
-- Until a server says otherwise nobody is connected.
UPDATE user_online_status SET is_online = false, socket_id = NULL WHERE is_online;
UPDATE user_online_status SET updated_at = now() WHERE updated_at IS NULL;

-- 6. For SQL users: participant_ids and members stay the same thing, and a message inserted by hand gets its seq.
CREATE FUNCTION souk_sync_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM conversation_members WHERE conversation_id = NEW.id AND NOT NEW.participant_ids ? user_id::text;
    END IF;
    INSERT INTO conversation_members (conversation_id, user_id, last_read_seq, last_delivered_seq)
    SELECT NEW.id, p.id::uuid, NEW.last_seq, NEW.last_seq FROM jsonb_array_elements_text(NEW.participant_ids) AS p (id)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER conversations_members AFTER INSERT OR UPDATE OF participant_ids ON conversations
    FOR EACH ROW EXECUTE FUNCTION souk_sync_members();

CREATE FUNCTION souk_number_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE conversations SET last_seq = last_seq + 1, last_message_at = NEW.created_at, updated_at = NEW.created_at,
                             last_message_text = NEW.message_text
    WHERE id = NEW.conversation_id RETURNING last_seq INTO NEW.seq;
    UPDATE conversation_members SET skipped = skipped + 1
    WHERE conversation_id = NEW.conversation_id AND user_id = NEW.sender_id;
    RETURN NEW;
END $$;
CREATE TRIGGER messages_number BEFORE INSERT ON messages
    FOR EACH ROW WHEN (NEW.seq IS NULL) EXECUTE FUNCTION souk_number_message();

-- 7. The views and functions that the contract names.
CREATE VIEW conversation_participants AS
SELECT c.id AS conversation_id, c.type, c.status, cm.user_id, c.last_message_at, c.created_at
FROM conversations c JOIN conversation_members cm ON cm.conversation_id = c.id;

CREATE VIEW unread_message_counts AS
SELECT cm.conversation_id, cm.user_id, c.last_seq - cm.last_read_seq - cm.skipped AS unread_count
FROM conversation_members cm JOIN conversations c ON c.id = cm.conversation_id;

CREATE FUNCTION is_conversation_participant(p_conversation_id uuid, p_user_id uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM conversation_members WHERE conversation_id = p_conversation_id AND user_id = p_user_id)
$$;

-- Moves the watermark to the newest message. The conversation's row is locked first, as sending does:
-- a send committing in between would otherwise leave its own message counted as unread.
CREATE FUNCTION souk_mark_read(p_conversation_id uuid, p_user_id uuid)
RETURNS TABLE (marked bigint, read_seq bigint, read_at timestamptz) LANGUAGE sql AS $$
    WITH c AS (
        SELECT id, last_seq FROM conversations WHERE id = p_conversation_id FOR NO KEY UPDATE
    ), old AS (
        SELECT m.conversation_id, m.user_id, c.last_seq, c.last_seq - m.last_read_seq - m.skipped AS unread
        FROM c JOIN conversation_members m ON m.conversation_id = c.id AND m.user_id = p_user_id
        WHERE m.last_read_seq < c.last_seq
        FOR UPDATE OF m
    )
    UPDATE conversation_members m
    SET last_read_seq = old.last_seq, skipped = 0,
        last_read_at = CASE WHEN old.unread > 0 THEN now() ELSE m.last_read_at END
    FROM old WHERE m.conversation_id = old.conversation_id AND m.user_id = old.user_id
    RETURNING old.unread, m.last_read_seq, COALESCE(m.last_read_at, now())
$$;

CREATE FUNCTION mark_messages_as_read(p_conversation_id uuid, p_user_id uuid) RETURNS integer
LANGUAGE sql AS $$
    SELECT COALESCE((SELECT marked FROM souk_mark_read(p_conversation_id, p_user_id)), 0)::integer
$$;

CREATE FUNCTION get_unread_message_count(user_id uuid) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT COALESCE(sum(u.unread_count), 0)::integer FROM unread_message_counts u WHERE u.user_id = $1
$$;

CREATE VIEW message_reaction_counts AS
SELECT message_id, reaction, count(*) AS count, jsonb_agg(user_id ORDER BY created_at, user_id) AS user_ids
FROM message_reactions GROUP BY message_id, reaction;

CREATE VIEW messages_with_reactions AS
SELECT m.*, COALESCE((SELECT jsonb_agg(jsonb_build_object('reaction', r.reaction, 'count', r.count, 'user_ids', r.user_ids)
                                       ORDER BY r.reaction)
                      FROM message_reaction_counts r WHERE r.message_id = m.id), '[]') AS reactions
FROM messages m;
