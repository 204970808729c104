//! Reading messages, with reactions and quotes in the same statement.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Db, DbResult, Watermark};
use crate::domain::{ConversationId, Edit, Message, MessageId, Quote, Reaction, Status, UserId};

/// Which messages of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// How many.
    pub limit: i64,
    /// How many of the newest to pass over.
    pub offset: i64,
    /// Only smaller numbers.
    pub before: Option<i64>,
    /// Only larger numbers; the page then goes forward from there.
    pub after: Option<i64>,
}

struct MessageRow {
    id: Uuid,
    conversation_id: Uuid,
    sender_id: Uuid,
    seq: i64,
    message_text: String,
    message_type: String,
    attachments: Value,
    read_by: Value,
    delivered_to: Value,
    is_edited: bool,
    is_deleted: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    edited_at: Option<DateTime<Utc>>,
    last_edited_at: Option<DateTime<Utc>>,
    status: String,
    deleted_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    read_at: Option<DateTime<Utc>>,
    deletion_type: Option<String>,
    deleted_by: Option<Uuid>,
    edit_count: i32,
    client_message_id: Option<String>,
    reply_to_message_id: Option<Uuid>,
    reply_to: Option<Json<Quote>>,
    reactions: Json<Vec<Reaction>>,
}

fn user_ids(value: &Value) -> impl Iterator<Item = UserId> + '_ {
    value.as_array().into_iter().flatten().filter_map(|v| UserId::parse(v.as_str()?))
}

fn push_new(list: &mut Vec<UserId>, id: UserId) {
    if !list.contains(&id) {
        list.push(id);
    }
}

impl MessageRow {
    /// Adds to what an adopted row says of its readers what the watermarks say.
    fn into_message(self, watermarks: &[Watermark]) -> Message {
        let sender = UserId(self.sender_id);
        let (mut read_by, mut delivered_to) = (vec![sender], Vec::new());
        user_ids(&self.read_by).for_each(|id| push_new(&mut read_by, id));
        user_ids(&self.delivered_to).for_each(|id| push_new(&mut delivered_to, id));
        let (mut read_at, mut delivered_at) = (self.read_at, self.delivered_at);
        let earliest = |a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        for w in watermarks.iter().filter(|w| w.user_id != sender) {
            if w.last_read_seq >= self.seq {
                push_new(&mut read_by, w.user_id);
                read_at = earliest(read_at, w.last_read_at);
            }
            if w.last_read_seq.max(w.last_delivered_seq) >= self.seq {
                push_new(&mut delivered_to, w.user_id);
                delivered_at = earliest(delivered_at, w.last_delivered_at.or(w.last_read_at));
            }
        }
        for id in read_by.iter().filter(|id| **id != sender) {
            push_new(&mut delivered_to, *id);
        }
        let derived = match (read_by.len(), delivered_to.len()) {
            (2.., _) => Status::Read,
            (_, 1..) => Status::Delivered,
            _ => Status::Sent,
        };
        Message {
            id: MessageId(self.id),
            status: derived.max(Status::parse(&self.status)),
            conversation_id: ConversationId(self.conversation_id),
            sender_id: sender,
            seq: self.seq,
            text: self.message_text,
            kind: self.message_type,
            attachments: self.attachments,
            read_by,
            delivered_to,
            // A watermark may be older than what it covers by the width of a clock; a time never is.
            read_at: read_at.map(|t| t.max(self.created_at)),
            delivered_at: delivered_at.or(read_at).map(|t| t.max(self.created_at)),
            is_edited: self.is_edited,
            is_deleted: self.is_deleted,
            created_at: self.created_at,
            updated_at: self.updated_at,
            edited_at: self.edited_at,
            last_edited_at: self.last_edited_at,
            deleted_at: self.deleted_at,
            deletion_type: self.deletion_type,
            deleted_by: self.deleted_by.map(UserId),
            edit_count: self.edit_count,
            client_message_id: self.client_message_id,
            reply_to_message_id: self.reply_to_message_id.map(MessageId),
            reply_to: self.reply_to.map(|q| q.0),
            reactions: self.reactions.0,
        }
    }
}

impl Db {
    /// A page of a conversation, oldest first, without what `viewer` deleted for themselves.
    ///
    /// # Errors
    /// [`super::DbError`].
    pub async fn messages(
        &self,
        conversation: ConversationId,
        viewer: UserId,
        page: Page,
        watermarks: &[Watermark],
    ) -> DbResult<Vec<Message>> {
        // One range of the index on (conversation_id, seq), walked from its newer or its older end; the other
        // branch is never run.
        let forward = page.after.is_some();
        let rows = sqlx::query_as!(
            MessageRow,
            r#"WITH page AS (
                   (SELECT m.* FROM messages m
                    WHERE NOT $7 AND m.conversation_id = $1 AND m.seq > $3 AND m.seq < $4
                      AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = m.id AND d.user_id = $2)
                    ORDER BY m.seq DESC LIMIT $5 OFFSET $6)
                   UNION ALL
                   (SELECT m.* FROM messages m
                    WHERE $7 AND m.conversation_id = $1 AND m.seq > $3 AND m.seq < $4
                      AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = m.id AND d.user_id = $2)
                    ORDER BY m.seq LIMIT $5 OFFSET $6)
               )
               SELECT m.id AS "id!", m.conversation_id AS "conversation_id!", m.sender_id AS "sender_id!", m.seq AS "seq!",
                      CASE WHEN m.is_deleted THEN '' ELSE m.message_text END AS "message_text!", m.message_type AS "message_type!",
                      CASE WHEN m.is_deleted THEN '[]' ELSE m.attachments END AS "attachments!", m.read_by AS "read_by!",
                      m.delivered_to AS "delivered_to!", m.is_edited AS "is_edited!", m.is_deleted AS "is_deleted!",
                      m.created_at AS "created_at!", m.updated_at AS "updated_at!", m.edited_at, m.last_edited_at, m.status AS "status!", m.deleted_at, m.delivered_at,
                      m.read_at, m.deletion_type, m.deleted_by, m.edit_count AS "edit_count!", m.client_message_id,
                      m.reply_to_message_id,
                      (SELECT jsonb_build_object('id', q.id, 'sender_id', q.sender_id, 'created_at', q.created_at,
                                  'is_deleted', q.is_deleted OR d.user_id IS NOT NULL,
                                  'message_text', CASE WHEN q.is_deleted OR d.user_id IS NOT NULL THEN '' ELSE q.message_text END)
                       FROM messages q LEFT JOIN message_deletions d ON d.message_id = q.id AND d.user_id = $2
                       WHERE q.id = m.reply_to_message_id AND q.conversation_id = m.conversation_id) AS "reply_to: Json<Quote>",
                      COALESCE((SELECT jsonb_agg(jsonb_build_object('reaction', r.reaction, 'count', r.count, 'user_ids', r.user_ids)
                                                 ORDER BY r.reaction)
                                FROM message_reaction_counts r WHERE r.message_id = m.id), '[]') AS "reactions!: Json<Vec<Reaction>>"
               FROM page m ORDER BY m.seq"#,
            conversation.0,
            viewer.0,
            page.after.unwrap_or(0),
            page.before.unwrap_or(i64::MAX),
            page.limit,
            page.offset,
            forward
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows.into_iter().map(|r| r.into_message(watermarks)).collect())
    }

    /// Where a message is: its conversation and number. Says nothing of who may see it.
    ///
    /// # Errors
    /// [`super::DbError`].
    pub async fn locate(&self, message: MessageId) -> DbResult<Option<(ConversationId, i64)>> {
        let row = sqlx::query!("SELECT conversation_id, seq FROM messages WHERE id = $1", message.0)
            .fetch_optional(&self.pool())
            .await?;
        Ok(row.map(|r| (ConversationId(r.conversation_id), r.seq)))
    }

    /// A message's earlier texts, newest first.
    ///
    /// # Errors
    /// [`super::DbError`].
    pub async fn edit_history(&self, message: MessageId) -> DbResult<Vec<Edit>> {
        let rows = sqlx::query!(
            r#"SELECT id AS "id!", old_text AS "old_text!", edited_by AS "edited_by!", edited_at AS "edited_at!"
               FROM get_message_edit_history($1)"#,
            message.0
        )
        .fetch_all(&self.pool())
        .await?;
        let edit =
            |id, old_text, by, edited_at| Edit { id, message_id: message, old_text, edited_by: UserId(by), edited_at };
        Ok(rows.into_iter().map(|r| edit(r.id, r.old_text, r.edited_by, r.edited_at)).collect())
    }

    /// Who deleted a message for themselves.
    ///
    /// # Errors
    /// [`super::DbError`].
    pub async fn hidden_from(&self, message: MessageId) -> DbResult<Vec<UserId>> {
        let ids = sqlx::query_scalar!("SELECT user_id FROM message_deletions WHERE message_id = $1", message.0)
            .fetch_all(&self.pool())
            .await?;
        Ok(ids.into_iter().map(UserId).collect())
    }
}
