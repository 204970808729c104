//! Messages: reading them, storing them, changing them.

mod batch_result;
mod change;
pub(super) mod clock;
mod columns;
mod edit_history;
mod new_message;
mod pages;
mod read;
mod readers;
mod write;

pub use batch_result::{Outcome, Written};
pub use change::{Acted, Action};
pub use edit_history::EditHistory;
pub use new_message::NewMessage;
pub use pages::{Page, Slice};
pub use write::GOOD_FOR;
