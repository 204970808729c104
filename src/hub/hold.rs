//! Telling a socket what it missed, before anything newer and nothing twice.

use std::sync::Arc;

use super::{connection::Connection, event::Event, sockets::Hub};
use crate::domain::ConversationId;

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
