//! The wire: every event name, what comes in and what goes out (contract §1 to §3).

mod acting;
pub mod events;
mod inbound;
mod message;
mod outbound;
mod sending;
mod sync;

pub use acting::{MessageRef, NewText, deletes_for_everyone, reaction};
pub use inbound::{
    Before, ConversationRef, CreateConversation, FileLink, ListConversations, ListMessages, Payload, SearchUsers,
    Typing,
};
pub use message::{EditView, MessageView};
pub use outbound::{
    Ack, ConversationView, Failure, MessageDeleted, MessageDelivered, MessagesPage, MessagesRead, ParticipantView,
    PersonView, ReactionChanged, RoomMember, SendFailure, UserStatus, UserTyping, rfc3339,
};
pub use sending::SendMessage;
pub use sync::{
    HiddenView, JoinedView, KnownToClient, MissedView, ReadView, SyncRequest, SyncView, SyncedView, join_limit,
    last_seq,
};
