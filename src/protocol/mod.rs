//! The wire: every event name, what comes in and what goes out (CONTRACT §1 and §2).

pub mod events;
mod inbound;
mod outbound;

pub use inbound::{
    Before, ConversationRef, CreateConversation, ListConversations, ListMessages, Payload, SendMessage, Typing,
    page_limit,
};
pub use outbound::{
    Ack, ConversationView, Failure, MessageDelivered, MessageView, MessagesPage, MessagesRead, ParticipantView,
    RoomMember, SendFailure, UserStatus, UserTyping, rfc3339,
};
