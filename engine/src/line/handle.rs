//! The application's own access to a session's queue, next to socketioxide's.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::mpsc::error::TrySendError;

use super::{ConnectAnswer, EndedBy, Line};
use crate::{frame::Frame, socket::DisconnectReason};

/// A session's outgoing queue. It is in the extensions of the handshake's request, as every session has it.
#[derive(Clone)]
pub struct Handle(pub(crate) Arc<Line>);

/// The messages that were queued for a session and that the kernel does not have yet.
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
    /// Pings that were queued.
    pub sent: u32,
    /// Pings that were answered.
    pub answered: u32,
}

impl Handle {
    /// Sends a ready frame.
    ///
    /// # Errors
    /// `Full`: as many packets wait as the configuration allows. `Closed`: the session has ended.
    pub fn send(&self, frame: Frame) -> Result<(), TrySendError<()>> {
        self.0.try_push(frame)
    }

    /// The messages that wait, over either transport.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        Waiting { packets: self.0.packets.load(Ordering::Relaxed), bytes: self.0.bytes.load(Ordering::Relaxed) }
    }

    /// The number of queued and of answered pings. Messages that were queued before an answered ping have reached the client,
    /// because there is one queue and it keeps its order.
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

    /// Like [`Handle::add_to_connect_answer`], for the next CONNECT_ERROR: `"data":{}` becomes the client's `err.data`.
    pub fn add_to_connect_error(&self, namespace: &str, members: &str) {
        self.0.add_to_answer(ConnectAnswer::ConnectError, namespace, members);
    }

    /// Ends a session that is too slow at once: its queue is dropped, the WebSocket's connection is closed without a close
    /// frame, and a poll is told that the session is unknown. The client sees a broken connection and comes back.
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
