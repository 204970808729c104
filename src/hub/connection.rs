//! One socket, and how much waits for it.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use engineioxide::socket::EncodedSender;
use parking_lot::{Mutex, RwLock};
use socketioxide::extract::SocketRef;
use uuid::Uuid;

use super::{Line, Lines, Sid, hold::Gate};
use crate::domain::{User, UserId};

/// One authenticated socket.
pub struct Connection {
    /// An opaque id, to be shown. The session's own id must not be: whoever has it can read the session.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: UserId,
    /// The same as the database last had them.
    user: RwLock<Arc<User>>,
    pub(super) socket: SocketRef,
    /// The way to its line past the library's encoding.
    pub(super) packets: EncodedSender,
    /// Until when its token is good: seconds since 1970.
    expires_at: AtomicI64,
    /// Set once it was too slow: it gets nothing more, so that it sees no gap.
    pub(super) cut: AtomicBool,
    /// Its line, once it speaks WebSocket.
    line: OnceLock<Arc<Line>>,
    /// Whether what is sent goes out at once.
    pub(super) gate: Mutex<Gate>,
    /// Bytes handed over, counted on from what the line has written; while polling, since the last poll.
    pub(super) handed: AtomicU64,
}

impl Connection {
    /// A connection over `socket`.
    ///
    /// # Panics
    /// Not over a socket that has gone through a handshake.
    #[must_use]
    pub fn new(id: Uuid, user: Arc<User>, expires_at: i64, socket: SocketRef) -> Self {
        let (cut, line, handed) = (AtomicBool::new(false), OnceLock::new(), AtomicU64::new(0));
        let expires_at = AtomicI64::new(expires_at);
        let packets = socket.req_parts().extensions.get::<EncodedSender>().cloned();
        let packets = packets.expect("the library puts it into every handshake");
        let user_id = user.id;
        let user = RwLock::new(user);
        Self { id, user_id, user, socket, packets, expires_at, cut, line, gate: Mutex::default(), handed }
    }

    /// Whose it is, as the database had them at the handshake or at a later look.
    #[must_use]
    pub fn user(&self) -> Arc<User> {
        self.user.read().clone()
    }

    /// The database says something else of the user by now.
    pub(super) fn set_user(&self, user: Arc<User>) {
        *self.user.write() = user;
    }

    /// The session's id. Sockets that come one after the other over one session share it.
    #[must_use]
    pub fn sid(&self) -> Sid {
        self.socket.id
    }

    /// Its token was renewed.
    pub fn renew(&self, expires_at: i64) {
        self.expires_at.store(expires_at, Ordering::Relaxed);
    }

    /// Whether its token is good no more.
    #[must_use]
    pub fn is_expired(&self, now: i64) -> bool {
        self.expires_at.load(Ordering::Relaxed) <= now
    }

    /// Bytes that were handed over and are not written yet.
    pub(super) fn waiting(&self) -> u64 {
        self.handed.load(Ordering::Relaxed).saturating_sub(self.line.get().map_or(0, |line| line.written()))
    }

    /// Counts `bytes` as handed over; returns how many were waiting before.
    pub(super) fn hand_over(&self, bytes: usize, lines: &Lines) -> u64 {
        if self.line.get().is_none()
            && let Some(line) = lines.of(self.sid().as_str())
            && self.line.set(line).is_ok()
        {
            self.handed.store(0, Ordering::Relaxed);
        }
        let written = self.line.get().map_or(0, |line| line.written());
        // Frames and pings are written too: where more was written than handed over, nothing waits.
        let before = self.handed.load(Ordering::Relaxed).max(written);
        self.handed.store(before + bytes as u64, Ordering::Relaxed);
        before - written
    }
}
