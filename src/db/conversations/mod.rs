//! Conversations, their members, and how far each has read.

mod list;
mod members;
mod open;
mod typing;

pub use list::Participant;
pub use members::{Access, Delivery, Member, ReadMark, Watermark};
