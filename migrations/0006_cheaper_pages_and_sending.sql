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

-- As in 0005, each way of finding a repeat by itself, and only where something could be found by it. A message may be found
-- by several, or several times.
CREATE OR REPLACE FUNCTION souk_repeats_now(p_by_id boolean, p_ids uuid[], p_conversations uuid[], p_senders uuid[], p_texts text[],
                                            p_attachments jsonb[], p_client_ids text[], p_temp_ids text[], p_replies uuid[])
RETURNS TABLE (ord bigint, seq bigint, created_at timestamptz, by_id boolean) LANGUAGE plpgsql ROWS 1 AS $$
#variable_conflict use_column
BEGIN
    IF p_by_id THEN
        RETURN QUERY
        SELECT i.ord, x.seq, x.created_at, true
        FROM unnest(p_ids, p_conversations) WITH ORDINALITY AS i (id, conversation_id, ord)
        JOIN messages x ON x.id = i.id AND x.conversation_id = i.conversation_id;
    END IF;
    IF cardinality(array_remove(p_client_ids, NULL)) > 0 THEN
        RETURN QUERY
        SELECT i.ord, x.seq, x.created_at, false
        FROM unnest(p_conversations, p_senders, p_client_ids) WITH ORDINALITY AS i (conversation_id, sender_id, client_message_id, ord)
        JOIN messages x ON x.conversation_id = i.conversation_id AND x.sender_id = i.sender_id
                       AND x.client_message_id = i.client_message_id;
    END IF;
    IF cardinality(array_remove(p_temp_ids, NULL)) > 0 THEN
        RETURN QUERY
        SELECT i.ord, x.seq, x.created_at, false
        FROM unnest(p_senders, p_temp_ids) WITH ORDINALITY AS i (sender_id, temp_id, ord)
        JOIN messages x ON x.sender_id = i.sender_id AND x.temp_id = i.temp_id
        WHERE x.created_at > now() - interval '10 minutes'
          AND p_client_ids[i.ord] IS NULL AND x.conversation_id = p_conversations[i.ord]
          AND x.message_text = p_texts[i.ord] AND x.attachments = COALESCE(p_attachments[i.ord], '[]')
          AND x.reply_to_message_id IS NOT DISTINCT FROM p_replies[i.ord];
    END IF;
END $$;
