-- A user's newest conversations, and those with unread messages, without a look at all of them.
--
-- active_minute: the minute in which the conversation was last active. A minute, because it changes once a minute and not with
-- every message, so that sending leaves the index alone.
-- maybe_unread: whether anything may be unread; where it is false nothing is. It changes with the first message after
-- everything was read, and when everything is read again.

-- Of functions that are immutable too, so that it is put in place of its call; and not of numeric, which is slow. From the
-- year 6053 on it is always the last one that an integer can say.
CREATE FUNCTION souk_minute(p_at timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT LEAST(floor(date_part('epoch', p_at AT TIME ZONE 'UTC') / 60), 2147483647)::integer
$$;

ALTER TABLE conversation_members
    ADD COLUMN active_minute integer NOT NULL DEFAULT 0,
    ADD COLUMN maybe_unread  boolean NOT NULL DEFAULT false;
UPDATE conversation_members m SET active_minute = souk_minute(COALESCE(c.last_message_at, c.created_at)),
                                  maybe_unread = c.last_seq - m.last_read_seq - m.skipped > 0
FROM conversations c WHERE c.id = m.conversation_id;

-- It serves everything that the one it replaces did.
CREATE INDEX conversation_members_activity ON conversation_members (user_id, active_minute DESC, conversation_id);
DROP INDEX conversation_members_user;
CREATE INDEX conversation_members_unread ON conversation_members (user_id, conversation_id) WHERE maybe_unread;

-- Sending and reading keep them; these are for new members, and for who sets what they follow from by SQL.
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

CREATE FUNCTION souk_conversation_activity() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    minute integer := souk_minute(COALESCE(NEW.last_message_at, NEW.created_at));
BEGIN
    UPDATE conversation_members SET active_minute = minute WHERE conversation_id = NEW.id AND active_minute <> minute;
    RETURN NULL;
END $$;
CREATE TRIGGER souk_conversation_activity AFTER UPDATE OF last_message_at, created_at ON conversations
    FOR EACH ROW WHEN (souk_minute(COALESCE(NEW.last_message_at, NEW.created_at))
                       IS DISTINCT FROM souk_minute(COALESCE(OLD.last_message_at, OLD.created_at)))
    EXECUTE FUNCTION souk_conversation_activity();

CREATE FUNCTION souk_member_unread() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.maybe_unread := true;
    RETURN NEW;
END $$;
CREATE TRIGGER souk_member_unread BEFORE UPDATE OF last_read_seq ON conversation_members
    FOR EACH ROW WHEN (NEW.last_read_seq < OLD.last_read_seq) EXECUTE FUNCTION souk_member_unread();

-- A message without a number, inserted by SQL: as in 0002, and unread to the others.
CREATE OR REPLACE FUNCTION souk_number_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE conversations SET last_seq = last_seq + 1, last_message_at = NEW.created_at, updated_at = NEW.created_at,
                             last_message_text = NEW.message_text
    WHERE id = NEW.conversation_id RETURNING last_seq INTO NEW.seq;
    UPDATE conversation_members SET
        skipped = skipped + (user_id = NEW.sender_id OR NEW.read_by ? user_id::text)::integer,
        maybe_unread = maybe_unread OR user_id <> NEW.sender_id
    WHERE conversation_id = NEW.conversation_id;
    RETURN NEW;
END $$;

-- What the sending statement reads when it holds its locks. These are volatile, and so have a snapshot of their own: that
-- of a statement which waited for the locks is from before what their last holder did. ROWS is told to the planner, which
-- otherwise expects a thousand and reads whole tables for them.

-- Who takes part.
CREATE FUNCTION souk_members_now(p_conversations uuid[])
RETURNS TABLE (conversation_id uuid, user_id uuid, active_minute integer, maybe_unread boolean) LANGUAGE plpgsql ROWS 100 AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT m.conversation_id, m.user_id, m.active_minute, m.maybe_unread
                 FROM conversation_members m WHERE m.conversation_id = ANY (p_conversations);
END $$;

-- Which of these messages are stored already, by their place in the arrays: under their own id (asked for where an earlier
-- attempt may have got through), with the same clientMessageId, or lately with the same tempId and content.
CREATE FUNCTION souk_repeats_now(p_by_id boolean, p_ids uuid[], p_conversations uuid[], p_senders uuid[], p_texts text[],
                                 p_attachments jsonb[], p_client_ids text[], p_temp_ids text[], p_replies uuid[])
RETURNS TABLE (ord bigint, seq bigint, created_at timestamptz, by_id boolean) LANGUAGE plpgsql ROWS 1 AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT i.ord, d.seq, d.created_at, d.by_id
    FROM unnest(p_ids, p_conversations, p_senders, p_texts, p_attachments, p_client_ids, p_temp_ids, p_replies)
        WITH ORDINALITY AS i (id, conversation_id, sender_id, message_text, attachments, client_message_id, temp_id, reply_to, ord)
    CROSS JOIN LATERAL (
        SELECT x.seq, x.created_at, true AS by_id FROM messages x
        WHERE p_by_id AND x.id = i.id AND x.conversation_id = i.conversation_id
        UNION ALL
        SELECT x.seq, x.created_at, false FROM messages x
        WHERE i.client_message_id IS NOT NULL AND x.conversation_id = i.conversation_id AND x.sender_id = i.sender_id
          AND x.client_message_id = i.client_message_id
        UNION ALL
        SELECT x.seq, x.created_at, false FROM messages x
        WHERE i.client_message_id IS NULL AND i.temp_id IS NOT NULL AND x.sender_id = i.sender_id AND x.temp_id = i.temp_id
          AND x.conversation_id = i.conversation_id AND x.created_at > now() - interval '10 minutes'
          AND x.message_text = i.message_text AND x.attachments = i.attachments
          AND x.reply_to_message_id IS NOT DISTINCT FROM i.reply_to
        LIMIT 1) d;
END $$;

-- The messages that these answer, in short, by their place in the arrays: those that are there and that the sender sees.
CREATE FUNCTION souk_quotes_now(p_conversations uuid[], p_senders uuid[], p_replies uuid[])
RETURNS TABLE (ord bigint, quote jsonb) LANGUAGE plpgsql ROWS 1 AS $$
#variable_conflict use_column
BEGIN
    IF cardinality(array_remove(p_replies, NULL)) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT i.ord, jsonb_build_object('id', q.id, 'sender_id', q.sender_id, 'created_at', q.created_at,
                                     'is_deleted', false, 'message_text', q.message_text)
    FROM unnest(p_conversations, p_senders, p_replies) WITH ORDINALITY AS i (conversation_id, sender_id, reply_to, ord)
    JOIN messages q ON q.id = i.reply_to AND q.conversation_id = i.conversation_id AND NOT q.is_deleted
    WHERE NOT EXISTS (SELECT 1 FROM message_deletions h WHERE h.message_id = q.id AND h.user_id = i.sender_id);
END $$;

-- Ends a statement whose snapshot is too old for what it has to do; the next attempt has a newer one.
CREATE FUNCTION souk_conflict() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'changed while this statement waited' USING ERRCODE = 'serialization_failure';
END $$;

-- As in 0003, and nothing is unread any more.
CREATE OR REPLACE FUNCTION souk_mark_read(p_conversation_id uuid, p_user_id uuid)
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
    SET last_read_seq = old.last_seq, skipped = 0, maybe_unread = false,
        last_read_at = CASE WHEN old.unread > 0 THEN now() ELSE m.last_read_at END
    FROM old WHERE m.conversation_id = old.conversation_id AND m.user_id = old.user_id
    RETURNING old.unread, m.last_read_seq, COALESCE(m.last_read_at, now())
$$;
