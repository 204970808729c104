//! What a server knows of a client whose line was lost: where it was in the stream of events, and in which rooms.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{ConversationId, UserId};

/// Where in the stream of events a client is: the `offset` that recoverable events carry as their last argument. It is the
/// same for all receivers of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// A letter for each kind of event.
    pub kind: u8,
    /// The conversation; of a change of a message the message.
    pub id: Uuid,
    /// A message's number or its version.
    pub number: i64,
    /// When it was, in microseconds.
    pub micros: i64,
}

impl Position {
    /// When the event was, by the clock of the database.
    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.micros).unwrap_or_default()
    }
}

/// A socket that may come back, as the database keeps it for after a restart.
#[derive(Clone, Debug)]
pub struct Returning {
    /// The name under which its client comes back.
    pub pid: Uuid,
    /// Whose it is.
    pub user: UserId,
    /// Where it is.
    pub rooms: Vec<ConversationId>,
    /// Whether its line is lost.
    pub is_gone: bool,
}
