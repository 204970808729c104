-- Triggers: what follows from a change, whoever makes it, the server or an SQL user. They take locks in the one order: a
-- conversation, its messages, its members by user id.
--
-- Locks: conversations, messages, message_reactions and conversation_members SHARE ROW EXCLUSIVE (nobody writes them) from
-- its triggers to the end of the transaction; making a trigger reads nothing. On the Node server's database 0002 holds more.

-- Locks a conversation's members in their order. Called by the triggers below that change several of them; the
-- conversation's row is locked by then.
CREATE FUNCTION souk_lock_members(p_conversation_id uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM conversation_members WHERE conversation_id = p_conversation_id ORDER BY user_id FOR UPDATE;
END $$;

-- 1. participant_ids and members stay the same thing.

CREATE FUNCTION souk_sync_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        PERFORM souk_lock_members(NEW.id);
        DELETE FROM conversation_members
        WHERE conversation_id = NEW.id AND user_id NOT IN (SELECT souk_participants(NEW.participant_ids));
    END IF;
    INSERT INTO conversation_members (conversation_id, user_id, last_read_seq, last_delivered_seq)
    SELECT NEW.id, u, NEW.last_seq, NEW.last_seq FROM souk_participants(NEW.participant_ids) AS u ORDER BY u
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER conversations_members AFTER INSERT OR UPDATE OF participant_ids ON conversations
    FOR EACH ROW EXECUTE FUNCTION souk_sync_members();

-- A new member's active_minute and maybe_unread.
CREATE FUNCTION souk_member_activity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT souk_minute(COALESCE(c.last_message_at, c.created_at)), c.last_seq > 0
    INTO NEW.active_minute, NEW.maybe_unread
    FROM conversations c WHERE c.id = NEW.conversation_id;
    NEW.active_minute := COALESCE(NEW.active_minute, 0);
    NEW.maybe_unread := COALESCE(NEW.maybe_unread, false);
    RETURN NEW;
END $$;
CREATE TRIGGER souk_member_activity BEFORE INSERT ON conversation_members
    FOR EACH ROW EXECUTE FUNCTION souk_member_activity();

-- active_minute of all members, where last_message_at or created_at is set by SQL. Sending sets active_minute itself before
-- this trigger runs, and so comes to no row here.
CREATE FUNCTION souk_conversation_activity() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    minute integer := souk_minute(COALESCE(NEW.last_message_at, NEW.created_at));
BEGIN
    IF EXISTS (SELECT 1 FROM conversation_members WHERE conversation_id = NEW.id AND active_minute <> minute) THEN
        PERFORM souk_lock_members(NEW.id);
        UPDATE conversation_members SET active_minute = minute WHERE conversation_id = NEW.id AND active_minute <> minute;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER souk_conversation_activity AFTER UPDATE OF last_message_at, created_at ON conversations
    FOR EACH ROW WHEN (souk_minute(COALESCE(NEW.last_message_at, NEW.created_at))
                       IS DISTINCT FROM souk_minute(COALESCE(OLD.last_message_at, OLD.created_at)))
    EXECUTE FUNCTION souk_conversation_activity();

-- Where a watermark is set back by SQL, something may be unread again.
CREATE FUNCTION souk_member_unread() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.maybe_unread := true;
    RETURN NEW;
END $$;
CREATE TRIGGER souk_member_unread BEFORE UPDATE OF last_read_seq ON conversation_members
    FOR EACH ROW WHEN (NEW.last_read_seq < OLD.last_read_seq) EXECUTE FUNCTION souk_member_unread();

-- 2. A message without a number, inserted by SQL, gets the next one, and is unread to the others. Its sender must be a user; a
-- file without text is shown by its name.
CREATE FUNCTION souk_number_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM users WHERE id = NEW.sender_id) THEN
        RAISE EXCEPTION 'sender % is not a user', NEW.sender_id USING ERRCODE = 'foreign_key_violation';
    END IF;
    UPDATE conversations SET last_seq = last_seq + 1, last_message_at = NEW.created_at, updated_at = NEW.created_at,
                             last_message_text = souk_preview(NEW.message_text, NEW.attachments)
    WHERE id = NEW.conversation_id RETURNING last_seq INTO NEW.seq;
    PERFORM souk_lock_members(NEW.conversation_id);
    UPDATE conversation_members SET
        skipped = skipped + (user_id = NEW.sender_id OR NEW.read_by ? user_id::text)::integer,
        maybe_unread = maybe_unread OR user_id <> NEW.sender_id
    WHERE conversation_id = NEW.conversation_id;
    RETURN NEW;
END $$;
CREATE TRIGGER messages_number BEFORE INSERT ON messages
    FOR EACH ROW WHEN (NEW.seq IS NULL) EXECUTE FUNCTION souk_number_message();

-- 3. A change of a message is noted: changed_at and version.

CREATE FUNCTION souk_note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER souk_note_change BEFORE UPDATE OF message_text, attachments, is_deleted ON messages
    FOR EACH ROW EXECUTE FUNCTION souk_note_change();

CREATE FUNCTION souk_note_reaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE messages SET changed_at = clock_timestamp(), version = version + 1 WHERE id = COALESCE(NEW.message_id, OLD.message_id);
    RETURN NULL;
END $$;
CREATE TRIGGER souk_note_reaction AFTER INSERT OR UPDATE OR DELETE ON message_reactions
    FOR EACH ROW EXECUTE FUNCTION souk_note_reaction();

-- 4. A deletion for everyone: the notifications and files of the message go.

-- It does not touch the shop's table, which may be locked.
CREATE FUNCTION souk_note_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE message_notifications SET must_go = true WHERE message_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER souk_note_deletion AFTER UPDATE OF is_deleted ON messages
    FOR EACH ROW WHEN (NEW.is_deleted AND NOT OLD.is_deleted) EXECUTE FUNCTION souk_note_deletion();

-- Notes the files of a message that was deleted for everyone, by whomever, unless another message of its sender names them.
-- A file is its sender's where the second part of its path is their id: naming another's file neither keeps nor removes it.
CREATE FUNCTION souk_note_deleted_files() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    file text;
BEGIN
    FOREACH file IN ARRAY souk_file_paths(NEW.attachments) LOOP
        IF split_part(file, '/', 2) = NEW.sender_id::text THEN
            -- Of two messages that name one file and are deleted at once, the second sees that the first is gone.
            PERFORM pg_advisory_xact_lock(hashtextextended('souk file ' || file, 0));
            IF NOT EXISTS (SELECT 1 FROM messages m
                           WHERE m.attachments <> '[]' AND souk_file_paths(m.attachments) && ARRAY[file]
                             AND m.sender_id = NEW.sender_id AND NOT m.is_deleted) THEN
                INSERT INTO chat_files (path, owner_id, size, state) VALUES (file, NEW.sender_id, 0, 'deleted')
                ON CONFLICT (path) DO UPDATE SET state = 'deleted', since = now();
            END IF;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER souk_note_deleted_files AFTER UPDATE OF is_deleted ON messages
    FOR EACH ROW WHEN (NEW.is_deleted AND OLD.is_deleted IS DISTINCT FROM true AND NEW.attachments <> '[]')
    EXECUTE FUNCTION souk_note_deleted_files();

-- 5. The preview that the list of conversations shows.

-- The newest message of a conversation before p_seq that is not deleted for everyone, passing over the known run; its number
-- is 0 where there is none. It looks at 10,000 messages at most, some 10 ms: whoever deleted more than that by hand before
-- the last one has an empty preview. Called by souk_keep_preview.
CREATE FUNCTION souk_message_before(p_conversation_id uuid, p_seq bigint, p_deleted_after bigint, p_deleted_to bigint,
                                    OUT seq bigint, OUT preview text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    SELECT m.seq, souk_preview(m.message_text, m.attachments) INTO seq, preview
    FROM (SELECT x.seq, x.message_text, x.attachments, x.is_deleted FROM messages x
          WHERE x.conversation_id = p_conversation_id AND x.seq < p_seq AND x.seq > p_deleted_to
          ORDER BY x.seq DESC LIMIT 10000) m
    WHERE NOT m.is_deleted LIMIT 1;
    IF NOT FOUND THEN
        SELECT m.seq, souk_preview(m.message_text, m.attachments) INTO seq, preview
        FROM (SELECT x.seq, x.message_text, x.attachments, x.is_deleted FROM messages x
              WHERE x.conversation_id = p_conversation_id AND x.seq < p_seq AND x.seq <= p_deleted_after
              ORDER BY x.seq DESC LIMIT 10000) m
        WHERE NOT m.is_deleted LIMIT 1;
    END IF;
    seq := COALESCE(seq, 0);
    preview := COALESCE(preview, '');
END $$;

-- Keeps last_message_text when a message changes: through our functions, which hold the conversation's lock, or by SQL. The
-- latter holds the message's lock only, and waiting for the conversation's would be against the order of locks: where
-- somebody else has that, the preview is left to them.
CREATE FUNCTION souk_keep_preview() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    c     record;
    shown bigint;
    found_before record;
BEGIN
    SELECT last_seq, deleted_after, deleted_to INTO c FROM conversations
    WHERE id = NEW.conversation_id FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    shown := CASE WHEN c.last_seq > c.deleted_to THEN c.last_seq ELSE c.deleted_after END;
    IF NOT NEW.is_deleted AND NEW.seq > c.deleted_after AND NEW.seq <= c.deleted_to THEN
        -- By SQL it is there again: the run ends above it.
        UPDATE conversations SET deleted_after = NEW.seq WHERE id = NEW.conversation_id;
        shown := CASE WHEN c.last_seq > c.deleted_to THEN shown ELSE NEW.seq END;
    END IF;
    IF NEW.seq <> shown THEN
        RETURN NULL;
    END IF;
    IF NOT NEW.is_deleted THEN
        UPDATE conversations SET last_message_text = souk_preview(NEW.message_text, NEW.attachments) WHERE id = NEW.conversation_id;
        RETURN NULL;
    END IF;
    found_before := souk_message_before(NEW.conversation_id, NEW.seq, c.deleted_after, c.deleted_to);
    UPDATE conversations
    SET last_message_text = found_before.preview, deleted_after = found_before.seq,
        -- Where the newest is in the run, what is deleted now is the message before that run.
        deleted_to = GREATEST(NEW.seq, CASE WHEN c.last_seq <= c.deleted_to THEN c.deleted_to ELSE 0 END)
    WHERE id = NEW.conversation_id;
    RETURN NULL;
END $$;
CREATE TRIGGER souk_keep_preview AFTER UPDATE OF message_text, attachments, is_deleted ON messages
    FOR EACH ROW WHEN (OLD.message_text IS DISTINCT FROM NEW.message_text OR OLD.attachments IS DISTINCT FROM NEW.attachments
                       OR OLD.is_deleted IS DISTINCT FROM NEW.is_deleted)
    EXECUTE FUNCTION souk_keep_preview();
