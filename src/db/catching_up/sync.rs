//! Catching up by number: what a client missed in the conversations that it knows.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    db::{Db, DbResult, Watermark, time::Time},
    domain::{
        ConversationId, MessageId, UserId,
        time::{first, last},
    },
};

/// How far a client knows a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub conversation: ConversationId,
    /// Every message up to this number.
    pub seq: i64,
    /// Every change up to this time; where it is not known, up to when the message of that number came.
    pub since: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Hidden {
    pub message_id: MessageId,
    pub seq: i64,
}

/// A conversation as it is now, beside what a client knows of it.
#[derive(Clone, Debug)]
pub struct SyncState {
    pub known: Known,
    /// True if the caller is a member; if not, nothing else here is for them.
    pub is_member: bool,
    /// The newest message's number.
    pub last_seq: i64,
    pub unread_count: i64,
    /// From when on changes are news to the client. `None` where the message it knows last is not there.
    pub changed_since: Option<DateTime<Utc>>,
    /// Number of known messages that changed since, counted up to the limit.
    pub changes: i64,
    /// Messages that the caller deleted for themselves since, up to the limit.
    pub hidden: Vec<Hidden>,
    pub watermarks: Vec<Watermark>,
}

impl Db {
    /// The present state of these conversations; those that do not exist are left out. Changes and deletions are counted
    /// from `margin_seconds` before the last known message, up to `limit`.
    pub async fn sync_states(
        &self,
        viewer: UserId,
        known: &[Known],
        margin_seconds: i32,
        limit: i64,
    ) -> DbResult<Vec<SyncState>> {
        let ids: Vec<Uuid> = known.iter().map(|k| k.conversation.0).collect();
        let seqs: Vec<i64> = known.iter().map(|k| k.seq).collect();
        let since: Vec<Option<DateTime<Utc>>> =
            known.iter().map(|k| k.since.map(|t| t.clamp(first(), last()))).collect();
        let rows = sqlx::query!(
            r#"SELECT i.ord AS "ord!", me.user_id IS NOT NULL AS "is_member!", c.last_seq,
                      COALESCE(c.last_seq - me.last_read_seq - me.skipped, 0) AS "unread_count!", s.since AS "changed_since: Time",
                      (SELECT count(*) FROM (
                           SELECT 1 FROM messages m
                           WHERE m.conversation_id = c.id AND m.changed_at IS NOT NULL AND m.changed_at >= s.since
                             AND m.seq + 0 <= i.seq LIMIT $6) x) AS "changes!",
                      (SELECT COALESCE(jsonb_agg(jsonb_build_object('message_id', h.message_id, 'seq', h.seq) ORDER BY h.seq), '[]')
                       FROM (SELECT d.message_id, m.seq FROM message_deletions d JOIN messages m ON m.id = d.message_id
                             WHERE d.user_id = $1 AND d.deleted_at >= s.since AND m.conversation_id = c.id
                             ORDER BY m.seq LIMIT $6) h) AS "hidden!: Json<Vec<Hidden>>",
                      (SELECT COALESCE(jsonb_agg(w ORDER BY w.user_id), '[]')
                       FROM (SELECT m.user_id, m.last_read_seq, m.last_read_at, m.last_delivered_seq, m.last_delivered_at
                             FROM conversation_members m WHERE m.conversation_id = c.id) w) AS "watermarks!: Json<Vec<Watermark>>"
               FROM unnest($2::uuid[], $3::bigint[], $4::timestamptz[]) WITH ORDINALITY AS i (id, seq, since, ord)
               JOIN conversations c ON c.id = i.id
               LEFT JOIN conversation_members me ON me.conversation_id = c.id AND me.user_id = $1
               CROSS JOIN LATERAL (
                   SELECT CASE WHEN i.seq = 0 THEN COALESCE(i.since, 'epoch')
                               ELSE COALESCE(i.since, (SELECT GREATEST(m.created_at, '0001-01-01 00:00:00+00') FROM messages m
                                                       WHERE m.conversation_id = c.id AND m.seq = i.seq))
                                    - make_interval(secs => $5::int) END AS since) s
               ORDER BY i.ord"#,
            viewer.0,
            &ids,
            &seqs,
            &since as &[Option<DateTime<Utc>>],
            margin_seconds,
            limit
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|r| {
                Some(SyncState {
                    known: *known.get(usize::try_from(r.ord - 1).ok()?)?,
                    is_member: r.is_member,
                    last_seq: r.last_seq,
                    unread_count: r.unread_count,
                    changed_since: r.changed_since.map(Into::into),
                    changes: r.changes,
                    hidden: r.hidden.0,
                    watermarks: r.watermarks.0,
                })
            })
            .collect())
    }

    /// The viewer's conversations in which anything happened since then, newest activity first, with the last message
    /// before that; it is looked for among the newest `reach`.
    pub async fn active_since(
        &self,
        viewer: UserId,
        since: DateTime<Utc>,
        reach: i64,
        limit: i64,
    ) -> DbResult<Vec<Known>> {
        let rows = sqlx::query!(
            r#"SELECT c.id, COALESCE((SELECT m.seq FROM messages m
                                      WHERE m.conversation_id = c.id AND m.seq > c.last_seq - $3 AND m.created_at < $2
                                      ORDER BY m.seq DESC LIMIT 1),
                                     GREATEST(c.last_seq - $3, 0)) AS "seq!"
               FROM conversation_members me JOIN conversations c ON c.id = me.conversation_id
               WHERE me.user_id = $1
                 AND (c.last_message_at >= $2 OR c.created_at >= $2
                      OR EXISTS (SELECT 1 FROM messages m
                                 WHERE m.conversation_id = c.id AND m.changed_at IS NOT NULL AND m.changed_at >= $2)
                      OR EXISTS (SELECT 1 FROM conversation_members o WHERE o.conversation_id = c.id
                                 AND (o.last_read_at >= $2 OR o.last_delivered_at >= $2))
                      OR EXISTS (SELECT 1 FROM message_deletions d JOIN messages m ON m.id = d.message_id
                                 WHERE d.user_id = $1 AND d.deleted_at >= $2 AND m.conversation_id = c.id))
               ORDER BY COALESCE(c.last_message_at, c.created_at) DESC, c.id DESC LIMIT $4"#,
            viewer.0,
            since.clamp(first(), last()),
            reach,
            limit
        )
        .fetch_all(&self.pool())
        .await?;
        let known = |id, seq| Known { conversation: ConversationId(id), seq, since: Some(since) };
        Ok(rows.into_iter().map(|r| known(r.id, r.seq)).collect())
    }
}
