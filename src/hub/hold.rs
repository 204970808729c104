//! Telling a socket what it missed, before anything newer and nothing twice.

use std::sync::Arc;

use super::{Connection, Event, Hub, log::Log};
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

impl Hub {
    /// Keeps back what is sent to a socket until the hold ends: it is being told what it missed, and anything newer comes
    /// after that. A socket has at most one hold, as its events are handled one after the other.
    #[must_use]
    pub fn hold<'a>(&'a self, connection: &'a Arc<Connection>) -> Hold<'a> {
        self.hold_with(connection, Vec::new())
    }

    /// A hold at whose end `events` are sent first.
    pub(super) fn hold_with<'a>(&'a self, connection: &'a Arc<Connection>, events: Vec<Event>) -> Hold<'a> {
        connection.gate.lock().held.get_or_insert(events);
        Hold { hub: self, connection }
    }
}

/// A socket on hold, until this is dropped.
pub struct Hold<'a> {
    hub: &'a Hub,
    connection: &'a Arc<Connection>,
}

impl Hold<'_> {
    /// The socket was told everything up to `seq`, and is not told of it again.
    pub fn tell(&self, conversation: ConversationId, seq: i64) {
        self.connection.gate.lock().tell(conversation, seq);
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut gate = self.connection.gate.lock();
        for event in gate.held.take().unwrap_or_default() {
            if !gate.has_told(&event) {
                self.hub.deliver(self.connection, &mut gate, &event);
            }
        }
    }
}
