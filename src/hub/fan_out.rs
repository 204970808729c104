//! How an event reaches its sockets. A socket whose outgoing queue is full would lose the packet without anybody noticing: it
//! is disconnected instead, and its client reconnects and fetches what it missed.

use engineioxide::Frame;
use tokio::sync::mpsc::error::TrySendError;

use super::{
    audience::Audience,
    connection::Connection,
    event::{Answer, Event},
    gate::Gate,
    sockets::Hub,
};

impl Hub {
    /// Sends to every socket of `audience`, once each.
    pub fn emit(&self, audience: &Audience<'_>, event: &Event) {
        // All of it under one lock: a socket that comes, goes, or comes back meanwhile gets it in one way.
        let state = self.state.read();
        state.keep(audience, event, self.max_held);
        state.ghosts.note(audience, event);
        for connection in state.receivers(audience) {
            self.emit_to(&connection, event);
        }
    }

    /// Sends to one socket, or keeps it for later while the socket is on hold.
    pub fn emit_to(&self, connection: &Connection, event: &Event) {
        let mut gate = connection.gate.lock();
        match &mut gate.held {
            Some(held) if held.len() < self.max_held => held.push(event.clone()),
            Some(_) => {
                // Nothing has this event any more.
                gate.is_expelled |= event.is_recoverable();
                self.cut(connection);
            }
            // Under the lock: what is told after a hold began must not overtake what was on its way before.
            None => {
                if !gate.has_told(event) {
                    self.deliver(connection, &mut gate, event);
                }
            }
        }
    }

    /// Sends to one socket, also while it is on hold: an answer, which is not sent again to one that was away.
    pub fn emit_now(&self, connection: &Connection, event: &Event) {
        self.send(connection, event.packet.clone());
    }

    /// Hands an event over. Under the lock of the gate, so that the log has the order of the line.
    pub(super) fn deliver(&self, connection: &Connection, gate: &mut Gate, event: &Event) {
        match connection.pid.and_then(|_| event.positioned()) {
            Some(positioned) => {
                gate.log.get_or_insert_default().push(positioned.happening.clone());
                self.send(connection, positioned.packet.clone());
            }
            None => self.send(connection, event.packet.clone()),
        }
    }

    pub fn acknowledge(&self, connection: &Connection, answer: Answer) {
        self.send(connection, answer.0);
    }

    fn send(&self, connection: &Connection, packet: Frame) {
        if connection.waiting() > self.max_waiting_bytes {
            return self.cut(connection);
        }
        // Closed: its disconnect is on the way.
        if connection.socket.connected()
            && let Err(TrySendError::Full(())) = connection.session.send(packet)
        {
            self.cut(connection);
        }
    }

    pub fn cut(&self, connection: &Connection) {
        if connection.session.cut() {
            tracing::warn!(connection = %connection.id, user = %connection.user_id, "disconnecting a socket that is too slow or may not be here");
        }
    }
}
