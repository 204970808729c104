'use strict';

// With a name, pg prepares a statement once per connection.
const statements = {
  user: `
    SELECT id, email, role, display_name, COALESCE(status, 'active') AS status FROM users WHERE id = $1`,

  members: `
    SELECT user_id FROM conversation_members WHERE conversation_id = $1`,

  send: `
    WITH c AS (
      UPDATE conversations SET last_seq = last_seq + 1, last_message_at = now(), updated_at = now(), last_message_text = $4
      WHERE id = $2 AND status = 'active' RETURNING last_seq
    ), own AS (
      UPDATE conversation_members
      SET skipped = skipped + (user_id = $3)::int, maybe_unread = maybe_unread OR user_id <> $3
      WHERE conversation_id = $2 AND (user_id = $3 OR NOT maybe_unread)
    )
    INSERT INTO messages (id, conversation_id, sender_id, seq, message_text, attachments, temp_id, created_at, updated_at)
    SELECT $1, $2, $3, c.last_seq, $4, $5, $6, now(), now() FROM c
    RETURNING seq, created_at`,

  markRead: `
    SELECT marked, read_seq, read_at FROM souk_mark_read($1, $2)`,

  markDelivered: `
    WITH input AS (
      SELECT conversation_id, user_id, max(seq) AS seq
      FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS i (conversation_id, user_id, seq) GROUP BY 1, 2
    ), done AS (
      UPDATE conversation_members m SET last_delivered_seq = i.seq, last_delivered_at = now()
      FROM input i
      WHERE m.conversation_id = i.conversation_id AND m.user_id = i.user_id AND m.last_delivered_seq < i.seq
    )
    SELECT now() AS at`,

  setOnline: `
    INSERT INTO user_online_status AS s (user_id, is_online, last_seen_at, updated_at)
    SELECT user_id, online, now(), now() FROM unnest($1::uuid[], $2::boolean[]) AS i (user_id, online)
    ON CONFLICT (user_id) DO UPDATE SET is_online = excluded.is_online, last_seen_at = now(), updated_at = now()`,

  conversations: `
    SELECT c.id, c.type, c.participant_ids, c.subject, c.related_entity_type, c.related_entity_id, c.status,
           c.last_message_at, c.last_message_text, c.created_at, c.updated_at, c.closed_at, c.metadata, c.last_seq,
           c.last_seq - me.last_read_seq - me.skipped AS unread_count
    FROM conversation_members me JOIN conversations c ON c.id = me.conversation_id
    WHERE me.user_id = $1
      AND me.active_minute >= COALESCE((
        SELECT f.active_minute FROM conversation_members f WHERE f.user_id = $1
        ORDER BY f.active_minute DESC OFFSET $2::bigint - 1 LIMIT 1), 0)
    ORDER BY COALESCE(c.last_message_at, c.created_at) DESC, c.id DESC LIMIT $2`,

  others: `
    SELECT m.conversation_id, u.id, u.email, u.role, u.display_name, s.last_seen_at
    FROM conversation_members m
    JOIN users u ON u.id = m.user_id
    LEFT JOIN user_online_status s ON s.user_id = u.id
    WHERE m.conversation_id = ANY($1) AND m.user_id <> $2`,

  watermarks: `
    SELECT user_id, last_read_seq, last_read_at, last_delivered_seq, last_delivered_at
    FROM conversation_members WHERE conversation_id = $1`,

  messages: `
    SELECT m.*, COALESCE((SELECT jsonb_agg(jsonb_build_object('reaction', r.reaction, 'count', r.count, 'user_ids', r.user_ids)
                                           ORDER BY r.reaction)
                          FROM message_reaction_counts r WHERE r.message_id = m.id), '[]') AS reactions
    FROM (SELECT * FROM messages WHERE conversation_id = $1 ORDER BY seq DESC LIMIT $2 OFFSET $3) AS m
    ORDER BY m.seq DESC`,

  unread: `
    SELECT COALESCE(sum(c.last_seq - m.last_read_seq - m.skipped), 0)::bigint AS n
    FROM conversation_members m JOIN conversations c ON c.id = m.conversation_id
    WHERE m.user_id = $1 AND m.maybe_unread`,
};

module.exports = Object.fromEntries(Object.entries(statements).map(([name, text]) => [name, { name, text }]));
