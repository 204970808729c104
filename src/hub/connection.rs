//! One socket, and how much waits for it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use engineioxide::Handle;
use parking_lot::{Mutex, RwLock};
use socketioxide::{extract::SocketRef, socket::Sid};
use uuid::Uuid;

use super::{gate::Gate, log::Log};
use crate::domain::{ConversationId, User, UserId};

pub struct Connection {
    /// An opaque id, to be shown. The session's own id must not be: whoever has it can read the session.
    pub id: Uuid,
    pub user_id: UserId,
    /// The id with which its client may come back; `None` if the client is not known to support that.
    pub pid: Option<Uuid>,
    /// Its user, as the database had them at the last look.
    user: RwLock<Arc<User>>,
    pub(super) socket: SocketRef,
    /// Its outgoing queue, past the library's encoding.
    pub(super) session: Handle,
    /// Time at which its token expires: seconds since 1970.
    expires_at: AtomicI64,
    /// Decides whether an event goes out at once, later, or not at all.
    pub(super) gate: Mutex<Gate>,
}

impl Connection {
    /// A connection over `socket`.
    pub fn new(id: Uuid, user: Arc<User>, expires_at: i64, socket: SocketRef, pid: Option<Uuid>) -> Self {
        let session = socket.req_parts().extensions.get::<Handle>().cloned();
        let session = session.expect("the engine puts it into every handshake");
        let expires_at = AtomicI64::new(expires_at);
        let (user_id, user) = (user.id, RwLock::new(user));
        Self { id, user_id, pid, user, socket, session, expires_at, gate: Mutex::default() }
    }

    /// Its user, as the database had them at the handshake or at a later look.
    pub fn user(&self) -> Arc<User> {
        self.user.read().clone()
    }

    /// The database says something else of the user by now.
    pub(super) fn set_user(&self, user: Arc<User>) {
        *self.user.write() = user;
    }

    /// The session's id. Sockets that come one after the other over one session share it.
    pub fn sid(&self) -> Sid {
        self.socket.id
    }

    pub fn renew(&self, expires_at: i64) {
        self.expires_at.store(expires_at, Ordering::Relaxed);
    }

    pub fn is_expired(&self, now: i64) -> bool {
        self.expires_at.load(Ordering::Relaxed) <= now
    }

    /// Bytes in its outgoing queue: neither written to the kernel nor fetched by a poll yet.
    pub(super) fn waiting(&self) -> u64 {
        self.session.waiting().bytes as u64
    }

    /// Drops what the client is known to have received from the log.
    pub(super) fn forget_received(&self) {
        let mut gate = self.gate.lock();
        if let Some(log) = &mut gate.log {
            log.forget_received(self.session.pings());
            if log.is_empty() {
                gate.log = None;
            }
        }
    }

    /// Takes its log, and the numbers up to which messages were replayed; `None` if nobody may come back as this socket.
    pub(super) fn take_log(&self) -> Option<(Log, Vec<(ConversationId, i64)>)> {
        let mut gate = self.gate.lock();
        let log = (!gate.is_expelled).then(|| gate.log.take().map(|log| *log).unwrap_or_default())?;
        Some((log, std::mem::take(&mut gate.replayed)))
    }
}
