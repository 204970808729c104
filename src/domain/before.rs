//! Where a page of a user's conversations begins.

use chrono::{DateTime, Utc};

use super::{Conversation, ConversationId};

/// Where a page of conversations begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Before {
    /// Activity before this time.
    Time(DateTime<Utc>),
    /// After this conversation in the list, wherever it is by now.
    Conversation(ConversationId),
    /// After the place that a conversation had in the list: its time and its id. What a page gives as `next`.
    Place(DateTime<Utc>, ConversationId),
}

impl Before {
    /// The place of a conversation in the list.
    #[must_use]
    pub fn place_of(conversation: &Conversation) -> Self {
        Self::Place(conversation.last_message_at.unwrap_or(conversation.created_at), conversation.id)
    }
}
