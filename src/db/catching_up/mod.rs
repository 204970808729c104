//! What a client missed: since the numbers that it knows, or since the position at which its line was lost.

mod recovery;
mod sync;

pub use recovery::{Came, Changed, ReadSince};
pub use sync::{Hidden, Known, SyncState};
