//! The gate of one socket decides whether an event goes out now, later, or not at all.

use super::{event::Event, log::Log};
use crate::domain::ConversationId;

/// Conversations of which it is remembered how much a socket was told.
const MAX_TOLD: usize = 200;

/// The events that wait for a socket, and how far it has been told each conversation.
#[derive(Default)]
pub(super) struct Gate {
    /// Events that wait while the socket is told what it missed.
    pub held: Option<Vec<Event>>,
    /// The number up to which an answer told it every message, by conversation.
    told: Vec<(ConversationId, i64)>,
    /// The same for the messages that it was told after a restart of the server: they are in its log already.
    pub replayed: Vec<(ConversationId, i64)>,
    /// The events that its client may not have. Only for a socket that can come back, and only once it got an event.
    pub log: Option<Box<Log>>,
    /// Nobody may come back as this socket.
    pub is_expelled: bool,
}

impl Gate {
    /// True if the socket got this event's message with an answer.
    pub fn has_told(&self, event: &Event) -> bool {
        event.is_among(&self.told)
    }

    /// An answer told everything up to `seq`.
    pub fn tell(&mut self, conversation: ConversationId, seq: i64) {
        self.told.retain(|(id, up_to)| *id != conversation || *up_to > seq);
        if self.told.iter().all(|(id, _)| *id != conversation) {
            // It matters for as long as a message may be on its way from the database to the sockets.
            if self.told.len() >= MAX_TOLD {
                self.told.remove(0);
            }
            self.told.push((conversation, seq));
        }
    }
}
