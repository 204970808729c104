//! What a client still has to send: the answer to a ping, and the binaries that a packet announced.

use super::Line;
use crate::frame::Frame;

impl Line {
    /// Queues a ping and returns its number; `None` if the session has ended.
    pub fn ping(&self) -> Option<u32> {
        let mut state = self.state.lock();
        state.end.is_none().then(|| {
            state.pings = state.pings.wrapping_add(1);
            state.awaits_pong = true;
            let number = state.pings;
            self.push(state, [Frame::PING]);
            number
        })
    }

    /// The number of pings that were sent, and true if the last one has no answer yet.
    pub fn pings(&self) -> (u32, bool) {
        let state = self.state.lock();
        (state.pings, state.awaits_pong)
    }

    /// Takes a pong. False if none was expected.
    pub fn pong(&self) -> bool {
        std::mem::take(&mut self.state.lock().awaits_pong)
    }

    /// True if this ping has no answer.
    pub fn is_unanswered(&self, ping: u32) -> bool {
        let state = self.state.lock();
        state.end.is_none() && state.awaits_pong && state.pings == ping
    }

    /// Takes a packet that announces this many binaries, and returns its number.
    pub fn announce(&self, binaries: u32) -> u32 {
        let mut state = self.state.lock();
        state.binaries = binaries;
        state.announcements = state.announcements.wrapping_add(1);
        state.announcements
    }

    /// Takes a binary.
    pub fn binary_came(&self) {
        let mut state = self.state.lock();
        state.binaries = state.binaries.saturating_sub(1);
    }

    /// True if some binaries of this packet have not come yet.
    pub fn is_incomplete(&self, announcement: u32) -> bool {
        let state = self.state.lock();
        state.end.is_none() && state.binaries > 0 && state.announcements == announcement
    }
}
