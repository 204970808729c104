-- One order of locks, and times that are none.
--
-- One order of locks: a conversation, its messages, its members by user id. The triggers that change several members at
-- once took them in whatever order they lay in the table, and could meet a statement that took them in order.
--
-- Locks: none beyond the catalogue's; it replaces four functions and takes no time.

-- Locks a conversation's members in their order. Called by triggers that change several of them; the conversation's row is
-- locked by then.
CREATE FUNCTION souk_lock_members(p_conversation_id uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM conversation_members WHERE conversation_id = p_conversation_id ORDER BY user_id FOR UPDATE;
END $$;

-- As in 0002, members in their order.
CREATE OR REPLACE FUNCTION souk_sync_members() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- As in 0005, members in their order. Sending sets active_minute itself before this trigger runs, and so comes to no row here.
CREATE OR REPLACE FUNCTION souk_conversation_activity() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    minute integer := souk_minute(COALESCE(NEW.last_message_at, NEW.created_at));
BEGIN
    IF EXISTS (SELECT 1 FROM conversation_members WHERE conversation_id = NEW.id AND active_minute <> minute) THEN
        PERFORM souk_lock_members(NEW.id);
        UPDATE conversation_members SET active_minute = minute WHERE conversation_id = NEW.id AND active_minute <> minute;
    END IF;
    RETURN NULL;
END $$;

-- As in 0005, members in their order.
CREATE OR REPLACE FUNCTION souk_number_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE conversations SET last_seq = last_seq + 1, last_message_at = NEW.created_at, updated_at = NEW.created_at,
                             last_message_text = NEW.message_text
    WHERE id = NEW.conversation_id RETURNING last_seq INTO NEW.seq;
    PERFORM souk_lock_members(NEW.conversation_id);
    UPDATE conversation_members SET
        skipped = skipped + (user_id = NEW.sender_id OR NEW.read_by ? user_id::text)::integer,
        maybe_unread = maybe_unread OR user_id <> NEW.sender_id
    WHERE conversation_id = NEW.conversation_id;
    RETURN NEW;
END $$;

-- As in 0005; before the year -2113 it is always the first minute that an integer can say, so that '-infinity' is none that a
-- trigger fails at.
CREATE OR REPLACE FUNCTION souk_minute(p_at timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT LEAST(GREATEST(floor(date_part('epoch', p_at AT TIME ZONE 'UTC') / 60), -2147483648), 2147483647)::integer
$$;
