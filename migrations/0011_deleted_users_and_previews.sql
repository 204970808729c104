-- Users whom the shop deletes, the preview of a conversation after its newest message was deleted, and how long a tempId
-- makes a repeat.
--
-- Locks: conversations against writing while two columns are added and while the previews of conversations whose newest
-- message is deleted or has no text are found, which reads messages three times: about 3 s for a million. Last of all `users`
-- and the tables that had a foreign key to it ACCESS EXCLUSIVE for a moment, to drop those: nothing is rewritten or read, and
-- whoever waits for `users` meanwhile waits for 0.4 s at most.

-- 1. Previews.
--
-- Of a conversation's messages those with deleted_after < seq <= deleted_to are known to be deleted for everyone: the run of
-- them that was found last. The message that last_message_text shows is the newest one (last_seq), or deleted_after where the
-- newest is in that run. Sending leaves both alone, and a deletion looks at no message twice: it passes over the run.
ALTER TABLE conversations
    ADD COLUMN deleted_after bigint NOT NULL DEFAULT 0,
    ADD COLUMN deleted_to    bigint NOT NULL DEFAULT 0;

-- What the list shows of a message: its text, or of files without text the name of the first. The statement that sends
-- (src/db/write_messages.sql) says the same in place.
CREATE FUNCTION souk_preview(p_text text, p_attachments jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN btrim(p_text, E' \t\r\n') = '' THEN COALESCE(NULLIF(p_attachments -> 0 ->> 'name', ''), p_text) ELSE p_text END
$$;

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

-- Whoever may change a message changes its conversation's preview, whether or not they may write to conversations.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION souk_message_before(uuid, bigint, bigint, bigint) SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION souk_keep_preview() SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END $$;

-- As in 0003; the preview is the trigger's.
CREATE OR REPLACE FUNCTION souk_delete_message(p_message_id uuid, p_user_id uuid, p_deletion_type text)
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

-- A message without a number, inserted by SQL: as in 0007; its sender must be a user, as the foreign key wanted it, and a
-- file without text is shown by its name.
CREATE OR REPLACE FUNCTION souk_number_message() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- The conversations that there are: where the newest message is deleted the preview is the one before, where it is a file
-- without text its name. The shop's own triggers sleep meanwhile: nothing was updated today.
DO $$
DECLARE
    triggers jsonb := (SELECT jsonb_object_agg(tgname, CASE tgenabled WHEN 'A' THEN 'ALWAYS' ELSE '' END) FROM pg_trigger
                       WHERE tgrelid = 'conversations'::regclass AND NOT tgisinternal AND tgenabled IN ('O', 'A'));
    t record;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM conversations WHERE last_seq > 0) THEN
        RETURN;
    END IF;
    FOR t IN SELECT * FROM jsonb_each_text(triggers) AS e (name, state) LOOP
        EXECUTE format('ALTER TABLE conversations DISABLE TRIGGER %I', t.name);
    END LOOP;
    -- By hash: an index that this transaction built over rows that it changed is not for this transaction to use.
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
    FOR t IN SELECT * FROM jsonb_each_text(triggers) AS e (name, state) LOOP
        EXECUTE format('ALTER TABLE conversations ENABLE %s TRIGGER %I', t.state, t.name);
    END LOOP;
END $$;

-- 2. Repeats by tempId.
--
-- As in 0006, but the same tempId and content is a repeat for 60 s, and for ten minutes only where p_again says that the same
-- socket sent this tempId before: a client that counts 1, 2, 3 from each page load means another message by its second 'ok'.
DROP FUNCTION souk_repeats_now(boolean, uuid[], uuid[], uuid[], text[], jsonb[], text[], text[], uuid[]);
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

-- 3. A user whom the shop deletes.
--
-- What they wrote stays: a message's number is never missing, and unread counts are differences of numbers. The foreign
-- keys of the chat's tables to `users` took it all away, made the shop's DELETE as long as the user's history, and had each
-- stored message look at its sender's row and lock it. Instead: a sender is a member of the conversation, which the
-- statement that stores checks under the conversation's lock, together with that there is such a user; reactions and edits
-- go through functions that check the member. The shop's own `notifications` keep what the shop gave them.
--
-- At the end, as everybody reads `users`: it is locked no longer than this takes. Where somebody else has it, each try gives up
-- before their queries pile up behind it; after some the migration fails as a whole, and the server begins it again.
DO $$
DECLARE
    k record;
    tries integer := 0;
BEGIN
    PERFORM set_config('lock_timeout', '400ms', true);
    FOR k IN SELECT c.conrelid::regclass AS rel, c.conname FROM pg_constraint c
             WHERE c.contype = 'f' AND c.confrelid = 'users'::regclass AND c.conrelid IN (
                 'conversations'::regclass, 'messages'::regclass, 'message_reactions'::regclass, 'message_edits'::regclass,
                 'typing_indicators'::regclass, 'user_online_status'::regclass)
    LOOP
        LOOP
            BEGIN
                EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', k.rel, k.conname);
                EXIT;
            EXCEPTION WHEN lock_not_available THEN
                tries := tries + 1;
                IF tries = 5 THEN
                    RAISE;
                END IF;
                PERFORM pg_sleep(1);
            END;
        END LOOP;
    END LOOP;
    PERFORM set_config('lock_timeout', '0', true);
END $$;
