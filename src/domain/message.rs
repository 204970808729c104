//! Messages as they are stored.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ConversationId, MessageId, User, UserId};

/// A stored message with what its readers' watermarks say of it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Primary key.
    pub id: MessageId,
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// Its author.
    pub sender_id: UserId,
    /// 1, 2, 3 … within the conversation, without gaps.
    pub seq: i64,
    /// Text; empty once deleted for everyone.
    pub text: String,
    /// `text`, `image`, `file` or `system`.
    pub kind: Cow<'static, str>,
    /// Files; none once deleted for everyone.
    pub attachments: serde_json::Value,
    /// Everyone who has read it, the sender first.
    pub read_by: Vec<UserId>,
    /// The others whom it has reached.
    pub delivered_to: Vec<UserId>,
    /// Time of a read by another: when the earliest of its readers' watermarks last moved.
    pub read_at: Option<DateTime<Utc>>,
    /// Time it reached another, as far as that is kept: see `read_at`.
    pub delivered_at: Option<DateTime<Utc>>,
    /// How far it got: at least what an adopted row says, whose readers may not be known.
    pub status: Status,
    /// Whether its text was changed.
    pub is_edited: bool,
    /// Whether it was deleted for everyone.
    pub is_deleted: bool,
    /// Time it was stored.
    pub created_at: DateTime<Utc>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
    /// Time of the last edit.
    pub edited_at: Option<DateTime<Utc>>,
    /// The same, under its other name.
    pub last_edited_at: Option<DateTime<Utc>>,
    /// Time of the deletion.
    pub deleted_at: Option<DateTime<Utc>>,
    /// `for_everyone` once deleted.
    pub deletion_type: Option<String>,
    /// Who deleted it.
    pub deleted_by: Option<UserId>,
    /// Number of edits.
    pub edit_count: i32,
    /// The client's own id for it.
    pub client_message_id: Option<String>,
    /// The message it answers.
    pub reply_to_message_id: Option<MessageId>,
    /// That message in short.
    pub reply_to: Option<Quote>,
    /// Who reacted how.
    pub reactions: Vec<Reaction>,
    /// Grows with every change after it was sent: text, deletion for everyone, reactions.
    pub version: i64,
}

impl Message {
    /// A text without files that nothing happened to yet; who has read it is for the caller to say.
    #[must_use]
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

    /// What is left of it after it was deleted for everyone.
    #[must_use]
    pub fn without_content(mut self) -> Self {
        self.text.clear();
        self.attachments = serde_json::Value::Array(Vec::new());
        self.is_deleted = true;
        self.deletion_type = Some("for_everyone".to_owned());
        self
    }

    /// The same for someone who deleted the message it answers for themselves.
    #[must_use]
    pub fn with_blank_quote(mut self) -> Self {
        if let Some(quote) = &mut self.reply_to {
            quote.message_text.clear();
            quote.is_deleted = true;
        }
        self
    }
}

/// How far a message got (contract §Shapes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Stored.
    Sent,
    /// It reached another.
    Delivered,
    /// Another read it.
    Read,
}

impl Status {
    /// Reads the database's word; anything else was sent.
    #[must_use]
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
    /// Primary key.
    pub id: uuid::Uuid,
    /// The message.
    pub message_id: MessageId,
    /// Its text until then; empty once the message is deleted.
    pub old_text: String,
    /// Who changed it.
    pub edited_by: UserId,
    /// When.
    pub edited_at: DateTime<Utc>,
}

/// A message with its history and the message it answers in full.
#[derive(Clone, Debug)]
pub struct Details {
    /// The message.
    pub message: Message,
    /// Its author, if there still is one.
    pub sender: Option<Arc<User>>,
    /// The newest ones, newest first.
    pub edit_history: Vec<Edit>,
    /// How many there are in all.
    pub edit_history_count: i64,
    /// The message it answers, if there is one that the viewer may see.
    pub reply_to: Option<Box<Details>>,
}

/// A quoted message in short (contract §Shapes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// The quoted message.
    pub id: MessageId,
    /// Its text; empty once deleted.
    pub message_text: String,
    /// Its author.
    pub sender_id: UserId,
    /// When it was stored.
    #[serde(deserialize_with = "super::time::from_postgres")]
    pub created_at: DateTime<Utc>,
    /// Whether it was deleted for everyone.
    pub is_deleted: bool,
    /// Its author's name, if there still is one.
    #[serde(default)]
    pub sender_name: Option<String>,
    /// Which version of it this is.
    #[serde(default)]
    pub version: i64,
}

/// One emoji under a message (contract §Shapes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reaction {
    /// The emoji.
    pub reaction: String,
    /// How many chose it.
    pub count: i64,
    /// Who did.
    pub user_ids: Vec<UserId>,
}
