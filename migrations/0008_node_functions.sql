-- The Node server's functions, under their names and with their parameters, as thin layers over the functions of 0005: for
-- SQL users alone, the server calls none of them. 0002 dropped what bore these names; the first three are replaced in place
-- where they are there, as policies of the shop may use them.
--
-- Locks: nothing.

CREATE OR REPLACE FUNCTION is_conversation_participant(p_conversation_id uuid, p_user_id uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM conversation_members cm
                   WHERE cm.conversation_id = p_conversation_id AND cm.user_id = p_user_id)
$$;

-- Returns how many messages by others became read.
CREATE OR REPLACE FUNCTION mark_messages_as_read(p_conversation_id uuid, p_user_id uuid) RETURNS integer
LANGUAGE sql VOLATILE AS $$
    SELECT COALESCE((SELECT marked FROM souk_mark_read(p_conversation_id, p_user_id)), 0)::integer
$$;

CREATE OR REPLACE FUNCTION get_unread_message_count(user_id uuid) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT COALESCE(sum(u.unread_count), 0)::integer FROM unread_message_counts u WHERE u.user_id = $1
$$;

-- An outcome that is a refusal, as the error that the API would give. Called by the functions below.
CREATE FUNCTION souk_raise_refusal(p_outcome text, p_not_sender text) RETURNS void LANGUAGE plpgsql AS $$
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

-- Returns the message.
CREATE FUNCTION edit_message(p_message_id uuid, p_user_id uuid, p_new_text text) RETURNS messages_with_reactions
LANGUAGE plpgsql AS $$
DECLARE
    edited messages_with_reactions;
BEGIN
    IF COALESCE(btrim(p_new_text), '') = '' THEN
        RAISE EXCEPTION 'Message content is required' USING ERRCODE = '22023';
    END IF;
    PERFORM souk_raise_refusal(e.outcome, 'Only message sender can edit the message')
    FROM souk_edit_message(p_message_id, p_user_id, p_new_text) e;
    SELECT * INTO edited FROM messages_with_reactions m WHERE m.id = p_message_id;
    RETURN edited;
END $$;

-- Returns whether anything changed: false where it was deleted so before.
CREATE FUNCTION delete_message(p_message_id uuid, p_user_id uuid, p_deletion_type text DEFAULT 'for_me') RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    o text;
BEGIN
    SELECT outcome INTO o FROM souk_delete_message(p_message_id, p_user_id, p_deletion_type);
    PERFORM souk_raise_refusal(o, 'Only message sender can delete for everyone');
    RETURN o = 'deleted';
END $$;

-- Both return the message's reactions.
CREATE FUNCTION add_message_reaction(p_message_id uuid, p_user_id uuid, p_reaction text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    done record;
BEGIN
    IF COALESCE(btrim(p_reaction), '') = '' THEN
        RAISE EXCEPTION 'Reaction is required' USING ERRCODE = '22023';
    END IF;
    SELECT * INTO done FROM souk_add_reaction(p_message_id, p_user_id, p_reaction);
    PERFORM souk_raise_refusal(done.outcome, NULL);
    RETURN done.reactions;
END $$;

CREATE FUNCTION remove_message_reaction(p_message_id uuid, p_user_id uuid, p_reaction text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    done record;
BEGIN
    SELECT * INTO done FROM souk_remove_reaction(p_message_id, p_user_id, p_reaction);
    PERFORM souk_raise_refusal(done.outcome, NULL);
    RETURN done.reactions;
END $$;

-- Newest first. The texts of a message that was deleted for everyone are gone here too.
CREATE FUNCTION get_message_edit_history(p_message_id uuid)
RETURNS TABLE (id uuid, message_id uuid, old_text text, edited_by uuid, edited_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT e.id, e.message_id, CASE WHEN m.is_deleted THEN '' ELSE e.old_text END, e.edited_by, e.edited_at
    FROM message_edits e JOIN messages m ON m.id = e.message_id
    WHERE e.message_id = p_message_id ORDER BY e.edited_at DESC, e.id DESC
$$;

-- The message with its reactions, the message it answers, its newest 20 earlier texts and how many there are; NULL where
-- there is none.
CREATE FUNCTION get_message_details(p_message_id uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT to_jsonb(m) || jsonb_build_object(
        'reply_to', (SELECT to_jsonb(q) FROM messages_with_reactions q WHERE q.id = m.reply_to_message_id AND q.conversation_id = m.conversation_id),
        'edit_history', COALESCE((SELECT jsonb_agg(to_jsonb(h) ORDER BY h.edited_at DESC, h.id DESC)
                                  FROM (SELECT * FROM get_message_edit_history(m.id) LIMIT 20) h), '[]'),
        'edit_history_count', (SELECT count(*) FROM message_edits e WHERE e.message_id = m.id))
    FROM messages_with_reactions m WHERE m.id = p_message_id
$$;
