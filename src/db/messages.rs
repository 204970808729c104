//! Reading messages, with reactions and quotes in the same statement.

use std::collections::HashMap;

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

/// A page of one conversation among others.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// Which of its messages.
    pub page: Page,
    /// Only those that changed since then after they were sent: edited, deleted for everyone, reacted to.
    pub changed_since: Option<DateTime<Utc>>,
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
        let slice = Slice { conversation, page, changed_since: None };
        let rows = self.slices(viewer, &[slice]).await?;
        Ok(rows.into_iter().map(|r| r.into_message(watermarks)).collect())
    }

    /// Slices of several conversations in one statement, each conversation's messages oldest first, without what
    /// `viewer` deleted for themselves. `watermarks` are those of all members of these conversations.
    ///
    /// # Errors
    /// [`super::DbError`].
    pub async fn messages_of(
        &self,
        viewer: UserId,
        slices: &[Slice],
        watermarks: impl Fn(ConversationId) -> Vec<Watermark>,
    ) -> DbResult<Vec<Message>> {
        let rows = self.slices(viewer, slices).await?;
        Ok(rows
            .into_iter()
            .map(|r| {
                let watermarks = watermarks(ConversationId(r.conversation_id));
                r.into_message(&watermarks)
            })
            .collect())
    }

    async fn slices(&self, viewer: UserId, slices: &[Slice]) -> DbResult<Vec<MessageRow>> {
        let conversations: Vec<Uuid> = slices.iter().map(|s| s.conversation.0).collect();
        let after: Vec<i64> = slices.iter().map(|s| s.page.after.unwrap_or(0)).collect();
        let before: Vec<i64> = slices.iter().map(|s| s.page.before.unwrap_or(i64::MAX)).collect();
        let limits: Vec<i64> = slices.iter().map(|s| s.page.limit).collect();
        let offsets: Vec<i64> = slices.iter().map(|s| s.page.offset).collect();
        let forward: Vec<bool> = slices.iter().map(|s| s.page.after.is_some()).collect();
        let changed_since: Vec<Option<DateTime<Utc>>> = slices.iter().map(|s| s.changed_since).collect();
        let rows = sqlx::query_file_as!(
            MessageRow,
            "src/db/slice_messages.sql",
            viewer.0,
            &conversations,
            &after,
            &before,
            &limits,
            &offsets,
            &forward,
            &changed_since as &[Option<DateTime<Utc>>]
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows)
    }

    /// These messages by their numbers, with nobody's eyes.
    ///
    /// # Errors
    /// [`super::DbError`].
    pub async fn stored_messages(
        &self,
        wanted: &[(ConversationId, i64)],
    ) -> DbResult<HashMap<(ConversationId, i64), Message>> {
        let slice = |(conversation, seq): &(ConversationId, i64)| Slice {
            conversation: *conversation,
            page: Page { limit: 1, offset: 0, before: Some(seq + 1), after: Some(seq - 1) },
            changed_since: None,
        };
        let slices: Vec<Slice> = wanted.iter().map(slice).collect();
        let ids: Vec<ConversationId> = wanted.iter().map(|w| w.0).collect();
        let watermarks = self.watermarks_of(&ids).await?;
        let of = |id| watermarks.get(&id).cloned().unwrap_or_default();
        let found = self.messages_of(UserId::NOBODY, &slices, of).await?;
        Ok(found.into_iter().map(|m| ((m.conversation_id, m.seq), m)).collect())
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
