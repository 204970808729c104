//! The list of a message's columns, and how a row becomes a [`Message`]. Every statement that reads whole messages uses this list.
//! `CONTRIBUTING.md` says what else a new column needs.
//!
//! A page reads its messages by [`message_rows`]: a few columns that all messages have, and one JSON list of the columns that
//! few have ([`RareColumns`]), since every column of every row costs decoding time, even if it is empty. A second statement
//! reads the columns of messages that were changed or reacted to, or are replies ([`ChangedRow`]). Most pages do not need it.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::readers::{add_readers, push_new, user_ids};
use crate::{
    db::{Db, DbResult, Watermark, time::Time},
    domain::{ConversationId, Message, MessageId, Quote, Reaction, Status, UserId, time::opt_from_postgres},
};

/// Selects the columns of messages `m`; the literals before and after say which messages. An empty JSON array takes 5 bytes:
/// to look at the size is a tenth of the work of comparing it.
macro_rules! message_rows {
    ($row:ty, $select:literal, $from:literal, $($arg:expr),*) => {
        sqlx::query_as!(
            $row,
            $select + r#" m.id AS "id!", m.sender_id AS "sender_id!", m.seq AS "seq!",
       CASE WHEN m.is_deleted THEN '' ELSE m.message_text END AS "message_text!", m.created_at AS "created_at!: Time",
       NULLIF(m.updated_at, m.created_at) AS "updated_at: Time", m.client_message_id,
       CASE WHEN m.changed_at IS NOT NULL OR m.reply_to_message_id IS NOT NULL OR m.message_type <> 'text' OR m.status <> 'sent'
              OR pg_column_size(m.attachments) > 5 OR pg_column_size(m.read_by) > 5 OR pg_column_size(m.delivered_to) > 5
              OR m.delivered_at IS NOT NULL OR m.read_at IS NOT NULL OR m.is_edited OR m.edit_count <> 0
              OR m.edited_at IS NOT NULL OR m.last_edited_at IS NOT NULL OR m.is_deleted OR m.deleted_at IS NOT NULL
              OR m.deletion_type IS NOT NULL OR m.deleted_by IS NOT NULL
            THEN json_build_array(m.message_type, m.status, CASE WHEN NOT m.is_deleted THEN m.attachments END, m.read_by,
                     m.delivered_to, m.delivered_at, m.read_at,
                     m.changed_at IS NOT NULL OR m.reply_to_message_id IS NOT NULL OR m.is_edited
                         OR m.edit_count <> 0 OR m.edited_at IS NOT NULL OR m.last_edited_at IS NOT NULL OR m.is_deleted
                         OR m.deleted_at IS NOT NULL OR m.deletion_type IS NOT NULL OR m.deleted_by IS NOT NULL)
            END AS "unusual: Json<Box<RareColumns>>"
        "# + $from,
            $($arg),*
        )
    };
}
pub(super) use message_rows;

/// A stored message. A column that has the same value for most messages is `None` for those: it costs more than all the
/// rest to send, and to read, what is empty.
pub(super) struct MessageRow {
    pub(super) id: Uuid,
    pub(super) conversation_id: Uuid,
    pub(super) sender_id: Uuid,
    pub(super) seq: i64,
    pub(super) message_text: String,
    pub(super) created_at: Time,
    pub(super) updated_at: Option<Time>,
    pub(super) client_message_id: Option<String>,
    pub(super) unusual: Option<Json<Box<RareColumns>>>,
}

/// The columns that few messages have: files, and what only an adopted row says of its readers. They come as a JSON list, in
/// this order.
#[derive(Deserialize)]
pub(super) struct RareColumns {
    message_type: Option<String>,
    status: Option<String>,
    attachments: Option<Value>,
    read_by: Option<Value>,
    delivered_to: Option<Value>,
    #[serde(deserialize_with = "opt_from_postgres")]
    delivered_at: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "opt_from_postgres")]
    read_at: Option<DateTime<Utc>>,
    /// True if it was edited, deleted or reacted to, or is a reply: [`ChangedRow`] has the rest then.
    has_more: Option<bool>,
}

/// A message or, without text, a participant of its conversation.
pub(super) struct PageRow {
    pub(super) last_delivered_seq: Option<i64>,
    pub(super) id: Option<Uuid>,
    pub(super) sender_id: Option<Uuid>,
    pub(super) seq: Option<i64>,
    pub(super) message_text: Option<String>,
    pub(super) created_at: Option<Time>,
    pub(super) updated_at: Option<Time>,
    pub(super) client_message_id: Option<String>,
    pub(super) unusual: Option<Json<Box<RareColumns>>>,
}

impl PageRow {
    pub(super) fn message(self, conversation: ConversationId) -> Option<MessageRow> {
        Some(MessageRow {
            id: self.id?,
            conversation_id: conversation.0,
            sender_id: self.sender_id?,
            seq: self.seq?,
            message_text: self.message_text?,
            created_at: self.created_at?,
            updated_at: self.updated_at,
            client_message_id: self.client_message_id,
            unusual: self.unusual,
        })
    }

    pub(super) fn watermark(self) -> Option<Watermark> {
        let (read, delivered) = ((self.seq?, self.created_at), (self.last_delivered_seq?, self.updated_at));
        Some(Watermark::new(self.id?, read, delivered))
    }
}

impl MessageRow {
    /// True if [`ChangedRow`] has more columns of it.
    pub(super) fn has_more(&self) -> bool {
        self.unusual.as_ref().is_some_and(|u| u.has_more == Some(true))
    }

    /// Its readers are those of an adopted row and those whom the watermarks name.
    pub(super) fn into_message(self, watermarks: &[Watermark]) -> Message {
        let (id, conversation) = (MessageId(self.id), ConversationId(self.conversation_id));
        let sender = UserId(self.sender_id);
        let mut message = Message::plain(id, conversation, sender, self.seq, self.message_text, self.created_at.into());
        message.updated_at = self.updated_at.map_or(message.created_at, Into::into);
        message.client_message_id = self.client_message_id;
        message.read_by = Vec::with_capacity(watermarks.len().max(1));
        message.read_by.push(sender);
        let mut least = Status::Sent;
        if let Some(Json(unusual)) = self.unusual {
            user_ids(unusual.read_by.as_ref()).for_each(|id| push_new(&mut message.read_by, id));
            user_ids(unusual.delivered_to.as_ref()).for_each(|id| push_new(&mut message.delivered_to, id));
            (message.read_at, message.delivered_at) = (unusual.read_at, unusual.delivered_at);
            least = unusual.status.as_deref().map_or(Status::Sent, Status::parse);
            message.kind = unusual.message_type.map_or(Cow::Borrowed("text"), Cow::Owned);
            message.attachments = unusual.attachments.unwrap_or_else(none);
        }
        add_readers(&mut message, watermarks);
        message.status = message.status.max(least);
        message
    }
}

/// The columns of a message that was changed or reacted to, or is a reply. Its text and files are read again: a message
/// that is deleted between the two statements shows neither.
pub(super) struct ChangedRow {
    pub(super) id: Uuid,
    message_text: String,
    attachments: Option<Value>,
    updated_at: Time,
    is_edited: bool,
    edited_at: Option<Time>,
    last_edited_at: Option<Time>,
    edit_count: i32,
    is_deleted: bool,
    deleted_at: Option<Time>,
    deletion_type: Option<String>,
    deleted_by: Option<Uuid>,
    reply_to_message_id: Option<Uuid>,
    version: i64,
    reply_to: Option<Json<Quote>>,
    reactions: Option<Json<Vec<Reaction>>>,
}

impl ChangedRow {
    pub(super) fn add_to(self, message: &mut Message) {
        message.text = self.message_text;
        message.attachments = self.attachments.unwrap_or_else(none);
        message.updated_at = self.updated_at.into();
        message.is_edited = self.is_edited;
        message.edited_at = self.edited_at.map(Into::into);
        message.last_edited_at = self.last_edited_at.map(Into::into);
        message.edit_count = self.edit_count;
        message.is_deleted = self.is_deleted;
        message.deleted_at = self.deleted_at.map(Into::into);
        message.deletion_type = self.deletion_type;
        message.deleted_by = self.deleted_by.map(UserId);
        message.reply_to_message_id = self.reply_to_message_id.map(MessageId);
        message.version = self.version;
        message.reply_to = self.reply_to.map(|quote| quote.0);
        message.reactions = self.reactions.map(|reactions| reactions.0).unwrap_or_default();
    }
}

impl Db {
    /// The further columns of these messages, as `viewer` sees them. Most pages need none, and then nothing is read.
    pub(super) async fn changed_rows(&self, viewer: UserId, messages: &[Uuid]) -> DbResult<Vec<ChangedRow>> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query_as!(
            ChangedRow,
            r#"SELECT m.id, CASE WHEN m.is_deleted THEN '' ELSE m.message_text END AS "message_text!",
                      CASE WHEN NOT m.is_deleted THEN m.attachments END AS attachments, m.updated_at AS "updated_at: Time",
                      m.is_edited, m.edited_at AS "edited_at: Time", m.last_edited_at AS "last_edited_at: Time", m.edit_count,
                      m.is_deleted, m.deleted_at AS "deleted_at: Time", m.deletion_type, m.deleted_by, m.reply_to_message_id, m.version,
                      CASE WHEN m.reply_to_message_id IS NOT NULL THEN (
                          SELECT jsonb_build_object('id', q.id, 'sender_id', q.sender_id, 'created_at', q.created_at, 'version', q.version,
                                     'sender_name', CASE WHEN btrim(u.display_name) <> '' THEN u.display_name ELSE split_part(u.email, '@', 1) END,
                                     'is_deleted', q.is_deleted OR d.user_id IS NOT NULL,
                                     'message_text', CASE WHEN q.is_deleted OR d.user_id IS NOT NULL THEN '' ELSE q.message_text END)
                          FROM messages q LEFT JOIN users u ON u.id = q.sender_id
                          LEFT JOIN message_deletions d ON d.message_id = q.id AND d.user_id = $1
                          WHERE q.id = m.reply_to_message_id AND q.conversation_id = m.conversation_id) END AS "reply_to: Json<Quote>",
                      (SELECT jsonb_agg(jsonb_build_object('reaction', r.reaction, 'count', r.count, 'user_ids', r.user_ids) ORDER BY r.reaction)
                       FROM (SELECT c.* FROM message_reaction_counts c WHERE c.message_id = m.id ORDER BY c.reaction LIMIT 100) r) AS "reactions: Json<Vec<Reaction>>"
               FROM messages m WHERE m.id = ANY($2)"#,
            viewer.0,
            messages
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows)
    }
}

fn none() -> Value {
    Value::Array(Vec::new())
}
