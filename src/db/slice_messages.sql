-- Slices of conversations: see `Db::slices`. Of the three branches each slice runs one, a range of one index.
WITH input AS (
    SELECT * FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bool[], $8::timestamptz[])
        AS i (conversation_id, after, before, max, skip, forward, changed_since)
), page AS (
    SELECT m.* FROM input i CROSS JOIN LATERAL (
        (SELECT m.* FROM messages m
         WHERE i.changed_since IS NULL AND NOT i.forward
           AND m.conversation_id = i.conversation_id AND m.seq > i.after AND m.seq < i.before
           AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = m.id AND d.user_id = $1)
         ORDER BY m.seq DESC LIMIT i.max OFFSET i.skip)
        UNION ALL
        (SELECT m.* FROM messages m
         WHERE i.changed_since IS NULL AND i.forward
           AND m.conversation_id = i.conversation_id AND m.seq > i.after AND m.seq < i.before
           AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = m.id AND d.user_id = $1)
         ORDER BY m.seq LIMIT i.max OFFSET i.skip)
        UNION ALL
        -- The sums keep the planner off the index by number, in which it would read the whole conversation.
        (SELECT m.* FROM messages m
         WHERE i.changed_since IS NOT NULL AND m.changed_at IS NOT NULL AND m.changed_at >= i.changed_since
           AND m.conversation_id = i.conversation_id AND m.seq + 0 > i.after AND m.seq + 0 < i.before
           AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = m.id AND d.user_id = $1)
         ORDER BY m.changed_at LIMIT i.max OFFSET i.skip)
    ) m
)
SELECT m.id AS "id!", m.conversation_id AS "conversation_id!", m.sender_id AS "sender_id!", m.seq AS "seq!",
       CASE WHEN m.is_deleted THEN '' ELSE m.message_text END AS "message_text!", m.message_type AS "message_type!",
       CASE WHEN m.is_deleted THEN '[]' ELSE m.attachments END AS "attachments!", m.read_by AS "read_by!",
       m.delivered_to AS "delivered_to!", m.is_edited AS "is_edited!", m.is_deleted AS "is_deleted!",
       m.created_at AS "created_at!", m.updated_at AS "updated_at!", m.edited_at, m.last_edited_at, m.status AS "status!", m.deleted_at, m.delivered_at,
       m.read_at, m.deletion_type, m.deleted_by, m.edit_count AS "edit_count!", m.client_message_id,
       m.reply_to_message_id,
       CASE WHEN m.reply_to_message_id IS NOT NULL THEN (
        SELECT jsonb_build_object('id', q.id, 'sender_id', q.sender_id, 'created_at', q.created_at,
                   'is_deleted', q.is_deleted OR d.user_id IS NOT NULL,
                   'message_text', CASE WHEN q.is_deleted OR d.user_id IS NOT NULL THEN '' ELSE q.message_text END)
        FROM messages q LEFT JOIN message_deletions d ON d.message_id = q.id AND d.user_id = $1
        WHERE q.id = m.reply_to_message_id AND q.conversation_id = m.conversation_id) END AS "reply_to: Json<Quote>",
       -- To ask first costs less than to count what is not there.
       CASE WHEN EXISTS (SELECT 1 FROM message_reactions x WHERE x.message_id = m.id) THEN (
        SELECT jsonb_agg(jsonb_build_object('reaction', r.reaction, 'count', r.count, 'user_ids', r.user_ids) ORDER BY r.reaction)
        FROM message_reaction_counts r WHERE r.message_id = m.id) ELSE '[]' END AS "reactions!: Json<Vec<Reaction>>"
FROM page m ORDER BY m.conversation_id, m.seq
