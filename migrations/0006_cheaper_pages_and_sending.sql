-- What makes a page of messages and the statement that sends cheaper.

-- changed_at tells of every message that has reactions, so that a page need not look for those of each. 0004 began to note
-- it with the changes that came after; these are the reactions from before. The shop's own triggers sleep meanwhile: an
-- updated_at of theirs is not to say that something changed today.
DO $$
DECLARE
    triggers jsonb := (SELECT jsonb_object_agg(tgname, CASE tgenabled WHEN 'A' THEN 'ALWAYS' ELSE '' END) FROM pg_trigger
                       WHERE tgrelid = 'messages'::regclass AND NOT tgisinternal AND tgenabled IN ('O', 'A'));
    t record;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM message_reactions) THEN
        RETURN;
    END IF;
    FOR t IN SELECT * FROM jsonb_each_text(triggers) AS e (name, state) LOOP
        EXECUTE format('ALTER TABLE messages DISABLE TRIGGER %I', t.name);
    END LOOP;
    UPDATE messages m SET changed_at = r.at
    FROM (SELECT message_id, max(created_at) AS at FROM message_reactions GROUP BY message_id) r
    WHERE m.id = r.message_id AND m.changed_at IS NULL;
    FOR t IN SELECT * FROM jsonb_each_text(triggers) AS e (name, state) LOOP
        EXECUTE format('ALTER TABLE messages ENABLE %s TRIGGER %I', t.state, t.name);
    END LOOP;
END $$;

-- Whoever may react tells so, whether or not they may write to messages.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION souk_note_reaction() SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END $$;

-- As in 0005, each way of finding a repeat by itself, and only where something could be found by it.
CREATE OR REPLACE FUNCTION souk_repeats_now(p_by_id boolean, p_ids uuid[], p_conversations uuid[], p_senders uuid[], p_texts text[],
                                            p_attachments jsonb[], p_client_ids text[], p_temp_ids text[], p_replies uuid[])
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
        WHERE have_temp_ids AND x.created_at > now() - interval '10 minutes'
          AND p_client_ids[i.ord] IS NULL AND x.conversation_id = p_conversations[i.ord]
          AND x.message_text = p_texts[i.ord] AND x.attachments = COALESCE(p_attachments[i.ord], '[]')
          AND x.reply_to_message_id IS NOT DISTINCT FROM p_replies[i.ord]
    ) r
    ORDER BY r.ord, r.by_id DESC, r.seq;
END $$;
