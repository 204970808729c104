//! Conversations as their members see them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    db::{Db, DbResult, time::Time},
    domain::{Before, Conversation, ConversationId, Role, User, UserId},
};

struct ConversationRow {
    id: Uuid,
    kind: String,
    participant_ids: Value,
    subject: Option<String>,
    related_entity_type: Option<String>,
    related_entity_id: Option<Uuid>,
    status: String,
    last_message_at: Option<Time>,
    last_message_text: Option<String>,
    created_at: Time,
    updated_at: Time,
    closed_at: Option<Time>,
    metadata: Value,
    last_seq: i64,
    unread_count: i64,
}

/// Conversations `c` as `$1`, who is their member `me`, sees them; what follows `FROM` says which.
macro_rules! conversation_rows {
    ($from:literal, $($arg:expr),*) => {
        sqlx::query_as!(
            ConversationRow,
            r#"SELECT c.id, c.type AS kind, c.participant_ids, c.subject, c.related_entity_type, c.related_entity_id, c.status,
                      c.last_message_at AS "last_message_at: Time",
                      -- Most users never delete anything: then the message that is shown is not looked at.
                      CASE WHEN EXISTS (SELECT 1 FROM message_deletions WHERE user_id = $1)
                            AND EXISTS (SELECT 1 FROM messages n JOIN message_deletions d ON d.message_id = n.id AND d.user_id = $1
                                        WHERE n.conversation_id = c.id
                                          AND n.seq = CASE WHEN c.last_seq > c.deleted_to THEN c.last_seq ELSE c.deleted_after END)
                           THEN (SELECT souk_preview(v.message_text, v.attachments) FROM messages v
                                 WHERE v.conversation_id = c.id AND NOT v.is_deleted
                                   AND v.seq < CASE WHEN c.last_seq > c.deleted_to THEN c.last_seq ELSE c.deleted_after END
                                   AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = v.id AND d.user_id = $1)
                                 ORDER BY v.seq DESC LIMIT 1)
                           ELSE c.last_message_text END AS last_message_text,
                      c.created_at AS "created_at: Time", c.updated_at AS "updated_at: Time", c.closed_at AS "closed_at: Time", c.metadata, c.last_seq,
                      (c.last_seq - me.last_read_seq - me.skipped) AS "unread_count!"
               "# + $from,
            $($arg),*
        )
    };
}

impl From<ConversationRow> for Conversation {
    fn from(r: ConversationRow) -> Self {
        let participant_ids = r.participant_ids.as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            id: ConversationId(r.id),
            kind: r.kind,
            participant_ids: participant_ids.iter().filter_map(|v| UserId::parse(v.as_str()?)).collect(),
            subject: r.subject,
            related_entity_type: r.related_entity_type,
            related_entity_id: r.related_entity_id,
            status: r.status,
            last_message_at: r.last_message_at.map(Into::into),
            last_message_text: r.last_message_text,
            created_at: r.created_at.into(),
            updated_at: r.updated_at.into(),
            closed_at: r.closed_at.map(Into::into),
            metadata: r.metadata,
            last_seq: r.last_seq,
            unread_count: r.unread_count,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Participant {
    pub conversation_id: ConversationId,
    pub user: User,
    /// The shop deleted them: only the id is known, and the role is a guess for the caller to make.
    pub is_deleted: bool,
    /// One of the two blocked the other: the viewer is told nothing of their presence.
    pub is_blocked: bool,
    pub is_online: bool,
    pub last_seen_at: Option<DateTime<Utc>>,
}

impl Db {
    /// One conversation as `viewer` sees it; `None` unless they are a member.
    pub async fn conversation(&self, id: ConversationId, viewer: UserId) -> DbResult<Option<Conversation>> {
        let row = conversation_rows!(
            "FROM conversation_members me JOIN conversations c ON c.id = me.conversation_id
             WHERE me.user_id = $1 AND c.id = $2",
            viewer.0,
            id.0
        )
        .fetch_optional(&self.pool())
        .await?;
        Ok(row.map(Conversation::from))
    }

    /// A page of `viewer`'s conversations, newest activity first.
    pub async fn conversations(
        &self,
        viewer: UserId,
        limit: i64,
        before: Option<&Before>,
    ) -> DbResult<Vec<Conversation>> {
        let rows = match before {
            None => self.newest_conversations(viewer, limit).await?,
            Some(Before::Time(t)) => self.conversations_before(viewer, limit, Some(*t), None).await?,
            Some(Before::Conversation(id)) => self.conversations_before(viewer, limit, None, Some(id.0)).await?,
            Some(Before::Place(t, id)) => self.conversations_before(viewer, limit, Some(*t), Some(id.0)).await?,
        };
        Ok(rows.into_iter().map(Conversation::from).collect())
    }

    /// The first page, which nearly every call asks for: a statement that can do no more is cheaper.
    async fn newest_conversations(&self, viewer: UserId, limit: i64) -> DbResult<Vec<ConversationRow>> {
        let rows = conversation_rows!(
            "FROM conversation_members me JOIN conversations c ON c.id = me.conversation_id
             WHERE me.user_id = $1
               -- Whatever is older than this minute comes after the page: that many are newer.
               AND me.active_minute >= COALESCE((
                   SELECT f.active_minute FROM conversation_members f WHERE f.user_id = $1
                   ORDER BY f.active_minute DESC OFFSET $2::bigint - 1 LIMIT 1), -2147483648)
             ORDER BY COALESCE(c.last_message_at, c.created_at) DESC, c.id DESC LIMIT $2",
            viewer.0,
            limit
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows)
    }

    /// A page that begins at a time, at a conversation, or with both at the place that a conversation had at a time.
    async fn conversations_before(
        &self,
        viewer: UserId,
        limit: i64,
        time: Option<DateTime<Utc>>,
        conversation: Option<Uuid>,
    ) -> DbResult<Vec<ConversationRow>> {
        let rows = conversation_rows!(
            "FROM (SELECT b.at, COALESCE(souk_minute(b.at), 2147483647) AS minute
                   FROM (SELECT COALESCE($3::timestamptz, (SELECT COALESCE(b.last_message_at, b.created_at) FROM conversations b
                                              JOIN conversation_members m ON m.conversation_id = b.id AND m.user_id = $1
                                              WHERE b.id = $4)) AS at) b) s
             CROSS JOIN conversation_members me JOIN conversations c ON c.id = me.conversation_id
             WHERE me.user_id = $1 AND me.active_minute <= s.minute
               AND me.active_minute >= COALESCE((
                   SELECT f.active_minute FROM conversation_members f WHERE f.user_id = $1 AND f.active_minute < s.minute
                   ORDER BY f.active_minute DESC OFFSET $2::bigint - 1 LIMIT 1), -2147483648)
               AND (COALESCE(c.last_message_at, c.created_at) < s.at
                    OR COALESCE(c.last_message_at, c.created_at) = s.at AND c.id < $4::uuid)
             ORDER BY COALESCE(c.last_message_at, c.created_at) DESC, c.id DESC LIMIT $2",
            viewer.0,
            limit,
            time,
            conversation
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows)
    }

    /// The participants of these conversations other than `viewer`, in one statement.
    pub async fn other_participants(
        &self,
        conversations: &[ConversationId],
        viewer: UserId,
    ) -> DbResult<Vec<Participant>> {
        let ids: Vec<Uuid> = conversations.iter().map(|c| c.0).collect();
        let rows = sqlx::query!(
            r#"SELECT m.conversation_id, m.user_id, CASE WHEN u.id IS NOT NULL THEN COALESCE(u.email, '') END AS "email?", COALESCE(u.role, 'customer') AS "role!", u.display_name,
                      COALESCE(u.status, 'active') AS "status!", COALESCE(s.is_online, false) AS "is_online!", s.last_seen_at AS "last_seen_at?: Time",
                      EXISTS (SELECT 1 FROM user_blocks b
                              WHERE b.blocker_id = m.user_id AND b.blocked_id = $2 OR b.blocker_id = $2 AND b.blocked_id = m.user_id) AS "is_blocked!"
               FROM conversation_members m
               LEFT JOIN users u ON u.id = m.user_id
               LEFT JOIN user_online_status s ON s.user_id = u.id
               WHERE m.conversation_id = ANY($1) AND m.user_id <> $2
               ORDER BY m.conversation_id, u.id IS NULL, m.joined_at, m.user_id"#,
            &ids,
            viewer.0
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|r| Participant {
                conversation_id: ConversationId(r.conversation_id),
                is_deleted: r.email.is_none(),
                user: match r.email {
                    Some(email) => User {
                        id: UserId(r.user_id),
                        email,
                        role: Role::parse(&r.role).unwrap_or(Role::Customer),
                        display_name: r.display_name,
                        active: r.status == "active",
                    },
                    None => User::deleted(UserId(r.user_id), Role::Customer),
                },
                is_blocked: r.is_blocked,
                is_online: r.is_online && !r.is_blocked,
                last_seen_at: r.last_seen_at.filter(|_| !r.is_blocked).map(Into::into),
            })
            .collect())
    }
}
