-- What SQL users know from the Node server: its views and functions, under their names and with their parameters,
-- telling the truth on the new schema. The server acts through the `souk_…` functions below; the legacy names are a
-- thin layer over them, so that both follow the same rules. Nothing here is a trigger: every counter is kept by the
-- function that changes what it counts.

-- 1. Views.

CREATE VIEW conversation_participants AS
SELECT c.id AS conversation_id, c.type, c.status, cm.user_id, c.last_message_at, c.created_at
FROM conversations c JOIN conversation_members cm ON cm.conversation_id = c.id;

CREATE VIEW unread_message_counts AS
SELECT cm.conversation_id, cm.user_id, c.last_seq - cm.last_read_seq - cm.skipped AS unread_count
FROM conversation_members cm JOIN conversations c ON c.id = cm.conversation_id;

CREATE VIEW message_reaction_counts AS
SELECT message_id, reaction, count(*) AS count, jsonb_agg(user_id ORDER BY created_at, user_id) AS user_ids
FROM message_reactions GROUP BY message_id, reaction;

-- The reactions of a message as the API gives them.
CREATE FUNCTION souk_reactions(p_message_id uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object('reaction', r.reaction, 'count', r.count, 'user_ids', r.user_ids)
                              ORDER BY r.reaction), '[]')
    FROM message_reaction_counts r WHERE r.message_id = p_message_id
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

-- 2. Acting on a message.
--
-- Each function checks inside, under the locks, whether the caller may do it, and answers with an `outcome`:
--   'edited' | 'deleted' | 'added' | 'removed'   done
--   'unchanged'      it was so already; nothing was written
--   'not_found'      no such message, or the caller deleted it for themselves
--   'gone'           deleted for everyone: nothing to edit or to react to
--   'not_member'     the caller takes no part in the message's conversation
--   'not_sender'     only the message's sender may do this
-- `conversation_id` and `members` (everyone who takes part, by id) are NULL where the message was not found.

-- Locks the message's conversation, then the message. Locks come in this order everywhere: conversation, message,
-- members by user id. Each statement in here sees what was committed before it got its lock.
CREATE FUNCTION souk_lock_message(p_message_id uuid, p_user_id uuid,
                                  OUT conversation_id uuid, OUT last_seq bigint, OUT seq bigint, OUT sender_id uuid,
                                  OUT is_deleted boolean, OUT hidden boolean, OUT members uuid[])
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    SELECT c.id, c.last_seq INTO conversation_id, last_seq
    FROM conversations c JOIN messages m ON m.conversation_id = c.id
    WHERE m.id = p_message_id FOR NO KEY UPDATE OF c;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT m.seq, m.sender_id, m.is_deleted INTO seq, sender_id, is_deleted
    FROM messages m WHERE m.id = p_message_id FOR NO KEY UPDATE;
    hidden := EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = p_message_id AND d.user_id = p_user_id);
    members := ARRAY(SELECT cm.user_id FROM conversation_members cm
                     WHERE cm.conversation_id = souk_lock_message.conversation_id ORDER BY cm.user_id);
END $$;

-- Changes the text; what it was goes into message_edits.
CREATE FUNCTION souk_edit_message(p_message_id uuid, p_user_id uuid, p_new_text text)
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

-- 'for_me' (also where NULL) hides the message from the caller; 'for_everyone' is the sender's and takes text and
-- attachments out of every answer (the row keeps them). Whoever had it unread has one unread message less: `skipped`
-- grows by one for each member who had not read it, is not its sender, and had not hidden it before. An adopted
-- message's own read_by counts as read: it is among `skipped` already.
CREATE FUNCTION souk_delete_message(p_message_id uuid, p_user_id uuid, p_deletion_type text)
RETURNS TABLE (outcome text, conversation_id uuid, members uuid[]) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    l        record;
    at       timestamptz;
    everyone boolean := COALESCE(p_deletion_type, 'for_me') = 'for_everyone';
BEGIN
    IF p_deletion_type NOT IN ('for_me', 'for_everyone') THEN
        RAISE EXCEPTION 'Invalid deletion type' USING ERRCODE = '22023';
    END IF;
    SELECT * INTO l FROM souk_lock_message(p_message_id, p_user_id);
    conversation_id := l.conversation_id;
    members := l.members;
    at := clock_timestamp();
    outcome := CASE WHEN l.conversation_id IS NULL THEN 'not_found'
                    WHEN NOT p_user_id = ANY (l.members) THEN 'not_member'
                    WHEN everyone AND l.sender_id <> p_user_id THEN 'not_sender'
                    WHEN everyone AND l.is_deleted OR NOT everyone AND l.hidden THEN 'unchanged'
                    ELSE 'deleted' END;
    IF outcome <> 'deleted' THEN
        RETURN NEXT;
        RETURN;
    END IF;
    IF NOT l.is_deleted THEN
        WITH locked AS (
            SELECT cm.user_id FROM conversation_members cm
            WHERE cm.conversation_id = l.conversation_id AND (everyone OR cm.user_id = p_user_id)
            ORDER BY cm.user_id FOR NO KEY UPDATE
        )
        UPDATE conversation_members cm SET skipped = cm.skipped + 1
        FROM locked k, messages m
        WHERE cm.conversation_id = l.conversation_id AND cm.user_id = k.user_id AND m.id = p_message_id
          AND cm.last_read_seq < l.seq AND cm.user_id <> l.sender_id AND NOT m.read_by ? cm.user_id::text
          AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = p_message_id AND d.user_id = cm.user_id);
    END IF;
    IF everyone THEN
        UPDATE messages m
        SET is_deleted = true, deletion_type = 'for_everyone', deleted_by = p_user_id, deleted_at = at, updated_at = at
        WHERE m.id = p_message_id;
        UPDATE conversations c SET last_message_text = '' WHERE c.id = l.conversation_id AND l.seq = l.last_seq;
    ELSE
        INSERT INTO message_deletions (message_id, user_id, deleted_at) VALUES (p_message_id, p_user_id, at);
    END IF;
    RETURN NEXT;
END $$;

-- The message is locked meanwhile, so that of two racing calls the second answers with both reactions.
CREATE FUNCTION souk_add_reaction(p_message_id uuid, p_user_id uuid, p_reaction text)
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

CREATE FUNCTION souk_remove_reaction(p_message_id uuid, p_user_id uuid, p_reaction text)
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
        WHERE r.message_id = p_message_id AND r.user_id = p_user_id AND r.reaction = p_reaction;
        IF NOT FOUND THEN
            outcome := 'unchanged';
        END IF;
        reactions := souk_reactions(p_message_id);
    END IF;
    RETURN NEXT;
END $$;

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

-- 3. The Node server's functions.

-- 0002 dropped what bore these names; the three that can be replaced in place are, as policies of the shop may use them.

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

-- An outcome that is a refusal, as the error that the API would give.
CREATE FUNCTION souk_raise_refusal(p_outcome text, p_not_sender text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CASE
        WHEN p_outcome IN ('not_found', 'gone') THEN RAISE EXCEPTION 'Message not found' USING ERRCODE = 'P0002';
        WHEN p_outcome = 'not_member' THEN RAISE EXCEPTION 'Not authorized' USING ERRCODE = '42501';
        WHEN p_outcome = 'not_sender' THEN RAISE EXCEPTION '%', p_not_sender USING ERRCODE = '42501';
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

-- The message with its reactions, the message it answers, and its history; NULL where there is none.
CREATE FUNCTION get_message_details(p_message_id uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT to_jsonb(m) || jsonb_build_object(
        'reply_to', (SELECT to_jsonb(q) FROM messages_with_reactions q WHERE q.id = m.reply_to_message_id AND q.conversation_id = m.conversation_id),
        'edit_history', COALESCE((SELECT jsonb_agg(to_jsonb(h) ORDER BY h.edited_at DESC, h.id DESC)
                                  FROM get_message_edit_history(m.id) h), '[]'))
    FROM messages_with_reactions m WHERE m.id = p_message_id
$$;

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
