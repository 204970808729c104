//! The data of a client whose line broke: its position in the stream of events, and its rooms.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{ConversationId, UserId};

/// The position of a client in the stream of events: the `offset` that recoverable events carry as their last argument. It is the
/// same for all receivers of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The letter of the kind of event.
    pub kind: u8,
    /// The id of the conversation; for a change of a message the id of the message.
    pub id: Uuid,
    /// A message's number or its version.
    pub number: i64,
    /// The time of the event, in microseconds.
    pub micros: i64,
}

impl Position {
    /// The time of the event, by the database's clock.
    pub fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.micros).unwrap_or_default()
    }
}

/// A socket that may come back, as the database keeps it for after a restart.
#[derive(Clone, Debug)]
pub struct Returning {
    /// The id with which its client comes back.
    pub pid: Uuid,
    pub user: UserId,
    pub rooms: Vec<ConversationId>,
    pub is_gone: bool,
}
