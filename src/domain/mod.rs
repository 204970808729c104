//! The types of the chat. Pure: nothing here waits, stores or sends.

mod attachment;
mod blank;
mod conversation;
mod draft;
mod emoji;
mod file;
mod file_content;
mod file_path;
mod file_text;
mod ids;
mod message;
mod recovery;
pub mod time;
mod user;

pub use attachment::Attachment;
pub use blank::is_blank;
pub use conversation::{Before, Conversation, ConversationKind, NewConversation};
pub use draft::{Draft, MAX_ATTACHMENTS, MAX_CLIENT_ID_CHARS};
pub use emoji::Emoji;
pub use file::{FileKind, clean_file_name};
pub use file_content::{ContentCheck, HEAD_BYTES};
pub use file_path::FilePath;
pub use ids::{ConversationId, MessageId, UserId};
pub use message::{Details, Edit, Message, Quote, Reaction, Status};
pub use recovery::{Position, Returning};
pub use user::{DELETED_USER, Person, Role, User, shown_name};
