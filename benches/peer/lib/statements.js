'use strict';

// With a name, pg prepares a statement once per connection.
const statements = {
  user: `
    SELECT id, email, role, display_name, COALESCE(status, 'active') AS status FROM users WHERE id = $1`,

  members: `
    SELECT user_id FROM conversation_members WHERE conversation_id = $1`,

  // The parts of one statement do not see what the others changed.
  send: `
    WITH c AS (
      UPDATE conversations SET last_seq = last_seq + 1, last_message_at = now(), updated_at = now(), last_message_text = $4
      WHERE id = $2 AND status = 'active'
        AND EXISTS (SELECT FROM conversation_members m WHERE m.conversation_id = $2 AND m.user_id = $3)
      RETURNING last_seq
    ), own AS (
      UPDATE conversation_members
      SET skipped = skipped + (user_id = $3)::int, maybe_unread = maybe_unread OR user_id <> $3
      WHERE conversation_id = $2 AND (user_id = $3 OR NOT maybe_unread) AND EXISTS (SELECT FROM c)
    )
    INSERT INTO messages (id, conversation_id, sender_id, seq, message_text, attachments, temp_id, client_message_id,
                          created_at, updated_at)
    SELECT $1, $2, $3, c.last_seq, $4, COALESCE($5::text::jsonb, '[]'), $6, $7, now(), now() FROM c
    RETURNING seq, created_at`,

  repeat: `
    SELECT id, seq, created_at, message_text, attachments FROM messages
    WHERE conversation_id = $1 AND sender_id = $2 AND client_message_id = $3`,

  // All of them or none. $9 to $11 are how many messages each sender has in each conversation, $12 to $14 how many each
  // conversation gets and the last one's text. Rows are locked in the order in which all who lock several do it: conversations
  // by id, then their members.
  sendBatch: `
    WITH locked AS MATERIALIZED (
      SELECT id, last_seq FROM conversations WHERE id = ANY($12::uuid[]) AND status = 'active'
      ORDER BY id FOR NO KEY UPDATE
    ), members AS MATERIALIZED (
      -- By a function, with a snapshot of its own: this statement's may be from before what the locks' last holder did.
      SELECT m.*, COALESCE(p.count, 0) AS own, n.count AS total
      FROM (SELECT array_agg(id) AS ids FROM locked) l
      CROSS JOIN souk_members_now(l.ids) m
      JOIN unnest($12::uuid[], $13::int[]) AS n (conversation_id, count) USING (conversation_id)
      LEFT JOIN unnest($9::uuid[], $10::uuid[], $11::int[]) AS p (conversation_id, user_id, count)
        ON p.conversation_id = m.conversation_id AND p.user_id = m.user_id
    ), accepted AS MATERIALIZED (
      SELECT souk_minute(now()) AS minute
      WHERE (SELECT count(*) FROM locked) = cardinality($12::uuid[])
        AND (SELECT count(*) FROM members WHERE own > 0) = cardinality($9::uuid[])
        AND NOT EXISTS (
          SELECT FROM unnest($2::uuid[], $3::uuid[], $7::text[]) AS i (conversation_id, sender_id, client_message_id)
          JOIN messages x USING (conversation_id, sender_id, client_message_id)
          WHERE $7 IS NOT NULL)
    ), inserted AS (
      INSERT INTO messages (id, conversation_id, sender_id, seq, message_text, attachments, temp_id, client_message_id,
                            created_at, updated_at)
      SELECT i.id, i.conversation_id, i.sender_id, l.last_seq + i.place, i.message_text, COALESCE(i.attachments, '[]'),
             i.temp_id, i.client_message_id, now(), now()
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::jsonb[], $6::text[], $7::text[], $8::int[])
        AS i (id, conversation_id, sender_id, message_text, attachments, temp_id, client_message_id, place)
      JOIN locked l ON l.id = i.conversation_id
      WHERE EXISTS (SELECT FROM accepted)
    ), previews AS (
      UPDATE conversations c
      SET last_seq = l.last_seq + n.count, last_message_at = now(), updated_at = now(), last_message_text = n.message_text
      FROM unnest($12::uuid[], $13::int[], $14::text[]) AS n (id, count, message_text) JOIN locked l USING (id)
      WHERE c.id = n.id AND EXISTS (SELECT FROM accepted)
    ), touched AS MATERIALIZED (
      SELECT t.* FROM (
        SELECT m.*, a.minute FROM members m CROSS JOIN accepted a
        WHERE m.own > 0 OR NOT m.maybe_unread OR m.active_minute < a.minute
        ORDER BY m.conversation_id, m.user_id
      ) t
      CROSS JOIN LATERAL (SELECT FROM conversation_members m WHERE m.conversation_id = t.conversation_id AND m.user_id = t.user_id
                          FOR NO KEY UPDATE) m
    ), own AS (
      UPDATE conversation_members m
      SET skipped = m.skipped + t.own, active_minute = GREATEST(m.active_minute, t.minute),
          maybe_unread = m.maybe_unread OR t.total > t.own
      FROM touched t WHERE m.conversation_id = t.conversation_id AND m.user_id = t.user_id
    )
    SELECT id, last_seq, now() AS created_at FROM locked WHERE EXISTS (SELECT FROM accepted)`,

  markRead: `
    SELECT marked, read_seq, read_at FROM souk_mark_read($1, $2)`,

  // In their order, so that it and a batch never wait for each other.
  markDelivered: `
    WITH input AS MATERIALIZED (
      SELECT conversation_id, user_id, max(seq) AS seq
      FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS i (conversation_id, user_id, seq) GROUP BY 1, 2
    ), locked AS MATERIALIZED (
      SELECT i.* FROM (SELECT * FROM input ORDER BY conversation_id, user_id) i
      CROSS JOIN LATERAL (SELECT FROM conversation_members m
                          WHERE m.conversation_id = i.conversation_id AND m.user_id = i.user_id AND m.last_delivered_seq < i.seq
                          FOR NO KEY UPDATE) m
    ), done AS (
      UPDATE conversation_members m SET last_delivered_seq = l.seq, last_delivered_at = now()
      FROM locked l WHERE m.conversation_id = l.conversation_id AND m.user_id = l.user_id
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
