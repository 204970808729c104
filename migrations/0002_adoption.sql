-- Adoption: brings what the Node server left (0001) to the chat's own tables, with members and their watermarks, a gap-free
-- sequence number per conversation, versions of messages, and times with a zone. An empty database goes the same way.
--
-- No row and no text is deleted; every step says how many rows it touched and how long it is since the start; at the end
-- the counts are compared with those of the beginning.
--
-- Locks: conversations, messages, message_reactions, message_edits, typing_indicators and user_online_status ACCESS
-- EXCLUSIVE (nobody reads or writes them) from the first statement to the end of the transaction, which is that of all
-- migrations. A million messages in ten thousand conversations take 35 s to a minute on two cores (and
-- as long as the shop's own indexes on messages take to build); more were not measured. An empty database takes milliseconds.
-- messages is rewritten once and doubles in size; what is free then is filled again by what comes. The shop's users and
-- notifications are not touched.

-- All times mean UTC. With the session in UTC, Postgres takes `timestamp` for `timestamptz` without rewriting a table.
SET LOCAL timezone = 'UTC';
SET LOCAL client_min_messages = notice;
SET LOCAL work_mem = '64MB';
SET LOCAL maintenance_work_mem = '256MB';

-- The Node server, should it still run, waits here and not halfway.
LOCK TABLE conversations, messages, message_reactions, message_edits, typing_indicators, user_online_status
    IN ACCESS EXCLUSIVE MODE;

-- What is there now; an empty database is adopted in silence.
CREATE TEMPORARY TABLE adopted ON COMMIT DROP AS
SELECT (SELECT count(*) FROM conversations) AS conversations, (SELECT count(*) FROM messages) AS messages,
       (SELECT count(*) FROM message_reactions) AS reactions, (SELECT count(*) FROM message_edits) AS edits;

CREATE FUNCTION souk_adoption_note(p_text text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM adopted WHERE conversations > 0) THEN
        RAISE NOTICE 'adoption, % s: %', round(extract(epoch FROM clock_timestamp() - now())::numeric, 1), p_text;
    END IF;
END $$;
SELECT souk_adoption_note(format('found %s conversations, %s messages, %s reactions, %s edits',
                                 conversations, messages, reactions, edits)) FROM adopted;

-- 1. Out of the way.

-- The Node server's functions, whatever their parameters and results were: they read columns that mean something else
-- from now on, and may hang on the views below. Not those of the three that 0008 replaces by an equal one: policies and
-- views of the shop may hang on them.
DO $$
DECLARE
    f record;
BEGIN
    FOR f IN
             -- `souk migrate --check` runs this query too: dropped functions
             SELECT p.oid::regprocedure AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE n.nspname = current_schema() AND p.prokind = 'f' AND p.proname IN (
                 'is_conversation_participant', 'mark_messages_as_read', 'get_unread_message_count', 'edit_message',
                 'delete_message', 'add_message_reaction', 'remove_message_reaction', 'get_message_edit_history',
                 'get_message_details')
               AND (p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid)) NOT IN (
                 ('is_conversation_participant', 'p_conversation_id uuid, p_user_id uuid', 'boolean'),
                 ('mark_messages_as_read', 'p_conversation_id uuid, p_user_id uuid', 'integer'),
                 ('get_unread_message_count', 'user_id uuid', 'integer'))
             -- end
    LOOP
        PERFORM souk_adoption_note(format('dropping the Node server''s function %s', f.name));
        EXECUTE format('DROP FUNCTION %s', f.name);
    END LOOP;
END $$;

-- Views that hang on columns about to change. 0004 makes them again and gives back who may read them.
CREATE TEMPORARY TABLE adopted_grants (view_name text, grantee text, privilege text) ON COMMIT DROP;
DO $$
DECLARE
    v text;
BEGIN
    FOREACH v IN ARRAY ARRAY ['messages_with_reactions', 'message_reaction_counts', 'unread_message_counts',
                              'conversation_participants'] LOOP
        IF to_regclass(v) IS NOT NULL THEN
            INSERT INTO adopted_grants
            SELECT v, COALESCE(quote_ident(r.rolname), 'PUBLIC'), a.privilege_type
            FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
            WHERE c.oid = v::regclass AND a.grantee <> c.relowner;
            EXECUTE format('DROP VIEW %I', v);
        END IF;
    END LOOP;
END $$;

-- The Node server's triggers kept the preview (now part of the statement that sends), set delivered_at and read_at
-- (now derived from watermarks) and swept typing_indicators: left in place they would write every row twice. Their
-- names are not known, so they are known by what they do; `souk migrate --check` lists each before. Any other trigger is
-- the shop's: it sleeps during adoption.
CREATE TEMPORARY TABLE adopted_triggers (rel regclass, name name, state "char") ON COMMIT DROP;
DO $$
DECLARE
    t record;
BEGIN
    FOR t IN
             -- `souk migrate --check` runs this query too: triggers
             SELECT g.tgname, g.tgrelid::regclass AS rel, g.tgfoid::regprocedure AS function, g.tgenabled,
                    CASE g.tgrelid
                        WHEN to_regclass('messages') THEN
                            p.prosrc ~* 'update\s+("?public"?\.)?"?conversations\y|new\.(delivered_at|read_at)\s*:?='
                        WHEN to_regclass('typing_indicators') THEN p.prosrc ~* 'delete\s+from\s+("?public"?\.)?"?typing_indicators\y'
                        ELSE false END AS is_nodes
             FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
             WHERE NOT g.tgisinternal AND g.tgrelid IN (
                 to_regclass('conversations'), to_regclass('messages'), to_regclass('message_reactions'), to_regclass('message_edits'),
                 to_regclass('typing_indicators'), to_regclass('user_online_status'))
             -- end
    LOOP
        IF t.is_nodes THEN
            PERFORM souk_adoption_note(format('dropping the Node server''s trigger %s on %s', t.tgname, t.rel));
            EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.rel);
            IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgfoid = t.function) THEN
                EXECUTE format('DROP FUNCTION %s', t.function);
            END IF;
        ELSIF t.tgenabled IN ('O', 'A') THEN
            PERFORM souk_adoption_note(format('leaving trigger %s on %s to the shop', t.tgname, t.rel));
            INSERT INTO adopted_triggers VALUES (t.rel, t.tgname, t.tgenabled);
            EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.rel, t.tgname);
        END IF;
    END LOOP;
END $$;

-- Indexes. On messages every one would take a million entries during adoption and one with every message after it.
-- Those on the Node server's columns go for good: read_by, delivered_to and status are derived now, and the indexes of
-- step 5 serve the rest. On conversations those go for good that would grow with every message: without them the
-- update that a message makes touches no index at all. The others are made again when the data is in place.
CREATE TEMPORARY TABLE adopted_indexes (definition text) ON COMMIT DROP;
DO $$
DECLARE
    i record;
BEGIN
    FOR i IN
             -- `souk migrate --check` runs this query too: indexes
             SELECT x.indexrelid::regclass AS name, x.indrelid::regclass AS rel, pg_get_indexdef(x.indexrelid) AS definition,
                    NOT x.indisunique AND x.indexprs IS NULL AND CASE x.indrelid
                        WHEN to_regclass('messages') THEN k.names <> ARRAY ['created_at'] AND k.names <@ ARRAY [
                            'conversation_id', 'sender_id', 'created_at', 'read_by', 'delivered_to', 'status', 'delivered_at',
                            'read_at', 'is_deleted', 'is_edited', 'deletion_type', 'deleted_by', 'reply_to_message_id']
                        ELSE k.names && ARRAY ['last_message_at', 'updated_at', 'last_message_text'] END AS for_good
             FROM pg_index x
             CROSS JOIN LATERAL (SELECT array_agg(a.attname::text) AS names FROM pg_attribute a
                                 WHERE a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)) k
             WHERE x.indrelid IN (to_regclass('messages'), to_regclass('conversations'))
               AND NOT EXISTS (SELECT 1 FROM pg_constraint o WHERE o.conindid = x.indexrelid)
             -- end
    LOOP
        IF i.for_good THEN
            PERFORM souk_adoption_note(format('dropping index %s: %s', i.name, i.definition));
        ELSE
            INSERT INTO adopted_indexes VALUES (i.definition);
        END IF;
        EXECUTE format('DROP INDEX %s', i.name);
    END LOOP;
END $$;

-- 2. Times: all of them are UTC already, most without saying so.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT table_name, string_agg(format(
                 'ALTER COLUMN %1$I DROP DEFAULT, ALTER COLUMN %1$I TYPE timestamptz', column_name), ', ') AS changes
             FROM information_schema.columns
             WHERE table_schema = current_schema() AND data_type = 'timestamp without time zone'
               AND table_name IN ('conversations', 'messages', 'message_reactions', 'message_edits',
                                  'typing_indicators', 'user_online_status')
             GROUP BY table_name
    LOOP
        EXECUTE format('ALTER TABLE %I %s', c.table_name, c.changes);
        PERFORM souk_adoption_note(format('times of %s are timestamptz', c.table_name));
    END LOOP;
END $$;

-- 3. Columns and tables that the Node server did not have. A constant default rewrites nothing.
ALTER TABLE conversations
    ADD COLUMN last_seq bigint NOT NULL DEFAULT 0,
    -- Of a conversation's messages those with deleted_after < seq <= deleted_to are known to be deleted for everyone: the run
    -- of them that was found last. The message that last_message_text shows is the newest one (last_seq), or deleted_after
    -- where the newest is in that run. Sending leaves both alone, and a deletion looks at no message twice: it passes over
    -- the run.
    ADD COLUMN deleted_after bigint NOT NULL DEFAULT 0,
    ADD COLUMN deleted_to    bigint NOT NULL DEFAULT 0;
-- The list of a message's columns; src/db/messages/columns.rs is the one in Rust.
ALTER TABLE messages
    ADD COLUMN seq bigint,
    ADD COLUMN client_message_id varchar(128),
    ADD COLUMN temp_id varchar(128),
    -- When a message last changed after it was sent: its text, its deletion for everyone, its reactions. NULL for most, so
    -- that the index stays small and sending touches neither. Triggers set it (0007), because SQL users edit messages too.
    ADD COLUMN changed_at timestamptz,
    -- Grows with every such change. It is taken under the row's lock, so of two changes the later one has the higher
    -- version, whichever is told first.
    ADD COLUMN version bigint NOT NULL DEFAULT 0;

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
    -- Messages above last_read_seq that do not count as unread: own ones, deleted ones, and adopted ones that were
    -- read while an older one was not. unread = conversations.last_seq - last_read_seq - skipped, without looking
    -- at messages.
    skipped            bigint      NOT NULL DEFAULT 0,
    -- The minute in which the conversation was last active. A minute, because it changes once a minute and not with every
    -- message, so that sending leaves the index alone.
    active_minute      integer     NOT NULL DEFAULT 0,
    -- Whether anything may be unread; where it is false nothing is. It changes with the first message after everything was
    -- read, and when everything is read again.
    maybe_unread       boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (conversation_id, user_id)
) WITH (fillfactor = 80);

-- Deletions "for me": only this user stops seeing the message.
CREATE TABLE message_deletions (
    message_id uuid        NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    user_id    uuid        NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (message_id, user_id)
);

-- 4. The data.

-- Functions of their arguments alone, which the data below and the indexes need. souk_participants and souk_minute have no
-- search_path of their own (0009), and use only what is immutable too: so each is put in place of its call.

-- The users in a participant_ids: each once, whatever the case of the id; what is no id is passed over.
-- Called here and by souk_sync_members.
CREATE FUNCTION souk_participants(p_participant_ids jsonb) RETURNS SETOF uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT DISTINCT p.id::uuid
    FROM jsonb_array_elements_text(
        CASE WHEN jsonb_typeof(p_participant_ids) = 'array' THEN p_participant_ids ELSE '[]' END) AS p (id)
    WHERE p.id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
$$;

-- The minute of a time, counted from 1970, as conversation_members.active_minute has it. Not of numeric, which is slow. What
-- an integer cannot say (from the year 6053 on, before the year -2113) is its last or first.
-- Called here, by the triggers of active_minute, by the statement that sends and by the list of conversations.
CREATE FUNCTION souk_minute(p_at timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT LEAST(GREATEST(floor(date_part('epoch', p_at AT TIME ZONE 'UTC') / 60), -2147483648), 2147483647)::integer
$$;

-- What the list of conversations shows of a message: its text, or of files without text the name of the first. The statement
-- that sends (src/db/messages/send_batch.sql) says the same in place.
-- Called here, by the triggers that keep previews, and by the list of conversations.
CREATE FUNCTION souk_preview(p_text text, p_attachments jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN btrim(p_text, E' \t\r\n') = '' THEN COALESCE(NULLIF(p_attachments -> 0 ->> 'name', ''), p_text) ELSE p_text END
$$;

-- The files that a message's attachments name: those that POST /upload made, by `path` or by the link in `url`.
-- Called by the index messages_file_paths, souk_is_file_named and souk_note_deleted_files.
CREATE FUNCTION souk_file_paths(p_attachments jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT COALESCE(array_agg(DISTINCT f.path ORDER BY f.path), '{}')
    FROM jsonb_array_elements(CASE WHEN jsonb_typeof(p_attachments) = 'array' THEN p_attachments ELSE '[]' END) AS a (file)
    CROSS JOIN LATERAL (VALUES (a.file ->> 'path'), (substring(a.file ->> 'url' FROM '/api/chat/files/([^?#]+)'))) AS f (path)
    WHERE f.path ~ '^chat/[0-9a-f-]{36}/[0-9a-f-]{36}/[A-Za-z0-9_-]{1,60}[.][a-z]{1,5}$'
$$;

-- A "for me" deletion was stored as deleted for everybody: it goes back to the one who meant it.
INSERT INTO message_deletions (message_id, user_id, deleted_at)
SELECT id, deleted_by, COALESCE(deleted_at, updated_at, now()) FROM messages
WHERE is_deleted AND deletion_type = 'for_me' AND deleted_by IS NOT NULL;
SELECT souk_adoption_note(format('%s deletions for one user only', count(*))) FROM message_deletions;

-- The order was created_at. Equal times are broken so that read state survives: read before unread, then id.
-- A message that has reactions was changed when the last of them came.
CREATE TEMPORARY TABLE adopted_order ON COMMIT DROP AS
SELECT m.ctid AS tid, row_number() OVER (
           PARTITION BY conversation_id
           ORDER BY COALESCE(created_at, updated_at, now()),
                    CASE WHEN jsonb_typeof(read_by) = 'array' THEN -jsonb_array_length(read_by) ELSE 0 END,
                    id) AS seq,
       COALESCE(is_deleted AND deletion_type = 'for_me' AND deleted_by IS NOT NULL, false) AS for_me,
       r.reacted_at
FROM messages m
LEFT JOIN (SELECT message_id, max(COALESCE(created_at, now())) AS reacted_at FROM message_reactions GROUP BY 1) r
       ON r.message_id = m.id;
SELECT souk_adoption_note('order of the messages known');

-- The only rewrite of the messages, page by page in their stored order. No one else is in the table and nothing is
-- vacuumed meanwhile, so a row's place is its name; new versions go to places that are not in adopted_order.
DO $$
DECLARE
    pages  bigint := pg_relation_size('messages') / current_setting('block_size')::bigint;
    steps  bigint := (SELECT LEAST(20, 1 + messages / 20000) FROM adopted);
    first  tid;
    behind tid;
    n      bigint;
    done   bigint := 0;
BEGIN
    FOR step IN 1 .. steps LOOP
        first := format('(%s,0)', pages * (step - 1) / steps);
        behind := format('(%s,0)', pages * step / steps);
        UPDATE messages m SET
            seq           = o.seq,
            changed_at    = o.reacted_at,
            attachments   = CASE WHEN jsonb_typeof(m.attachments) = 'array' THEN m.attachments ELSE '[]' END,
            -- Ids are compared as text from here on.
            read_by       = CASE WHEN jsonb_typeof(m.read_by) IS DISTINCT FROM 'array' THEN '[]'
                                 WHEN m.read_by::text ~ '[A-F]' THEN lower(m.read_by::text)::jsonb ELSE m.read_by END,
            delivered_to  = CASE WHEN jsonb_typeof(m.delivered_to) IS DISTINCT FROM 'array' THEN '[]'
                                 WHEN m.delivered_to::text ~ '[A-F]' THEN lower(m.delivered_to::text)::jsonb
                                 ELSE m.delivered_to END,
            message_type  = COALESCE(m.message_type, 'text'),
            -- "sending" and "failed" were states of the client; what is stored was sent.
            status        = CASE WHEN m.status IN ('delivered', 'read') THEN m.status ELSE 'sent' END,
            is_edited     = COALESCE(m.is_edited, false),
            edit_count    = COALESCE(m.edit_count, 0),
            edited_at     = COALESCE(m.edited_at, m.last_edited_at),
            last_edited_at = COALESCE(m.last_edited_at, m.edited_at),
            created_at    = COALESCE(m.created_at, m.updated_at, now()),
            updated_at    = COALESCE(m.updated_at, m.created_at, now()),
            is_deleted    = COALESCE(m.is_deleted, false) AND NOT o.for_me,
            deleted_at    = CASE WHEN NOT o.for_me THEN m.deleted_at END,
            deleted_by    = CASE WHEN NOT o.for_me THEN m.deleted_by END,
            deletion_type = CASE WHEN o.for_me THEN NULL WHEN m.is_deleted THEN 'for_everyone' ELSE m.deletion_type END
        FROM adopted_order o
        WHERE o.tid = m.ctid AND m.ctid >= first AND m.ctid < behind AND o.tid >= first AND o.tid < behind;
        GET DIAGNOSTICS n = ROW_COUNT;
        done := done + n;
        PERFORM souk_adoption_note(format('%s of %s messages numbered', done, messages)) FROM adopted;
    END LOOP;
END $$;

CREATE UNIQUE INDEX messages_conversation_seq ON messages (conversation_id, seq);
SELECT souk_adoption_note('index on (conversation_id, seq) built');

-- What the list of conversations shows stays as it was stored; where nothing was, the newest message tells.
UPDATE conversations c SET
    last_seq          = COALESCE(l.seq, 0),
    last_message_at   = COALESCE(c.last_message_at, l.created_at),
    last_message_text = CASE WHEN l.is_deleted THEN '' ELSE COALESCE(c.last_message_text, l.message_text) END,
    created_at        = COALESCE(c.created_at, c.last_message_at, c.updated_at, now()),
    updated_at        = COALESCE(c.updated_at, c.last_message_at, c.created_at, now()),
    status            = COALESCE(c.status, 'active'),
    metadata          = COALESCE(c.metadata, '{}')
-- By hash: an index built over rows that this transaction changed is not for this transaction to use.
FROM conversations o
LEFT JOIN (SELECT conversation_id, max(seq) AS seq FROM messages GROUP BY 1) n ON n.conversation_id = o.id
LEFT JOIN messages l ON l.conversation_id = n.conversation_id AND l.seq = n.seq
WHERE o.id = c.id;
-- Where the newest message is deleted the preview is that of the one before, where it is a file without text its name.
WITH newest AS (
    SELECT c.id, c.last_seq, n.is_deleted, souk_preview(n.message_text, n.attachments) AS preview
    FROM conversations c JOIN messages n ON n.conversation_id = c.id AND n.seq = c.last_seq
    WHERE n.is_deleted OR btrim(n.message_text, E' \t\r\n') = '' AND n.attachments <> '[]'
), before AS (
    SELECT m.conversation_id, max(m.seq) AS seq
    FROM messages m JOIN newest n ON n.id = m.conversation_id WHERE n.is_deleted AND NOT m.is_deleted GROUP BY 1
)
UPDATE conversations c
SET last_message_text = CASE WHEN n.is_deleted THEN COALESCE(souk_preview(p.message_text, p.attachments), '') ELSE n.preview END,
    deleted_after = CASE WHEN n.is_deleted THEN COALESCE(b.seq, 0) ELSE 0 END,
    deleted_to = CASE WHEN n.is_deleted THEN n.last_seq ELSE 0 END
FROM newest n
LEFT JOIN before b ON b.conversation_id = n.id
LEFT JOIN messages p ON p.conversation_id = b.conversation_id AND p.seq = b.seq
WHERE n.id = c.id;
SELECT souk_adoption_note(format('%s of %s conversations have messages', count(*) FILTER (WHERE last_seq > 0), count(*)))
FROM conversations;

-- Watermarks: read up to just before the first message by another that the member has not read. What they read above
-- it stays in the message's read_by and counts as skipped, as their own and the deleted ones do: no count changes.
-- No time of reading is made up: adopted messages show their own.
INSERT INTO conversation_members (conversation_id, user_id, joined_at, last_read_seq, last_delivered_seq, skipped, active_minute, maybe_unread)
SELECT w.conversation_id, w.user_id, w.created_at, w.mark, w.mark, w.last_seq - w.mark - w.unread, w.active_minute, w.unread > 0
FROM (SELECT p.conversation_id, p.user_id, p.created_at, p.last_seq, p.active_minute,
             COALESCE(min(m.seq) - 1, p.last_seq) AS mark,
             count(m.seq) FILTER (WHERE NOT m.is_deleted AND d.message_id IS NULL) AS unread
      FROM (SELECT c.id AS conversation_id, u.user_id, c.created_at, c.last_seq,
                   souk_minute(COALESCE(c.last_message_at, c.created_at)) AS active_minute
            FROM conversations c CROSS JOIN LATERAL souk_participants(c.participant_ids) AS u (user_id)) p
      LEFT JOIN messages m ON m.conversation_id = p.conversation_id AND m.sender_id <> p.user_id
                          AND NOT m.read_by ? p.user_id::text
      LEFT JOIN message_deletions d ON d.message_id = m.id AND d.user_id = p.user_id
      GROUP BY 1, 2, 3, 4, 5) w;
SELECT souk_adoption_note(format('%s members, %s of them have read everything', count(*),
                                 count(*) FILTER (WHERE m.last_read_seq = c.last_seq)))
FROM conversation_members m JOIN conversations c ON c.id = m.conversation_id;

UPDATE message_reactions SET created_at = now() WHERE created_at IS NULL;
UPDATE message_edits e SET
    old_text = COALESCE(e.old_text, ''), edited_by = COALESCE(e.edited_by, m.sender_id), edited_at = COALESCE(e.edited_at, m.updated_at)
FROM messages m WHERE m.id = e.message_id AND (e.old_text IS NULL OR e.edited_by IS NULL OR e.edited_at IS NULL);
UPDATE typing_indicators SET is_typing = COALESCE(is_typing, false), last_typed_at = COALESCE(last_typed_at, now())
WHERE is_typing IS NULL OR last_typed_at IS NULL;
-- Until a server says otherwise nobody is connected.
UPDATE user_online_status SET
    last_seen_at = COALESCE(last_seen_at, CASE WHEN is_online THEN updated_at END),
    is_online = false, socket_id = NULL, updated_at = COALESCE(updated_at, now())
WHERE is_online IS DISTINCT FROM false OR updated_at IS NULL;

-- 5. What holds from now on, the same on every database.
ALTER TABLE conversations
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN metadata SET DEFAULT '{}', ALTER COLUMN metadata SET NOT NULL,
    ALTER COLUMN status SET DEFAULT 'active', ALTER COLUMN status SET NOT NULL,
    ALTER COLUMN created_at SET DEFAULT now(), ALTER COLUMN created_at SET NOT NULL,
    ALTER COLUMN updated_at SET DEFAULT now(), ALTER COLUMN updated_at SET NOT NULL,
    -- Every message updates its conversation's row: room on the page keeps that update off the indexes.
    SET (fillfactor = 80);
ALTER TABLE messages
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN seq SET NOT NULL,
    ALTER COLUMN message_type SET DEFAULT 'text', ALTER COLUMN message_type SET NOT NULL,
    ALTER COLUMN attachments SET DEFAULT '[]', ALTER COLUMN attachments SET NOT NULL,
    ALTER COLUMN read_by SET DEFAULT '[]', ALTER COLUMN read_by SET NOT NULL,
    ALTER COLUMN delivered_to SET DEFAULT '[]', ALTER COLUMN delivered_to SET NOT NULL,
    ALTER COLUMN is_edited SET DEFAULT false, ALTER COLUMN is_edited SET NOT NULL,
    ALTER COLUMN is_deleted SET DEFAULT false, ALTER COLUMN is_deleted SET NOT NULL,
    ALTER COLUMN edit_count SET DEFAULT 0, ALTER COLUMN edit_count SET NOT NULL,
    ALTER COLUMN status SET DEFAULT 'sent', ALTER COLUMN status SET NOT NULL,
    ALTER COLUMN created_at SET DEFAULT now(), ALTER COLUMN created_at SET NOT NULL,
    ALTER COLUMN updated_at SET DEFAULT now(), ALTER COLUMN updated_at SET NOT NULL;
ALTER TABLE message_reactions
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN created_at SET DEFAULT now(), ALTER COLUMN created_at SET NOT NULL;
ALTER TABLE message_edits
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN old_text SET NOT NULL, ALTER COLUMN edited_by SET NOT NULL,
    ALTER COLUMN edited_at SET DEFAULT now(), ALTER COLUMN edited_at SET NOT NULL;
ALTER TABLE typing_indicators
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN is_typing SET DEFAULT false, ALTER COLUMN is_typing SET NOT NULL,
    ALTER COLUMN last_typed_at SET DEFAULT now(), ALTER COLUMN last_typed_at SET NOT NULL;
-- Typing is memory's truth; the table is a window for SQL readers and need not survive a crash. A hosted database may
-- publish it, and then it has to stay logged.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_publication_rel WHERE prrelid = 'typing_indicators'::regclass) THEN
        ALTER TABLE typing_indicators SET UNLOGGED;
    END IF;
END $$;
ALTER TABLE user_online_status
    ALTER COLUMN is_online SET DEFAULT false, ALTER COLUMN is_online SET NOT NULL,
    ALTER COLUMN updated_at SET DEFAULT now(), ALTER COLUMN updated_at SET NOT NULL;

-- A retry with the same clientMessageId is the same message, for good.
CREATE UNIQUE INDEX messages_client_message_id ON messages (conversation_id, sender_id, client_message_id)
    WHERE client_message_id IS NOT NULL;
-- A retry with the same tempId and content within ten minutes: not unique, the clock makes tempIds.
-- Not partial either: it also finds a user's messages when the shop deletes the user.
CREATE INDEX messages_sender_temp_id ON messages (sender_id, temp_id);
-- For the foreign key: which messages answer one that goes.
CREATE INDEX messages_reply_to ON messages (reply_to_message_id) WHERE reply_to_message_id IS NOT NULL;
-- A user's newest conversations, and those with unread messages, without a look at all of them.
CREATE INDEX conversation_members_activity ON conversation_members (user_id, active_minute DESC, conversation_id);
CREATE INDEX conversation_members_unread ON conversation_members (user_id, conversation_id) WHERE maybe_unread;
-- Changes of messages since some time; what a user deleted for themselves since then, for their other devices.
CREATE INDEX messages_changed ON messages (conversation_id, changed_at) WHERE changed_at IS NOT NULL;
CREATE INDEX message_deletions_user ON message_deletions (user_id, deleted_at);
CREATE INDEX messages_file_paths ON messages USING gin (souk_file_paths(attachments)) WHERE attachments <> '[]';
CREATE INDEX IF NOT EXISTS message_edits_message ON message_edits (message_id, edited_at DESC);
SELECT souk_adoption_note('indexes built');
DO $$
DECLARE
    i record;
BEGIN
    FOR i IN SELECT definition FROM adopted_indexes LOOP
        BEGIN
            EXECUTE i.definition;
            PERFORM souk_adoption_note(format('made again: %s', i.definition));
        EXCEPTION WHEN invalid_object_definition THEN
            -- An expression that was immutable for a time without a zone and is not for one with it, date(created_at) say.
            RAISE WARNING 'adoption: not made again: % (%)', i.definition, SQLERRM;
        END;
    END LOOP;
    FOR i IN SELECT rel, name, state FROM adopted_triggers LOOP
        EXECUTE format('ALTER TABLE %s ENABLE %s TRIGGER %I', i.rel, CASE i.state WHEN 'A' THEN 'ALWAYS' ELSE '' END, i.name);
    END LOOP;
END $$;

-- Nothing lost, nothing doubled, no gap; else all of it is undone.
DO $$
DECLARE
    before adopted;
    after  adopted;
    faulty bigint;
BEGIN
    SELECT * INTO before FROM adopted;
    SELECT (SELECT count(*) FROM conversations), (SELECT count(*) FROM messages),
           (SELECT count(*) FROM message_reactions), (SELECT count(*) FROM message_edits) INTO after;
    SELECT count(*) INTO faulty
    FROM conversations c
    LEFT JOIN (SELECT conversation_id, count(*) AS n, min(seq) AS low, max(seq) AS high FROM messages GROUP BY 1) s
        ON s.conversation_id = c.id
    WHERE c.last_seq <> COALESCE(s.n, 0) OR c.last_seq <> COALESCE(s.high, 0) OR s.low <> 1;
    IF before IS DISTINCT FROM after OR faulty > 0 THEN
        RAISE EXCEPTION 'adoption: % before, % after, % conversations with a gap', before, after, faulty;
    END IF;
    PERFORM souk_adoption_note(format('done: %s conversations, %s messages, %s reactions, %s edits, as before',
                                      after.conversations, after.messages, after.reactions, after.edits));
END $$;
ANALYZE conversations, messages, conversation_members, message_deletions;
DROP FUNCTION souk_adoption_note(text);
