-- Versions of messages, the rules for reactions, a limit on edits, and the texts of notifications that must go.
--
-- Locks: `messages` ACCESS EXCLUSIVE for a moment (a column with a constant default rewrites nothing, and a trigger).
-- The shop's `notifications` is read once, without a lock that anyone waits for: about 2 s for each million rows.

-- 1. Versions.
--
-- Grows with every change of a message after it was sent: its text, its deletion for everyone, its reactions. It is
-- taken under the row's lock, so of two changes the later one has the higher version, whichever is told first.
-- `changed_at` is set with it.
ALTER TABLE messages ADD COLUMN version bigint NOT NULL DEFAULT 0;

CREATE OR REPLACE FUNCTION souk_note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION souk_note_reaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE messages SET changed_at = clock_timestamp(), version = version + 1 WHERE id = COALESCE(NEW.message_id, OLD.message_id);
    RETURN NULL;
END $$;

-- A message's version as this transaction sees it now: for statements that changed it themselves by a function.
CREATE FUNCTION souk_version_now(p_message_id uuid) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT m.version FROM messages m WHERE m.id = p_message_id);
END $$;

-- 2. Quotes say who wrote the quoted message, and which version of it they show.
CREATE OR REPLACE FUNCTION souk_quotes_now(p_conversations uuid[], p_senders uuid[], p_replies uuid[])
RETURNS TABLE (ord bigint, quote jsonb) LANGUAGE plpgsql ROWS 1 AS $$
#variable_conflict use_column
BEGIN
    IF cardinality(array_remove(p_replies, NULL)) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT i.ord, jsonb_build_object('id', q.id, 'sender_id', q.sender_id, 'created_at', q.created_at, 'version', q.version,
                                     'sender_name', CASE WHEN btrim(u.display_name) <> '' THEN u.display_name ELSE split_part(u.email, '@', 1) END,
                                     'is_deleted', false, 'message_text', q.message_text)
    FROM unnest(p_conversations, p_senders, p_replies) WITH ORDINALITY AS i (conversation_id, sender_id, reply_to, ord)
    JOIN messages q ON q.id = i.reply_to AND q.conversation_id = i.conversation_id AND NOT q.is_deleted
    LEFT JOIN users u ON u.id = q.sender_id
    WHERE NOT EXISTS (SELECT 1 FROM message_deletions h WHERE h.message_id = q.id AND h.user_id = i.sender_id);
END $$;

-- 3. Reactions.
--
-- Two reactions are the same where they differ in U+FE0F alone, the sign after which some characters are drawn in
-- colour: keyboards send ❤ with it or without it. They are counted together, under the form that came first, and a
-- user who stored both forms before this rule counts once.
DO $$
BEGIN
    -- The column's type is the adopted table's, which a view that is replaced must keep.
    EXECUTE format($view$
        CREATE OR REPLACE VIEW message_reaction_counts AS
        SELECT message_id, (array_agg(reaction ORDER BY at, user_id))[1]::%s AS reaction, count(*) AS count,
               jsonb_agg(user_id ORDER BY at, user_id) AS user_ids
        FROM (SELECT message_id, replace(reaction, chr(65039), '') AS key, user_id, min(created_at) AS at,
                     (array_agg(reaction ORDER BY created_at, id))[1] AS reaction
              FROM message_reactions GROUP BY 1, 2, 3) r
        GROUP BY message_id, key
    $view$, (SELECT format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = 'message_reaction_counts'::regclass AND attname = 'reaction'));
END $$;

-- The reactions of a message as the API gives them. There may be many from before there was a limit: they are not all
-- sent along with the message.
CREATE OR REPLACE FUNCTION souk_reactions(p_message_id uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object('reaction', r.reaction, 'count', r.count, 'user_ids', r.user_ids)
                              ORDER BY r.reaction), '[]')
    FROM (SELECT * FROM message_reaction_counts WHERE message_id = p_message_id ORDER BY reaction LIMIT 100) r
$$;

-- At most 20 different reactions to a message, and 5 of one user. Outcomes as in 0003 and 0004, and 'too_many'.
CREATE OR REPLACE FUNCTION souk_add_reaction(p_message_id uuid, p_user_id uuid, p_reaction text)
RETURNS TABLE (outcome text, conversation_id uuid, members uuid[], reactions jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    l         record;
    form      text;
    different bigint;
    own       bigint;
    has_it    boolean;
BEGIN
    SELECT * INTO l FROM souk_lock_message(p_message_id, p_user_id);
    conversation_id := l.conversation_id;
    members := l.members;
    outcome := CASE WHEN l.conversation_id IS NULL THEN 'not_found'
                    WHEN NOT p_user_id = ANY (l.members) THEN 'not_member'
                    WHEN l.hidden THEN 'not_found'
                    WHEN l.is_deleted THEN 'gone'
                    WHEN souk_is_blocked(l.members) THEN 'blocked'
                    ELSE 'added' END;
    IF outcome = 'added' THEN
        SELECT (array_agg(r.reaction ORDER BY r.created_at, r.id) FILTER (WHERE r.key = k.key))[1],
               count(DISTINCT r.key),
               count(DISTINCT r.key) FILTER (WHERE r.user_id = p_user_id),
               COALESCE(bool_or(r.user_id = p_user_id AND r.key = k.key), false)
        INTO form, different, own, has_it
        FROM (SELECT replace(p_reaction, chr(65039), '') AS key) k
        CROSS JOIN (SELECT x.*, replace(x.reaction, chr(65039), '') AS key
                    FROM message_reactions x WHERE x.message_id = p_message_id) r;
        IF has_it THEN
            outcome := 'unchanged';
        ELSIF own >= 5 OR form IS NULL AND different >= 20 THEN
            outcome := 'too_many';
        ELSE
            INSERT INTO message_reactions (id, message_id, user_id, reaction, created_at)
            VALUES (gen_random_uuid(), p_message_id, p_user_id, COALESCE(form, p_reaction), clock_timestamp());
        END IF;
        reactions := souk_reactions(p_message_id);
    END IF;
    RETURN NEXT;
END $$;

-- Whatever was stored, whether or not it could be added today.
CREATE OR REPLACE FUNCTION souk_remove_reaction(p_message_id uuid, p_user_id uuid, p_reaction text)
RETURNS TABLE (outcome text, conversation_id uuid, members uuid[], reactions jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    l record;
BEGIN
    SELECT * INTO l FROM souk_lock_message(p_message_id, p_user_id);
    conversation_id := l.conversation_id;
    members := l.members;
    outcome := CASE WHEN l.conversation_id IS NULL THEN 'not_found'
                    WHEN NOT p_user_id = ANY (l.members) THEN 'not_member'
                    WHEN l.hidden THEN 'not_found'
                    WHEN l.is_deleted THEN 'gone'
                    ELSE 'removed' END;
    IF outcome = 'removed' THEN
        DELETE FROM message_reactions r
        WHERE r.message_id = p_message_id AND r.user_id = p_user_id
          AND replace(r.reaction, chr(65039), '') = replace(p_reaction, chr(65039), '');
        IF NOT FOUND THEN
            outcome := 'unchanged';
        END IF;
        reactions := souk_reactions(p_message_id);
    END IF;
    RETURN NEXT;
END $$;

-- 4. Edits.
--
-- As in 0004, and 'too_many_edits': a message is edited at most p_max_edits times, where that is given.
DROP FUNCTION souk_edit_message(uuid, uuid, text);
CREATE FUNCTION souk_edit_message(p_message_id uuid, p_user_id uuid, p_new_text text, p_max_edits integer DEFAULT NULL)
RETURNS TABLE (outcome text, conversation_id uuid, members uuid[]) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    l     record;
    at    timestamptz;
    old   text;
    edits integer;
BEGIN
    SELECT * INTO l FROM souk_lock_message(p_message_id, p_user_id);
    conversation_id := l.conversation_id;
    members := l.members;
    at := clock_timestamp();
    SELECT m.message_text, m.edit_count INTO old, edits FROM messages m WHERE m.id = p_message_id;
    outcome := CASE WHEN l.conversation_id IS NULL THEN 'not_found'
                    WHEN NOT p_user_id = ANY (l.members) THEN 'not_member'
                    WHEN l.hidden THEN 'not_found'
                    WHEN l.is_deleted THEN 'gone'
                    WHEN l.sender_id <> p_user_id THEN 'not_sender'
                    WHEN souk_is_blocked(l.members) THEN 'blocked'
                    WHEN old = p_new_text THEN 'unchanged'
                    WHEN edits >= p_max_edits THEN 'too_many_edits'
                    ELSE 'edited' END;
    IF outcome = 'edited' THEN
        INSERT INTO message_edits (id, message_id, old_text, edited_by, edited_at)
        VALUES (gen_random_uuid(), p_message_id, old, p_user_id, at);
        UPDATE messages m
        SET message_text = p_new_text, is_edited = true, edit_count = m.edit_count + 1,
            edited_at = at, last_edited_at = at, updated_at = at
        WHERE m.id = p_message_id;
        UPDATE conversations c SET last_message_text = p_new_text WHERE c.id = l.conversation_id AND l.seq = l.last_seq;
    END IF;
    RETURN NEXT;
END $$;

CREATE OR REPLACE FUNCTION souk_raise_refusal(p_outcome text, p_not_sender text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CASE
        WHEN p_outcome IN ('not_found', 'gone') THEN RAISE EXCEPTION 'Message not found' USING ERRCODE = 'P0002';
        WHEN p_outcome = 'not_member' THEN RAISE EXCEPTION 'Not authorized' USING ERRCODE = '42501';
        WHEN p_outcome = 'not_sender' THEN RAISE EXCEPTION '%', p_not_sender USING ERRCODE = '42501';
        WHEN p_outcome = 'blocked' THEN RAISE EXCEPTION 'You cannot talk to this user' USING ERRCODE = '42501';
        WHEN p_outcome = 'too_many' THEN RAISE EXCEPTION 'Too many reactions' USING ERRCODE = '54000';
        WHEN p_outcome = 'too_many_edits' THEN RAISE EXCEPTION 'Message was edited too often' USING ERRCODE = '54000';
        ELSE NULL;
    END CASE;
END $$;

-- As in 0003, with the newest 20 earlier texts and how many there are. get_message_edit_history has all of them.
CREATE OR REPLACE FUNCTION get_message_details(p_message_id uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT to_jsonb(m) || jsonb_build_object(
        'reply_to', (SELECT to_jsonb(q) FROM messages_with_reactions q WHERE q.id = m.reply_to_message_id AND q.conversation_id = m.conversation_id),
        'edit_history', COALESCE((SELECT jsonb_agg(to_jsonb(h) ORDER BY h.edited_at DESC, h.id DESC)
                                  FROM (SELECT * FROM get_message_edit_history(m.id) LIMIT 20) h), '[]'),
        'edit_history_count', (SELECT count(*) FROM message_edits e WHERE e.message_id = m.id))
    FROM messages_with_reactions m WHERE m.id = p_message_id
$$;

-- 5. Notifications of a message that is deleted for everyone: their text goes.
--
-- Which of the shop's notifications tell of a message. No foreign keys: the shop may drop or clear its table, and a
-- reference to nothing harms nobody.
CREATE TABLE message_notifications (
    message_id      uuid    NOT NULL,
    notification_id uuid    NOT NULL,
    -- The message was deleted for everyone; a server takes the text out and then drops this row.
    must_go         boolean NOT NULL DEFAULT false,
    -- Servers drop the row 90 days later.
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (message_id, notification_id)
);
CREATE INDEX message_notifications_old ON message_notifications (created_at) WHERE NOT must_go;
CREATE INDEX message_notifications_must_go ON message_notifications (message_id, notification_id) WHERE must_go;

-- A trigger, because SQL users delete messages too. It does not touch the shop's table, which may be locked.
CREATE FUNCTION souk_note_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE message_notifications SET must_go = true WHERE message_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER souk_note_deletion AFTER UPDATE OF is_deleted ON messages
    FOR EACH ROW WHEN (NEW.is_deleted AND NOT OLD.is_deleted) EXECUTE FUNCTION souk_note_deletion();

-- The notifications that are there already, where the shop's table is of the usual shape and may be read.
DO $$
BEGIN
    IF to_regclass('notifications') IS NULL OR NOT has_table_privilege('notifications', 'SELECT') THEN
        RETURN;
    END IF;
    IF (SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('notifications') AND NOT attisdropped
          AND (attname, format_type(atttypid, NULL)) IN (('id', 'uuid'), ('metadata', 'jsonb'))) = 2 THEN
        EXECUTE $backfill$
            INSERT INTO message_notifications (message_id, notification_id, must_go)
            SELECT m.id, n.id, m.is_deleted
            FROM (SELECT id, CASE WHEN metadata ->> 'message_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                                  THEN (metadata ->> 'message_id')::uuid END AS message_id FROM notifications) n
            JOIN messages m ON m.id = n.message_id
            WHERE n.id IS NOT NULL
            ON CONFLICT DO NOTHING
        $backfill$;
    END IF;
END $$;

-- 6. How many bytes of text each user has stored, for a limit. Servers add to it in batches, from this migration on.
CREATE TABLE chat_stored_bytes (
    user_id uuid   PRIMARY KEY,
    bytes   bigint NOT NULL
);

-- Nobody but us reads or writes these.
DO $$
DECLARE
    r text;
BEGIN
    REVOKE ALL ON message_notifications, chat_stored_bytes FROM PUBLIC;
    FOR r IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON message_notifications, chat_stored_bytes FROM %I', r);
    END LOOP;
    -- Whoever may react or delete tells so, whether or not they may write to our tables.
    EXECUTE format('ALTER FUNCTION souk_note_reaction() SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION souk_note_deletion() SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END $$;
