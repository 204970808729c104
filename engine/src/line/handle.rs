//! The application's own access to a session's queue, beside socketioxide.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::mpsc::error::TrySendError;

use super::{ConnectAnswer, EndedBy, Line};
use crate::{frame::Frame, socket::DisconnectReason};

/// A session's outgoing queue. It is in the extensions of the handshake's request, as every session has it.
#[derive(Clone)]
pub struct Handle(pub(crate) Arc<Line>);

/// What was handed over for a session and is not with the kernel yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Messages.
    pub packets: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// The pings of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pings {
    /// How many were handed over.
    pub sent: u32,
    /// How many of them were answered.
    pub answered: u32,
}

impl Handle {
    /// Sends a message that is ready.
    ///
    /// # Errors
    /// `Full`: as many packets wait as the configuration allows. `Closed`: the session has ended.
    pub fn send(&self, frame: Frame) -> Result<(), TrySendError<()>> {
        self.0.try_push(frame)
    }

    /// What waits, over either transport.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        Waiting { packets: self.0.packets.load(Ordering::Relaxed), bytes: self.0.bytes.load(Ordering::Relaxed) }
    }

    /// How many pings were answered. What was handed over before a ping that is answered has reached the client: there is one
    /// queue, and its order is kept.
    #[must_use]
    pub fn pings(&self) -> Pings {
        let (sent, awaits_pong) = self.0.pings();
        Pings { sent, answered: sent.wrapping_sub(u32::from(awaits_pong)) }
    }

    /// Adds members to the JSON object of the next CONNECT answer for this namespace, such as `"pid":"x"`. socketioxide
    /// writes that answer, and has no way to add to it.
    pub fn add_to_connect_answer(&self, namespace: &str, members: &str) {
        self.0.add_to_answer(ConnectAnswer::Connect, namespace, members);
    }

    /// As [`Handle::add_to_connect_answer`], for the next CONNECT_ERROR: `"data":{}` becomes the client's `err.data`.
    pub fn add_to_connect_error(&self, namespace: &str, members: &str) {
        self.0.add_to_answer(ConnectAnswer::ConnectError, namespace, members);
    }

    /// Ends the session at once, for one that is too slow: what waits is dropped, the WebSocket's connection is closed
    /// without a word, and a poll is told that the session is unknown. The client sees a broken connection and comes back.
    /// False if the session has ended before.
    pub fn cut(&self) -> bool {
        self.0.end(DisconnectReason::TransportError, EndedBy::Cut)
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("sid", &self.0.sid).field("waiting", &self.waiting()).finish()
    }
}
