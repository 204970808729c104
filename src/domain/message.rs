//! Stored messages.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ConversationId, MessageId, User, UserId};

/// A stored message with its read state, computed from the members' watermarks.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: MessageId,
    pub conversation_id: ConversationId,
    pub sender_id: UserId,
    /// 1, 2, 3 … within the conversation, without gaps.
    pub seq: i64,
    /// Text; empty once deleted for everyone.
    pub text: String,
    /// `text`, `image`, `file` or `system`.
    pub kind: Cow<'static, str>,
    /// Files; none once deleted for everyone.
    pub attachments: serde_json::Value,
    /// The members who have read it, the sender first.
    pub read_by: Vec<UserId>,
    /// The other members that it has reached.
    pub delivered_to: Vec<UserId>,
    /// Time at which another member read it: when the earliest of its readers' watermarks last moved.
    pub read_at: Option<DateTime<Utc>>,
    /// Time at which it reached another member, computed like `read_at`.
    pub delivered_at: Option<DateTime<Utc>>,
    /// Its status: at least that of an adopted row, whose readers may be unknown.
    pub status: Status,
    pub is_edited: bool,
    pub is_deleted: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub edited_at: Option<DateTime<Utc>>,
    /// The same as `edited_at`, under its other name.
    pub last_edited_at: Option<DateTime<Utc>>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// `for_everyone` once deleted.
    pub deletion_type: Option<String>,
    pub deleted_by: Option<UserId>,
    pub edit_count: i32,
    pub client_message_id: Option<String>,
    pub reply_to_message_id: Option<MessageId>,
    pub reply_to: Option<Quote>,
    pub reactions: Vec<Reaction>,
    /// The version, which grows with every change after sending: text, deletion for everyone, reactions.
    pub version: i64,
}

impl Message {
    /// Makes an unchanged text message without attachments; the caller sets its readers.
    pub fn plain(
        id: MessageId,
        conversation_id: ConversationId,
        sender_id: UserId,
        seq: i64,
        text: String,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            conversation_id,
            sender_id,
            seq,
            text,
            kind: Cow::Borrowed("text"),
            attachments: serde_json::Value::Array(Vec::new()),
            read_by: Vec::new(),
            delivered_to: Vec::new(),
            read_at: None,
            delivered_at: None,
            status: Status::Sent,
            is_edited: false,
            is_deleted: false,
            created_at,
            updated_at: created_at,
            edited_at: None,
            last_edited_at: None,
            deleted_at: None,
            deletion_type: None,
            deleted_by: None,
            edit_count: 0,
            client_message_id: None,
            reply_to_message_id: None,
            reply_to: None,
            reactions: Vec::new(),
            version: 0,
        }
    }

    /// The message after it was deleted for everyone.
    pub fn without_content(mut self) -> Self {
        self.text.clear();
        self.attachments = serde_json::Value::Array(Vec::new());
        self.is_deleted = true;
        self.deletion_type = Some("for_everyone".to_owned());
        self
    }

    /// The message for a user who deleted its quoted message for themselves.
    pub fn with_blank_quote(mut self) -> Self {
        if let Some(quote) = &mut self.reply_to {
            quote.message_text.clear();
            quote.is_deleted = true;
        }
        self
    }
}

/// The status of a message (contract §Shapes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Sent,
    Delivered,
    Read,
}

impl Status {
    /// Reads the database's name; anything else means sent.
    pub fn parse(word: &str) -> Self {
        match word {
            "read" => Self::Read,
            "delivered" => Self::Delivered,
            _ => Self::Sent,
        }
    }
}

/// One earlier text of a message (contract §REST).
#[derive(Clone, Debug)]
pub struct Edit {
    pub id: uuid::Uuid,
    pub message_id: MessageId,
    /// The text before the edit; empty once the message is deleted.
    pub old_text: String,
    pub edited_by: UserId,
    pub edited_at: DateTime<Utc>,
}

/// A message with its edit history and its quoted message in full.
#[derive(Clone, Debug)]
pub struct Details {
    pub message: Message,
    /// Its sender, if that user still exists.
    pub sender: Option<Arc<User>>,
    /// The newest earlier texts, newest first.
    pub edit_history: Vec<Edit>,
    /// The number of all earlier texts.
    pub edit_history_count: i64,
    /// The quoted message, if there is one that the viewer may see.
    pub reply_to: Option<Box<Details>>,
}

/// A quoted message in short (contract §Shapes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    pub id: MessageId,
    /// Its text; empty once deleted.
    pub message_text: String,
    pub sender_id: UserId,
    #[serde(deserialize_with = "super::time::from_postgres")]
    pub created_at: DateTime<Utc>,
    pub is_deleted: bool,
    /// Its sender's name, if that user still exists.
    #[serde(default)]
    pub sender_name: Option<String>,
    #[serde(default)]
    pub version: i64,
}

/// One emoji under a message (contract §Shapes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reaction {
    pub reaction: String,
    pub count: i64,
    pub user_ids: Vec<UserId>,
}
