-- What the server calls to send, to read and to change messages. SQL users call most of the second half through the Node
-- server's names (0008), so that both follow the same rules.
--
-- Locks: nothing.

-- 1. Sending: what the statement that sends (src/db/messages/send_batch.sql) reads once it holds its locks.
--
-- These are volatile, and so each has a snapshot of its own: that of a statement which waited for the locks is from before
-- what their last holder did. ROWS is told to the planner, which otherwise expects a thousand and reads whole tables for them.

-- Who takes part.
CREATE FUNCTION souk_members_now(p_conversations uuid[])
RETURNS TABLE (conversation_id uuid, user_id uuid, active_minute integer, maybe_unread boolean) LANGUAGE plpgsql ROWS 100 AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT m.conversation_id, m.user_id, m.active_minute, m.maybe_unread
                 FROM conversation_members m WHERE m.conversation_id = ANY (p_conversations);
END $$;

-- Which of these messages are stored already, by their place in the arrays: under their own id (asked for where an earlier
-- attempt may have got through), with the same clientMessageId, or lately with the same tempId and content. Each way of
-- finding a repeat runs by itself, and only where something could be found by it.
--
-- The same tempId and content is a repeat for 60 s, and for ten minutes only where p_again says that the same socket sent this
-- tempId before: a client that counts 1, 2, 3 from each page load means another message by its second 'ok'.
CREATE FUNCTION souk_repeats_now(p_by_id boolean, p_ids uuid[], p_conversations uuid[], p_senders uuid[], p_texts text[],
                                 p_attachments jsonb[], p_client_ids text[], p_temp_ids text[], p_replies uuid[], p_again boolean[])
RETURNS TABLE (ord bigint, seq bigint, created_at timestamptz, by_id boolean) LANGUAGE plpgsql ROWS 1 AS $$
#variable_conflict use_column
DECLARE
    have_client_ids boolean := cardinality(array_remove(p_client_ids, NULL)) > 0;
    have_temp_ids   boolean := cardinality(array_remove(p_temp_ids, NULL)) > 0;
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (r.ord) r.ord, r.seq, r.created_at, r.by_id
    FROM (
        SELECT i.ord, x.seq, x.created_at, true AS by_id
        FROM unnest(p_ids, p_conversations) WITH ORDINALITY AS i (id, conversation_id, ord)
        JOIN messages x ON x.id = i.id AND x.conversation_id = i.conversation_id
        WHERE p_by_id
        UNION ALL
        SELECT i.ord, x.seq, x.created_at, false
        FROM unnest(p_conversations, p_senders, p_client_ids) WITH ORDINALITY AS i (conversation_id, sender_id, client_message_id, ord)
        JOIN messages x ON x.conversation_id = i.conversation_id AND x.sender_id = i.sender_id
                       AND x.client_message_id = i.client_message_id
        WHERE have_client_ids
        UNION ALL
        SELECT i.ord, x.seq, x.created_at, false
        FROM unnest(p_senders, p_temp_ids) WITH ORDINALITY AS i (sender_id, temp_id, ord)
        JOIN messages x ON x.sender_id = i.sender_id AND x.temp_id = i.temp_id
        WHERE have_temp_ids
          AND x.created_at > now() - CASE WHEN p_again[i.ord] THEN interval '10 minutes' ELSE interval '60 seconds' END
          AND p_client_ids[i.ord] IS NULL AND x.conversation_id = p_conversations[i.ord]
          AND x.message_text = p_texts[i.ord] AND x.attachments = COALESCE(p_attachments[i.ord], '[]')
          AND x.reply_to_message_id IS NOT DISTINCT FROM p_replies[i.ord]
    ) r
    ORDER BY r.ord, r.by_id DESC, r.seq;
END $$;

-- The messages that these answer, in short, by their place in the arrays: those that are there and that the sender sees. A
-- quote says who wrote the quoted message, and which version of it it shows.
CREATE FUNCTION souk_quotes_now(p_conversations uuid[], p_senders uuid[], p_replies uuid[])
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

-- Ends a statement whose snapshot is too old for what it has to do; the next attempt has a newer one.
CREATE FUNCTION souk_conflict() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'changed while this statement waited' USING ERRCODE = 'serialization_failure';
END $$;

-- 2. Blocks.

-- Whether these are two and one of them blocked the other. Among more than two a conversation goes on.
-- Called where a conversation is opened, where a block is asked for, and by souk_edit_message and souk_add_reaction.
CREATE FUNCTION souk_is_blocked(p_members uuid[]) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT cardinality(p_members) = 2 AND EXISTS (
        SELECT 1 FROM user_blocks b WHERE b.blocker_id = ANY (p_members) AND b.blocked_id = ANY (p_members))
$$;

-- 3. Changing a message: called by src/db/messages/change.rs and by the Node server's functions (0008).
--
-- Each function checks inside, under the locks, whether the caller may do it, and answers with an `outcome`:
--   'edited' | 'deleted' | 'added' | 'removed'   done
--   'unchanged'      it was so already; nothing was written
--   'not_found'      no such message, or the caller deleted it for themselves
--   'gone'           deleted for everyone: nothing to edit or to react to
--   'not_member'     the caller takes no part in the message's conversation
--   'not_sender'     only the message's sender may do this
--   'blocked'        one of the conversation's two members blocked the other, and would be reached by this
--   'too_many'       the message, or the caller, has as many reactions as there may be
--   'too_many_edits' it was edited as often as it may be
-- `conversation_id` and `members` (everyone who takes part, by id) are NULL where the message was not found.

-- Locks the message's conversation, then the message. Locks come in this order everywhere: conversation, message,
-- members by user id. Each statement in here sees what was committed before it got its lock.
-- Called by the four functions below.
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

-- A message's version as this transaction sees it now: for statements that changed it themselves by a function.
-- Called beside each of the four functions below.
CREATE FUNCTION souk_version_now(p_message_id uuid) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT m.version FROM messages m WHERE m.id = p_message_id);
END $$;

-- Changes the text; what it was goes into message_edits. A message is edited at most p_max_edits times, where that is given.
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
    ELSE
        INSERT INTO message_deletions (message_id, user_id, deleted_at) VALUES (p_message_id, p_user_id, at);
    END IF;
    RETURN NEXT;
END $$;

-- Adds a reaction: at most 20 different ones to a message, and 5 of one user. The message is locked meanwhile, so that of two
-- racing calls the second answers with both reactions.
CREATE FUNCTION souk_add_reaction(p_message_id uuid, p_user_id uuid, p_reaction text)
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

-- Takes a reaction away: whatever was stored, whether or not it could be added today.
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
        WHERE r.message_id = p_message_id AND r.user_id = p_user_id
          AND replace(r.reaction, chr(65039), '') = replace(p_reaction, chr(65039), '');
        IF NOT FOUND THEN
            outcome := 'unchanged';
        END IF;
        reactions := souk_reactions(p_message_id);
    END IF;
    RETURN NEXT;
END $$;

-- 4. Reading.

-- Moves the watermark to the newest message: nothing is unread any more. The conversation's row is locked first, as sending
-- does: a send committing in between would otherwise leave its own message counted as unread.
-- Called by src/db/conversations/members.rs and mark_messages_as_read.
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
    SET last_read_seq = old.last_seq, skipped = 0, maybe_unread = false,
        last_read_at = CASE WHEN old.unread > 0 THEN now() ELSE m.last_read_at END
    FROM old WHERE m.conversation_id = old.conversation_id AND m.user_id = old.user_id
    RETURNING old.unread, m.last_read_seq, COALESCE(m.last_read_at, now())
$$;
