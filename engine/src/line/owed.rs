//! What a client owes: the answer to a ping, and the binaries that a packet announced.

use super::Line;
use crate::frame::Frame;

impl Line {
    /// Puts a ping into the queue; its number, unless the session has ended.
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

    /// How many pings went out, and whether the last of them has no answer yet.
    pub fn pings(&self) -> (u32, bool) {
        let state = self.state.lock();
        (state.pings, state.awaits_pong)
    }

    /// A pong came. False where none was awaited.
    pub fn pong(&self) -> bool {
        std::mem::take(&mut self.state.lock().awaits_pong)
    }

    /// Whether this ping has no answer.
    pub fn is_unanswered(&self, ping: u32) -> bool {
        let state = self.state.lock();
        state.end.is_none() && state.awaits_pong && state.pings == ping
    }

    /// A packet came that so many binaries follow; its number.
    pub fn announce(&self, binaries: u32) -> u32 {
        let mut state = self.state.lock();
        state.binaries = binaries;
        state.announcements = state.announcements.wrapping_add(1);
        state.announcements
    }

    /// A binary came.
    pub fn binary_came(&self) {
        let mut state = self.state.lock();
        state.binaries = state.binaries.saturating_sub(1);
    }

    /// Whether the binaries of this packet have not all come.
    pub fn is_incomplete(&self, announcement: u32) -> bool {
        let state = self.state.lock();
        state.end.is_none() && state.binaries > 0 && state.announcements == announcement
    }
}
