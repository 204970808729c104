//! The things the chat is about. Pure: nothing here waits, stores or sends.

mod conversation;
mod ids;
mod message;
mod user;

pub use conversation::{Conversation, ConversationKind, NewConversation};
pub use ids::{ConversationId, MessageId, UserId};
pub use message::{Attachment, Draft, MAX_ATTACHMENTS, MAX_CLIENT_ID_CHARS, Message, Quote, Reaction};
pub use user::{Role, User, shown_name};
