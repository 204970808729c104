//! A message from its row, its readers, and what few messages have besides.

use std::{borrow::Cow, collections::HashMap};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Db, DbResult, Watermark, time::Time};
use crate::domain::{ConversationId, Message, MessageId, Quote, Reaction, Status, UserId, time::opt_from_postgres};

/// A stored message. What is the same for most messages is `None` for those: it costs more than all the rest to send, and to
/// read, what is empty.
pub(super) struct MessageRow {
    pub(super) id: Uuid,
    pub(super) conversation_id: Uuid,
    pub(super) sender_id: Uuid,
    pub(super) seq: i64,
    pub(super) message_text: String,
    pub(super) created_at: Time,
    pub(super) updated_at: Option<Time>,
    pub(super) client_message_id: Option<String>,
    pub(super) unusual: Option<Json<Box<Unusual>>>,
}

/// What is not the same as for most messages: files, and what only an adopted row says of its readers. It comes as a list, in
/// this order.
#[derive(Deserialize)]
pub(super) struct Unusual {
    message_type: Option<String>,
    status: Option<String>,
    attachments: Option<Value>,
    read_by: Option<Value>,
    delivered_to: Option<Value>,
    #[serde(deserialize_with = "opt_from_postgres")]
    delivered_at: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "opt_from_postgres")]
    read_at: Option<DateTime<Utc>>,
    /// Whether it was edited, deleted or reacted to, or is a reply: [`Attached`] has what follows from that.
    has_more: Option<bool>,
}

/// What few messages have: that they were changed, answer another, or were reacted to.
struct Attached {
    message_text: String,
    attachments: Option<Value>,
    updated_at: DateTime<Utc>,
    is_edited: bool,
    edited_at: Option<DateTime<Utc>>,
    last_edited_at: Option<DateTime<Utc>>,
    edit_count: i32,
    is_deleted: bool,
    deleted_at: Option<DateTime<Utc>>,
    deletion_type: Option<String>,
    deleted_by: Option<Uuid>,
    reply_to_message_id: Option<Uuid>,
    reply_to: Option<Quote>,
    reactions: Vec<Reaction>,
    version: i64,
}

impl Attached {
    /// Its text and files are read again: a message that is deleted between the two statements shows neither.
    fn add_to(self, message: &mut Message) {
        message.text = self.message_text;
        message.attachments = self.attachments.unwrap_or_else(none);
        message.updated_at = self.updated_at;
        message.is_edited = self.is_edited;
        message.edited_at = self.edited_at;
        message.last_edited_at = self.last_edited_at;
        message.edit_count = self.edit_count;
        message.is_deleted = self.is_deleted;
        message.deleted_at = self.deleted_at;
        message.deletion_type = self.deletion_type;
        message.deleted_by = self.deleted_by.map(UserId);
        message.reply_to_message_id = self.reply_to_message_id.map(MessageId);
        message.reply_to = self.reply_to;
        message.reactions = self.reactions;
        message.version = self.version;
    }
}

fn none() -> Value {
    Value::Array(Vec::new())
}

fn user_ids(value: Option<&Value>) -> impl Iterator<Item = UserId> + '_ {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(|v| UserId::parse(v.as_str()?))
}

fn push_new(list: &mut Vec<UserId>, id: UserId) {
    if !list.contains(&id) {
        list.push(id);
    }
}

impl MessageRow {
    fn has_more(&self) -> bool {
        self.unusual.as_ref().is_some_and(|u| u.has_more == Some(true))
    }

    /// Adds to what an adopted row says of its readers what the watermarks say.
    fn into_message(self, watermarks: &[Watermark]) -> Message {
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

/// Adds the readers of a message, who it has reached and when, as far as the watermarks tell, and what follows from all.
fn add_readers(message: &mut Message, watermarks: &[Watermark]) {
    let earliest = |a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    for w in watermarks.iter().filter(|w| w.user_id != message.sender_id) {
        if w.last_read_seq >= message.seq {
            push_new(&mut message.read_by, w.user_id);
            message.read_at = earliest(message.read_at, w.last_read_at);
        }
        if w.last_read_seq.max(w.last_delivered_seq) >= message.seq {
            push_new(&mut message.delivered_to, w.user_id);
            message.delivered_at = earliest(message.delivered_at, w.last_delivered_at.or(w.last_read_at));
        }
    }
    for id in message.read_by.iter().filter(|id| **id != message.sender_id) {
        push_new(&mut message.delivered_to, *id);
    }
    message.status = match (message.read_by.len(), message.delivered_to.len()) {
        (2.., _) => Status::Read,
        (_, 1..) => Status::Delivered,
        _ => Status::Sent,
    };
    // A watermark may be older than what it covers by the width of a clock; a time never is.
    message.delivered_at = message.delivered_at.or(message.read_at).map(|t| t.max(message.created_at));
    message.read_at = message.read_at.map(|t| t.max(message.created_at));
}

impl Db {
    /// Messages as `viewer` sees them, from their rows and the watermarks of their conversations' members.
    pub(super) async fn messages_from<'w>(
        &self,
        viewer: UserId,
        rows: Vec<MessageRow>,
        watermarks: impl Fn(ConversationId) -> &'w [Watermark],
    ) -> DbResult<Vec<Message>> {
        let with_more = rows.iter().filter(|r| r.has_more()).map(|r| r.id).collect();
        let mut attached = self.attached(viewer, with_more).await?;
        let mut messages = Vec::with_capacity(rows.len());
        for row in rows {
            let (id, has_more) = (row.id, row.has_more());
            let watermarks = watermarks(ConversationId(row.conversation_id));
            let mut message = row.into_message(watermarks);
            if has_more {
                // Without it the whole row is gone meanwhile.
                let Some(attached) = attached.remove(&id) else { continue };
                attached.add_to(&mut message);
            }
            messages.push(message);
        }
        Ok(messages)
    }

    /// What these messages have besides. Most pages have none such, and nothing is asked for them.
    async fn attached(&self, viewer: UserId, messages: Vec<Uuid>) -> DbResult<HashMap<Uuid, Attached>> {
        if messages.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = sqlx::query!(
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
            &messages
        )
        .map(|r| {
            let attached = Attached {
                message_text: r.message_text,
                attachments: r.attachments,
                updated_at: r.updated_at.into(),
                is_edited: r.is_edited,
                edited_at: r.edited_at.map(Into::into),
                last_edited_at: r.last_edited_at.map(Into::into),
                edit_count: r.edit_count,
                is_deleted: r.is_deleted,
                deleted_at: r.deleted_at.map(Into::into),
                deletion_type: r.deletion_type,
                deleted_by: r.deleted_by,
                reply_to_message_id: r.reply_to_message_id,
                reply_to: r.reply_to.map(|q| q.0),
                reactions: r.reactions.map(|r| r.0).unwrap_or_default(),
                version: r.version,
            };
            (r.id, attached)
        })
        .fetch_all(&self.pool())
        .await?;
        Ok(rows.into_iter().collect())
    }
}
