//! The way from polling to WebSocket. Until the packet `5` has come, polls own the queue and the session is as if there
//! were no WebSocket: one that breaks or stays silent changes nothing.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Carrier, EndedBy, Line, wake};
use crate::socket::DisconnectReason;

/// A poll that waits while the client probes is answered with a NOOP after this time, and each further one after twice
/// as long. A client finishes its poll before it sends `5`: it should hear the probe's answer first, or it begins another.
const FIRST_NOOP: Duration = Duration::from_millis(3);
const LAST_NOOP: Duration = Duration::from_secs(1);

/// The state of an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// There is none.
    None,
    /// The WebSocket is open, and nothing came over it.
    Silent,
    /// The client has probed it.
    Probed { at: Instant, noop_after: Duration },
}

impl Probe {
    pub fn is_none(self) -> bool {
        self == Self::None
    }

    /// When a poll that began at this time gets its NOOP.
    pub fn noop_at(self, poll_begun: Instant) -> Option<Instant> {
        match self {
            Self::Probed { at, noop_after } => Some(at.max(poll_begun) + noop_after),
            Self::None | Self::Silent => None,
        }
    }

    pub fn noop_sent(&mut self) {
        if let Self::Probed { noop_after, .. } = self {
            *noop_after = (*noop_after * 2).min(LAST_NOOP);
        }
    }
}

/// An upgrade under way. Dropped, it has failed unless it was completed.
pub(crate) struct Upgrade {
    line: Arc<Line>,
    is_complete: bool,
}

impl Line {
    /// A WebSocket was opened for this polling session. `None` if it has one already.
    pub fn open_upgrade(self: &Arc<Self>) -> Option<Upgrade> {
        let mut state = self.state.lock();
        if state.end.is_some() || state.carrier == Carrier::WebSocket || !state.probe.is_none() {
            return None;
        }
        state.probe = Probe::Silent;
        Some(Upgrade { line: self.clone(), is_complete: false })
    }
}

impl Upgrade {
    /// The client has probed the WebSocket.
    pub fn probed(&self) {
        let mut state = self.line.state.lock();
        if state.probe == Probe::Silent {
            state.probe = Probe::Probed { at: Instant::now(), noop_after: FIRST_NOOP };
            let poller = state.poller.take();
            drop(state);
            wake(poller);
        }
    }

    /// The packet `5` came: the WebSocket owns the queue from here. False if the session has ended.
    pub fn complete(mut self) -> bool {
        let mut state = self.line.state.lock();
        if state.end.is_some() {
            return false;
        }
        state.carrier = Carrier::WebSocket;
        state.probe = Probe::None;
        let poller = state.poller.take();
        drop(state);
        wake(poller);
        self.is_complete = true;
        true
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        if self.is_complete {
            return;
        }
        let mut state = self.line.state.lock();
        state.probe = Probe::None;
        state.writer = None;
        let poller = state.poller.take();
        let is_gone = state.poll_given_up;
        drop(state);
        wake(poller);
        if is_gone {
            self.line.end(DisconnectReason::TransportError, EndedBy::Client);
        }
    }
}
