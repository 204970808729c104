//! Polling sessions that their clients closed a moment ago while no poll waited.
//!
//! A client that closes its session sends the packet `1` beside the poll that it began before. The two come over two
//! connections, and the `1` may be here first: the poll is then answered as if it had waited.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::socket::Sid;

/// The time that a poll may arrive late, after a packet that was sent after it.
const KEPT: Duration = Duration::from_secs(1);
/// Sessions that are remembered: the oldest is forgotten for another one.
const MAX: usize = 1024;

/// The sessions, oldest first.
#[derive(Default)]
pub(crate) struct JustClosed(Mutex<VecDeque<(Instant, Sid)>>);

impl JustClosed {
    /// Remembers a session for a moment.
    pub fn add(&self, sid: Sid) {
        let now = Instant::now();
        let mut sessions = self.0.lock();
        while sessions.len() >= MAX || sessions.front().is_some_and(|(at, _)| now - *at >= KEPT) {
            sessions.pop_front();
        }
        sessions.push_back((now, sid));
    }

    /// Forgets a session: one poll is answered. False if it is not remembered.
    pub fn take(&self, sid: Sid) -> bool {
        let mut sessions = self.0.lock();
        let found = sessions.iter().position(|(_, other)| *other == sid);
        found.and_then(|at| sessions.remove(at)).is_some_and(|(at, _)| at.elapsed() < KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_is_remembered_for_one_poll() {
        let (closed, sid) = (JustClosed::default(), Sid::new());
        assert!(!closed.take(sid));
        closed.add(sid);
        closed.add(Sid::new());
        assert!(closed.take(sid));
        assert!(!closed.take(sid));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_forgotten_after_its_time() {
        let (closed, sid) = (JustClosed::default(), Sid::new());
        closed.add(sid);
        tokio::time::advance(KEPT).await;
        assert!(!closed.take(sid));
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_sessions_are_remembered() {
        let (closed, first) = (JustClosed::default(), Sid::new());
        closed.add(first);
        (0..MAX).for_each(|_| closed.add(Sid::new()));
        assert!(!closed.take(first));
        assert_eq!(closed.0.lock().len(), MAX);
    }
}
