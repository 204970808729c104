//! The shop's users (read, never written), and what the chat knows of them: blocks and presence.

mod blocks;
mod find;
mod lookup;
mod person;
mod presence;

pub use find::FoundUsers;
pub use presence::{Gone, OnlineStatus};
