//! A message that is to be stored.

use serde_json::Value;

use crate::domain::{ConversationId, MessageId, UserId};

/// A message to be stored. Its `id` is made before the first attempt, so that a second attempt after a lost
/// connection finds what the first one stored.
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub id: MessageId,
    pub conversation_id: ConversationId,
    pub sender_id: UserId,
    pub text: String,
    /// `text`, `image` or `file`.
    pub kind: &'static str,
    /// A JSON array.
    pub attachments: Value,
    pub client_message_id: Option<String>,
    pub temp_id: Option<String>,
    /// The same socket sent a message with this temporary id before.
    pub temp_id_again: bool,
    pub reply_to: Option<MessageId>,
}
