//! A stored message, as its sender and everyone else is told of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    db::NewMessage,
    domain::{Details, Message, Quote, User},
    protocol::{Happening, MessageJson, MessageView, What},
};

/// A stored message and who sent it. A reply has the message it answers in full.
#[derive(Clone)]
pub struct Sent {
    pub(super) details: Details,
    pub sender: Arc<User>,
    json: MessageJson,
    /// True if this is a repeat: the message was stored before, and its sender is answered again.
    pub(super) is_repeat: bool,
    /// True if it is sent while a message is late (`chat/on_their_way`).
    pub(super) is_late: bool,
}

impl Sent {
    pub(super) fn new(details: Details, sender: Arc<User>) -> Self {
        let is_reply = details.message.reply_to_message_id.is_some();
        let view = if is_reply { (&details).into() } else { MessageView::from(&details.message) };
        let json = view.from_sender(sender.name(), sender.role).to_json();
        Self { details, sender, json, is_repeat: false, is_late: false }
    }

    pub fn message(&self) -> &Message {
        &self.details.message
    }

    /// As events carry it (contract §Sending).
    pub fn json(&self) -> &MessageJson {
        &self.json
    }

    /// The log entry of `chat:new_message`, for sockets whose clients may come back.
    pub(super) fn comes(&self) -> Happening {
        let &Message { id, seq, .. } = self.message();
        self.happened(What::New { message: id, seq, is_late: self.is_late })
    }

    /// The log entry of `chat:message_sent`, for a sending socket that gave a `temp_id`. `None` without one: that socket gets
    /// `chat:new_message` too. `None` also for a repeat, whose answer does not show how far the client got.
    pub fn happening(&self, temp_id: Option<&Value>) -> Option<Happening> {
        let &Message { id, seq, .. } = self.message();
        let temp_id = Some(Box::new(temp_id?.clone()));
        let what = What::Sent { message: id, seq, is_late: self.is_late, temp_id };
        (!self.is_repeat).then(|| self.happened(what))
    }

    fn happened(&self, what: What) -> Happening {
        Happening { conversation: self.message().conversation_id, at: self.message().created_at, what }
    }

    pub fn is_reply(&self) -> bool {
        self.message().reply_to_message_id.is_some()
    }

    /// The same for those who deleted the quoted message for themselves.
    pub(super) fn with_blank_quote(&self) -> Self {
        let message = self.message().clone().with_blank_quote();
        let details = Details { message, reply_to: None, ..self.details.clone() };
        Self { is_late: self.is_late, ..Self::new(details, self.sender.clone()) }
    }

    /// The same without what may be gone by now: the quoted text, and its own where it `is_deleted` for everyone.
    pub(super) fn with_nothing_gone(&self, is_deleted: bool) -> Self {
        let message = self.message().clone().with_blank_quote();
        let message = if is_deleted { message.without_content() } else { message };
        let details = Details { message, reply_to: None, ..self.details.clone() };
        Self { is_late: self.is_late, ..Self::new(details, self.sender.clone()) }
    }
}

/// Bytes that a new message takes of its sender's storage.
pub fn bytes_of(new: &NewMessage) -> usize {
    let has_files = new.attachments.as_array().is_some_and(|files| !files.is_empty());
    new.text.len() + if has_files { new.attachments.to_string().len() } else { 0 }
}

/// A new message once it is stored.
pub fn message_of(new: NewMessage, seq: i64, created_at: DateTime<Utc>, reply_to: Option<Quote>) -> Message {
    Message {
        kind: new.kind.into(),
        attachments: new.attachments,
        read_by: vec![new.sender_id],
        client_message_id: new.client_message_id,
        reply_to_message_id: new.reply_to,
        reply_to,
        ..Message::plain(new.id, new.conversation_id, new.sender_id, seq, new.text, created_at)
    }
}
