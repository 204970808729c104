-- A user's newest conversations, and those with unread messages, without a look at all of them.
--
-- active_minute: the minute in which the conversation was last active. A minute, because it changes once a minute and not with
-- every message, so that sending leaves the index alone.
-- maybe_unread: whether anything may be unread; where it is false nothing is. It changes with the first message after
-- everything was read, and when everything is read again.

-- Of functions that are immutable too, so that it is put in place of its call; and not of numeric, which is slow.
CREATE FUNCTION souk_minute(p_at timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT floor(date_part('epoch', p_at AT TIME ZONE 'UTC') / 60)::integer
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

-- Who takes part as of now, and not as of when the calling statement began: for one that has waited for locks since.
-- Volatile functions have a snapshot of their own.
CREATE FUNCTION souk_members_now(p_conversations uuid[])
RETURNS TABLE (conversation_id uuid, user_id uuid, active_minute integer, maybe_unread boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT m.conversation_id, m.user_id, m.active_minute, m.maybe_unread
                 FROM conversation_members m WHERE m.conversation_id = ANY (p_conversations);
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
