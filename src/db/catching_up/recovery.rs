//! Connection state recovery after a restart of the server: the sockets that its earlier life had,
//! with their rooms, and what happened since a position that a client names.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    db::{Db, DbResult, time::Time},
    domain::{ConversationId, MessageId, Position, Returning, UserId},
};

/// `RECOVERY_WINDOW` is no longer than this: of a server that is no more, nobody knows it.
const LONGEST_WINDOW_SECONDS: f64 = 3600.0;

/// A message that came since.
#[derive(Clone, Debug)]
pub struct Came {
    pub message: MessageId,
    pub conversation: ConversationId,
    pub seq: i64,
    pub sender: UserId,
    pub created_at: DateTime<Utc>,
    /// When and with which version it was deleted for everyone.
    pub deleted: Option<(DateTime<Utc>, i64)>,
}

/// A message that changed since.
#[derive(Clone, Debug)]
pub struct Changed {
    pub message: MessageId,
    pub conversation: ConversationId,
    pub at: DateTime<Utc>,
    pub version: i64,
    /// For everyone.
    pub is_deleted: bool,
    /// The viewer deleted it for themselves.
    pub is_hidden: bool,
    pub is_edited: bool,
    /// Who reacted to it last.
    pub reacted_by: Option<UserId>,
}

#[derive(Clone, Debug)]
pub struct ReadSince {
    pub conversation: ConversationId,
    pub by: UserId,
    pub at: DateTime<Utc>,
    /// Up to which number.
    pub last_read_seq: i64,
}

impl Db {
    /// Writes how these sockets are now, and removes those of `gone`, as who nobody may come back.
    pub async fn write_returning(&self, server: &str, sockets: &[Returning], gone: &[Uuid]) -> DbResult<()> {
        let pids: Vec<Uuid> = sockets.iter().map(|s| s.pid).collect();
        let users: Vec<Uuid> = sockets.iter().map(|s| s.user.0).collect();
        let are_gone: Vec<bool> = sockets.iter().map(|s| s.is_gone).collect();
        // An array of arrays would have to be rectangular.
        let mut of = Vec::new();
        let mut rooms = Vec::new();
        for socket in sockets {
            of.extend(socket.rooms.iter().map(|_| socket.pid));
            rooms.extend(socket.rooms.iter().map(|room| room.0));
        }
        let mut lease = self.pool().acquire().await?;
        let done = sqlx::query!(
            "WITH removed AS (DELETE FROM chat_returning_sockets WHERE pid = ANY ($7))
             INSERT INTO chat_returning_sockets AS s (pid, user_id, server_name, rooms, gone_at)
             SELECT i.pid, i.user_id, $1, COALESCE(r.rooms, '{}'), CASE WHEN i.is_gone THEN now() END
             FROM unnest($2::uuid[], $3::uuid[], $4::boolean[]) AS i (pid, user_id, is_gone)
             LEFT JOIN (SELECT x.pid, array_agg(x.room) AS rooms FROM unnest($5::uuid[], $6::uuid[]) AS x (pid, room) GROUP BY x.pid) r
                    ON r.pid = i.pid
             ORDER BY i.pid
             ON CONFLICT (pid) DO UPDATE SET server_name = excluded.server_name, rooms = excluded.rooms,
                                             gone_at = excluded.gone_at, is_left_over = false",
            server,
            &pids,
            &users,
            &are_gone,
            &of,
            &rooms,
            gone
        )
        .execute(&mut *lease)
        .await;
        lease.done_if_ok(done)?;
        Ok(())
    }

    /// Takes over what an earlier life of this server left: its sockets were lost at its last heartbeat, or long ago where nobody
    /// knows. To be called before the server registers.
    pub async fn inherit_returning(&self, server: &str) -> DbResult<()> {
        sqlx::query!(
            "UPDATE chat_returning_sockets s
             SET is_left_over = true,
                 gone_at = COALESCE(s.gone_at, (SELECT c.heartbeat_at FROM chat_servers c WHERE c.name = $1), 'epoch')
             WHERE s.server_name = $1",
            server
        )
        .execute(&self.pool())
        .await?;
        Ok(())
    }

    /// Forgets the sockets of this server that were away for more than `window_seconds`. Those of a server that is no more are
    /// lost once that is seen, and kept for the longest window that there is: it may start again.
    pub async fn forget_returning(&self, server: &str, window_seconds: f64) -> DbResult<()> {
        sqlx::query!(
            "UPDATE chat_returning_sockets s SET gone_at = now()
             WHERE s.server_name <> $1 AND s.gone_at IS NULL
               AND NOT EXISTS (SELECT 1 FROM chat_servers c WHERE c.name = s.server_name)",
            server
        )
        .execute(&self.pool())
        .await?;
        sqlx::query!(
            "DELETE FROM chat_returning_sockets s
             WHERE s.server_name = $1 AND s.gone_at < now() - make_interval(secs => $2)
                OR s.server_name <> $1 AND s.gone_at < now() - make_interval(secs => $3)
                   AND NOT EXISTS (SELECT 1 FROM chat_servers c WHERE c.name = s.server_name)",
            server,
            window_seconds,
            LONGEST_WINDOW_SECONDS
        )
        .execute(&self.pool())
        .await?;
        Ok(())
    }

    /// Takes a socket that an earlier life of this server had: its rooms. It can be taken once. `None` where it is not kept, or
    /// the message at `known` is none of the user's conversations or was not stored when the client says.
    pub async fn take_returning(
        &self,
        server: &str,
        pid: Uuid,
        user: UserId,
        known: &Position,
        window_seconds: f64,
    ) -> DbResult<Option<Vec<ConversationId>>> {
        let rooms = sqlx::query_scalar!(
            "DELETE FROM chat_returning_sockets s
             WHERE s.pid = $1 AND s.user_id = $2 AND s.server_name = $3 AND s.is_left_over
               AND s.gone_at >= now() - make_interval(secs => $4)
               AND EXISTS (SELECT 1 FROM messages m JOIN conversation_members me ON me.conversation_id = m.conversation_id
                           WHERE m.conversation_id = $5 AND m.seq = $6 AND m.created_at = $7 AND me.user_id = $2)
             RETURNING s.rooms",
            pid,
            user.0,
            server,
            window_seconds,
            known.id,
            known.number,
            known.at()
        )
        .fetch_optional(&self.pool())
        .await?;
        Ok(rooms.map(|rooms| rooms.into_iter().map(ConversationId).collect()))
    }

    /// Messages in the user's conversations that are newer than the one at `known`, in the order of their numbers, at most
    /// `limit`. Of other conversations those that were stored `margin_seconds` before it or later; those of its own were
    /// told in the order of their numbers.
    pub async fn came_since(
        &self,
        user: UserId,
        known: &Position,
        margin_seconds: f64,
        limit: i64,
    ) -> DbResult<Vec<Came>> {
        let rows = sqlx::query!(
            r#"SELECT m.id, m.conversation_id, m.seq, m.sender_id, m.created_at AS "created_at: Time", m.is_deleted,
                      m.changed_at AS "changed_at: Time", m.version
               FROM conversation_members me
               JOIN conversations c ON c.id = me.conversation_id
               CROSS JOIN LATERAL (
                   SELECT x.id, x.conversation_id, x.seq, x.sender_id, x.created_at, x.is_deleted, x.changed_at, x.version
                   FROM messages x
                   WHERE x.conversation_id = c.id AND x.seq > c.last_seq - $5
                     AND CASE WHEN c.id = $2 THEN x.seq > $3
                              ELSE x.created_at >= $4::timestamptz - make_interval(secs => $6) END
                   ORDER BY x.seq LIMIT $5) m
               WHERE me.user_id = $1
                 AND (c.id = $2 OR c.last_message_at IS NULL OR c.last_message_at >= $4::timestamptz - make_interval(secs => $6))
               ORDER BY m.conversation_id, m.seq LIMIT $5"#,
            user.0,
            known.id,
            known.number,
            known.at(),
            limit,
            margin_seconds
        )
        .fetch_all(&self.pool())
        .await?;
        let came = rows.into_iter().map(|r| {
            let created_at: DateTime<Utc> = r.created_at.into();
            let changed_at = r.changed_at.map_or(created_at, Into::into);
            Came {
                message: MessageId(r.id),
                conversation: ConversationId(r.conversation_id),
                seq: r.seq,
                sender: UserId(r.sender_id),
                created_at,
                deleted: r.is_deleted.then_some((changed_at, r.version)),
            }
        });
        Ok(came.collect())
    }

    /// Messages in the user's conversations that were changed, or that they deleted for themselves, since then, at most `limit`.
    pub async fn changed_since(&self, user: UserId, since: DateTime<Utc>, limit: i64) -> DbResult<Vec<Changed>> {
        let rows = sqlx::query!(
            r#"SELECT m.id AS "id!", m.conversation_id AS "conversation_id!", m.version AS "version!", m.is_deleted AS "is_deleted!",
                      COALESCE(m.hidden_at, m.changed_at) AS "at!: Time", m.hidden_at IS NOT NULL AS "is_hidden!",
                      COALESCE(m.edited_at >= $2, false) AS "is_edited!",
                      (SELECT r.user_id FROM message_reactions r WHERE r.message_id = m.id AND r.created_at >= $2
                       ORDER BY r.created_at DESC LIMIT 1) AS reacted_by
               FROM (SELECT x.id, x.conversation_id, x.version, x.is_deleted, x.changed_at, x.edited_at, NULL::timestamptz AS hidden_at
                     FROM conversation_members me JOIN messages x ON x.conversation_id = me.conversation_id
                     WHERE me.user_id = $1 AND x.changed_at IS NOT NULL AND x.changed_at >= $2
                       AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = x.id AND d.user_id = $1)
                     UNION ALL
                     SELECT x.id, x.conversation_id, x.version, x.is_deleted, x.changed_at, x.edited_at, d.deleted_at
                     FROM message_deletions d JOIN messages x ON x.id = d.message_id
                     WHERE d.user_id = $1 AND d.deleted_at >= $2) m
               LIMIT $3"#,
            user.0,
            since,
            limit
        )
        .fetch_all(&self.pool())
        .await?;
        let changed = rows.into_iter().map(|r| Changed {
            message: MessageId(r.id),
            conversation: ConversationId(r.conversation_id),
            at: r.at.into(),
            version: r.version,
            is_deleted: r.is_deleted,
            is_hidden: r.is_hidden,
            is_edited: r.is_edited,
            reacted_by: r.reacted_by.map(UserId),
        });
        Ok(changed.collect())
    }

    /// Who read in the user's conversations since then, at most `limit`.
    pub async fn read_since(&self, user: UserId, since: DateTime<Utc>, limit: i64) -> DbResult<Vec<ReadSince>> {
        let rows = sqlx::query!(
            r#"SELECT o.conversation_id, o.user_id, o.last_read_seq, o.last_read_at AS "last_read_at!: Time"
               FROM conversation_members me JOIN conversation_members o ON o.conversation_id = me.conversation_id
               WHERE me.user_id = $1 AND o.last_read_at >= $2 LIMIT $3"#,
            user.0,
            since,
            limit
        )
        .fetch_all(&self.pool())
        .await?;
        let read = rows.into_iter().map(|r| ReadSince {
            conversation: ConversationId(r.conversation_id),
            by: UserId(r.user_id),
            at: r.last_read_at.into(),
            last_read_seq: r.last_read_seq,
        });
        Ok(read.collect())
    }
}
