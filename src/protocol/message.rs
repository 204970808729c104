//! A message on the wire.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{
    json,
    time::{opt_time, time},
};
use crate::domain::{
    ConversationId, DELETED_USER, Details, Edit, Message, MessageId, Quote, Reaction, Role, Status, UserId,
};

/// Size of the buffer for a message without text and files.
const MESSAGE_BYTES: usize = 1024;

/// A message on the wire (contract §Shapes), with the sender's name and role in events.
#[derive(Clone, Serialize)]
pub struct MessageView<'a> {
    id: MessageId,
    conversation_id: ConversationId,
    sender_id: UserId,
    seq: i64,
    message_text: &'a str,
    message_type: &'a str,
    attachments: &'a Value,
    read_by: &'a [UserId],
    delivered_to: &'a [UserId],
    is_edited: bool,
    is_deleted: bool,
    #[serde(serialize_with = "time")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "time")]
    updated_at: DateTime<Utc>,
    #[serde(serialize_with = "opt_time")]
    edited_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "opt_time")]
    deleted_at: Option<DateTime<Utc>>,
    status: Status,
    #[serde(serialize_with = "opt_time")]
    delivered_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "opt_time")]
    read_at: Option<DateTime<Utc>>,
    reply_to_message_id: Option<MessageId>,
    reply_to: Option<ReplyTo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edit_history: Option<Vec<EditView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edit_history_count: Option<i64>,
    deletion_type: Option<&'a str>,
    deleted_by: Option<UserId>,
    edit_count: i32,
    #[serde(serialize_with = "opt_time")]
    last_edited_at: Option<DateTime<Utc>>,
    client_message_id: Option<&'a str>,
    reactions: &'a [Reaction],
    #[serde(skip_serializing_if = "is_unchanged")]
    version: i64,
    #[serde(rename = "senderName", skip_serializing_if = "Option::is_none")]
    sender_name: Option<&'a str>,
    #[serde(rename = "senderRole", skip_serializing_if = "Option::is_none")]
    sender_role: Option<Role>,
    /// The sender's name as quotes have it, in a quoted message in full.
    #[serde(rename = "sender_name", skip_serializing_if = "Option::is_none")]
    quoted_name: Option<&'a str>,
}

/// True if a message was never changed: then its JSON has no version.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_unchanged(version: &i64) -> bool {
    *version == 0
}

/// The message answered: in short everywhere but in a reply's own event and in `GET /messages/:id/details`.
#[derive(Clone, Serialize)]
#[serde(untagged)]
enum ReplyTo<'a> {
    Short(QuoteView<'a>),
    Full(Box<MessageView<'a>>),
}

/// An earlier text (contract §REST).
#[derive(Clone, Serialize)]
pub struct EditView<'a> {
    id: uuid::Uuid,
    message_id: MessageId,
    old_text: &'a str,
    edited_by: UserId,
    #[serde(serialize_with = "time")]
    edited_at: DateTime<Utc>,
}

impl<'a> From<&'a Edit> for EditView<'a> {
    fn from(e: &'a Edit) -> Self {
        Self {
            id: e.id,
            message_id: e.message_id,
            old_text: &e.old_text,
            edited_by: e.edited_by,
            edited_at: e.edited_at,
        }
    }
}

#[derive(Clone, Serialize)]
struct QuoteView<'a> {
    id: MessageId,
    message_text: &'a str,
    sender_id: UserId,
    #[serde(serialize_with = "time")]
    created_at: DateTime<Utc>,
    is_deleted: bool,
    sender_name: Option<&'a str>,
}

impl<'a> From<&'a Quote> for QuoteView<'a> {
    fn from(q: &'a Quote) -> Self {
        Self {
            id: q.id,
            message_text: &q.message_text,
            sender_id: q.sender_id,
            created_at: q.created_at,
            is_deleted: q.is_deleted,
            sender_name: Some(q.sender_name.as_deref().unwrap_or(DELETED_USER)),
        }
    }
}

impl<'a> From<&'a Message> for MessageView<'a> {
    fn from(m: &'a Message) -> Self {
        Self {
            id: m.id,
            conversation_id: m.conversation_id,
            sender_id: m.sender_id,
            seq: m.seq,
            message_text: &m.text,
            message_type: &m.kind,
            attachments: &m.attachments,
            read_by: &m.read_by,
            delivered_to: &m.delivered_to,
            is_edited: m.is_edited,
            is_deleted: m.is_deleted,
            created_at: m.created_at,
            updated_at: m.updated_at,
            edited_at: m.edited_at,
            deleted_at: m.deleted_at,
            status: m.status,
            delivered_at: m.delivered_at,
            read_at: m.read_at,
            reply_to_message_id: m.reply_to_message_id,
            reply_to: m.reply_to.as_ref().map(|q| ReplyTo::Short(q.into())),
            edit_history: None,
            edit_history_count: None,
            deletion_type: m.deletion_type.as_deref(),
            deleted_by: m.deleted_by,
            edit_count: m.edit_count,
            last_edited_at: m.last_edited_at,
            client_message_id: m.client_message_id.as_deref(),
            reactions: &m.reactions,
            version: m.version,
            sender_name: None,
            sender_role: None,
            quoted_name: None,
        }
    }
}

impl<'a> From<&'a Details> for MessageView<'a> {
    fn from(d: &'a Details) -> Self {
        let mut view = Self::from(&d.message);
        view.edit_history = Some(d.edit_history.iter().map(EditView::from).collect());
        view.edit_history_count = Some(d.edit_history_count);
        if let Some(quoted) = &d.reply_to {
            let mut full = Self::from(quoted.as_ref());
            full.quoted_name = full.sender_name;
            view.reply_to = Some(ReplyTo::Full(Box::new(full)));
        }
        match &d.sender {
            Some(sender) => view.from_sender(sender.name(), sender.role),
            None => Self { sender_name: Some(DELETED_USER), ..view },
        }
    }
}

impl<'a> MessageView<'a> {
    /// Adds `senderName` and `senderRole`, which events carry.
    pub fn from_sender(mut self, name: &'a str, role: Role) -> Self {
        self.sender_name = Some(name);
        self.sender_role = Some(role);
        self
    }

    pub fn to_json(&self) -> MessageJson {
        MessageJson(json::to_string(self, MESSAGE_BYTES + self.message_text.len()))
    }
}

/// A message that is serialised once for all who get it.
#[derive(Clone)]
pub struct MessageJson(String);

impl MessageJson {
    /// As most get it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As its sender gets it, with the `tempId` that came with it.
    pub fn with_temp_id(&self, temp_id: Option<&Value>) -> Cow<'_, str> {
        match (temp_id, self.0.strip_suffix('}')) {
            (Some(temp_id), Some(fields)) => {
                Cow::Owned([fields, ",\"tempId\":", &json::to_string(temp_id, 0), "}"].concat())
            }
            _ => Cow::Borrowed(&self.0),
        }
    }
}
