//! What one socket was told, and what waits for it: decides whether an event goes out now, later, or not at all.

use super::{event::Event, log::Log};
use crate::domain::ConversationId;

/// Conversations of which it is remembered how much a socket was told.
const MAX_TOLD: usize = 200;

/// What decides whether an event goes out now, later, or was told already.
#[derive(Default)]
pub(super) struct Gate {
    /// Events that wait while the socket is told what it missed.
    pub held: Option<Vec<Event>>,
    /// Up to which number it was told everything, by conversation.
    told: Vec<(ConversationId, i64)>,
    /// The same, where the database said what it had missed: its log has that, and needs it no second time.
    pub replayed: Vec<(ConversationId, i64)>,
    /// What its client may not have; for a socket that can come back, once it was told something.
    pub log: Option<Box<Log>>,
    /// Nobody may come back as this socket.
    pub is_expelled: bool,
}

impl Gate {
    /// Whether the socket has this message from an answer that it got.
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
