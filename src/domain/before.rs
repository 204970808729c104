//! The start of a page of a user's conversations.

use chrono::{DateTime, Utc};

use super::{Conversation, ConversationId};

/// The start of a page of conversations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Before {
    /// Conversations with their last activity before this time.
    Time(DateTime<Utc>),
    /// Conversations after this one in the list, at its current place.
    Conversation(ConversationId),
    /// Conversations after the place that a conversation had in the list: its time and its id. A page returns this as `next`.
    Place(DateTime<Utc>, ConversationId),
}

impl Before {
    /// The place of a conversation in the list.
    pub fn place_of(conversation: &Conversation) -> Self {
        Self::Place(conversation.last_message_at.unwrap_or(conversation.created_at), conversation.id)
    }
}
