-- What catching up needs to know of the past, and who blocked whom.

-- When a message last changed after it was sent: its text, its deletion for everyone, its reactions. NULL for most, so
-- that the index stays small and sending touches neither. Triggers, because SQL users edit messages too.
ALTER TABLE messages ADD COLUMN changed_at timestamptz;
CREATE INDEX messages_changed ON messages (conversation_id, changed_at) WHERE changed_at IS NOT NULL;

CREATE FUNCTION souk_note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER souk_note_change BEFORE UPDATE OF message_text, attachments, is_deleted ON messages
    FOR EACH ROW EXECUTE FUNCTION souk_note_change();

CREATE FUNCTION souk_note_reaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE messages SET changed_at = clock_timestamp() WHERE id = COALESCE(NEW.message_id, OLD.message_id);
    RETURN NULL;
END $$;
CREATE TRIGGER souk_note_reaction AFTER INSERT OR UPDATE OR DELETE ON message_reactions
    FOR EACH ROW EXECUTE FUNCTION souk_note_reaction();

-- What a user deleted for themselves since some time, for their other devices.
CREATE INDEX message_deletions_user ON message_deletions (user_id, deleted_at);

-- Between two of whom one blocked the other nothing passes, in either direction. No foreign keys: `users` is the shop's,
-- and a block of somebody who is gone harms nobody.
CREATE TABLE user_blocks (
    blocker_id uuid        NOT NULL,
    blocked_id uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (blocker_id, blocked_id),
    CHECK (blocker_id <> blocked_id)
);
CREATE INDEX user_blocks_blocked ON user_blocks (blocked_id);

-- Whether these are two and one of them blocked the other. Among more than two a conversation goes on.
CREATE FUNCTION souk_is_blocked(p_members uuid[]) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT cardinality(p_members) = 2 AND EXISTS (
        SELECT 1 FROM user_blocks b WHERE b.blocker_id = ANY (p_members) AND b.blocked_id = ANY (p_members))
$$;

-- As in 0003, and 'blocked': by editing an old message or reacting to one, too, somebody would reach who blocked them.
CREATE OR REPLACE FUNCTION souk_edit_message(p_message_id uuid, p_user_id uuid, p_new_text text)
RETURNS TABLE (outcome text, conversation_id uuid, members uuid[]) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    l   record;
    at  timestamptz;
    old text;
BEGIN
    SELECT * INTO l FROM souk_lock_message(p_message_id, p_user_id);
    conversation_id := l.conversation_id;
    members := l.members;
    at := clock_timestamp();
    SELECT m.message_text INTO old FROM messages m WHERE m.id = p_message_id;
    outcome := CASE WHEN l.conversation_id IS NULL THEN 'not_found'
                    WHEN NOT p_user_id = ANY (l.members) THEN 'not_member'
                    WHEN l.hidden THEN 'not_found'
                    WHEN l.is_deleted THEN 'gone'
                    WHEN l.sender_id <> p_user_id THEN 'not_sender'
                    WHEN souk_is_blocked(l.members) THEN 'blocked'
                    WHEN old = p_new_text THEN 'unchanged'
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

CREATE OR REPLACE FUNCTION souk_add_reaction(p_message_id uuid, p_user_id uuid, p_reaction text)
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
                    WHEN souk_is_blocked(l.members) THEN 'blocked'
                    ELSE 'added' END;
    IF outcome = 'added' THEN
        INSERT INTO message_reactions (id, message_id, user_id, reaction, created_at)
        VALUES (gen_random_uuid(), p_message_id, p_user_id, p_reaction, clock_timestamp())
        ON CONFLICT (message_id, user_id, reaction) DO NOTHING;
        IF NOT FOUND THEN
            outcome := 'unchanged';
        END IF;
        reactions := souk_reactions(p_message_id);
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
        ELSE NULL;
    END CASE;
END $$;
