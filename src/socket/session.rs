//! The state of one authenticated socket, beside the library's own.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, atomic::AtomicBool},
};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::inbox::Inbox;
use crate::{
    domain::{User, UserId},
    hub::Arrival,
    limits::Place,
};

/// Messages of one socket that may be on their way to the database at once.
const MAX_SENDS_IN_FLIGHT: u32 = 64;
/// The number of a socket's last `tempId`s that are remembered.
const MAX_TEMP_IDS: usize = 128;

pub struct Session {
    pub id: Uuid,
    /// Its user, as the database had them at the handshake.
    pub user: Arc<User>,
    /// Time at which the handshake's token expires.
    pub expires_at: i64,
    /// The id with which its client may come back.
    pub pid: Option<Uuid>,
    /// Its line broke: nobody ended it on purpose.
    pub is_lost: AtomicBool,
    /// The permits of messages in flight; all are free when none is.
    pub sends: Arc<Semaphore>,
    /// The lane that its last message took.
    pub lane: Mutex<Option<usize>>,
    /// Hashes of the `tempId`s that it sent last.
    temp_ids: Mutex<VecDeque<u64>>,
    /// Given back at the end, or when a socket that was never let in is dropped.
    place: Mutex<Option<Place<UserId>>>,
    /// Its way into the hub, until it is there.
    arrival: Mutex<Option<Arrival>>,
    pub inbox: Inbox,
}

impl Session {
    pub fn new(
        user: Arc<User>,
        expires_at: i64,
        place: Option<Place<UserId>>,
        arrival: Option<Arrival>,
        pid: Option<Uuid>,
    ) -> Self {
        Self {
            id: Uuid::new_v4(),
            user,
            expires_at,
            pid,
            is_lost: AtomicBool::new(false),
            sends: Arc::new(Semaphore::new(MAX_SENDS_IN_FLIGHT as usize)),
            lane: Mutex::new(None),
            temp_ids: Mutex::default(),
            place: Mutex::new(place),
            arrival: Mutex::new(arrival),
            inbox: Inbox::new(),
        }
    }

    /// True if the socket sent this `tempId` before. Remembers it.
    pub fn is_temp_id_again(&self, temp_id: &serde_json::Value) -> bool {
        let mut hasher = DefaultHasher::new();
        temp_id.hash(&mut hasher);
        let hash = hasher.finish();
        let mut sent = self.temp_ids.lock();
        if sent.contains(&hash) {
            return true;
        }
        if sent.len() == MAX_TEMP_IDS {
            sent.pop_front();
        }
        sent.push_back(hash);
        false
    }

    /// The socket is gone, and another of its user may have its place.
    pub fn give_up_place(&self) {
        self.place.lock().take();
    }

    pub fn take_arrival(&self) -> Option<Arrival> {
        self.arrival.lock().take()
    }

    /// Waits until every message of this socket is published, so that the next event sees them stored.
    pub async fn sends_done(&self) {
        drop(self.sends.acquire_many(MAX_SENDS_IN_FLIGHT).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;

    fn session() -> Session {
        let id = UserId(Uuid::nil());
        let user = User { id, email: "a@b.c".into(), role: Role::Customer, display_name: None, active: true };
        Session::new(Arc::new(user), i64::MAX, None, None, None)
    }

    #[test]
    fn a_session_knows_the_temp_ids_that_its_socket_sent_last() {
        let s = session();
        assert!(!s.is_temp_id_again(&"1".into()));
        assert!(s.is_temp_id_again(&"1".into()));
        assert!(!s.is_temp_id_again(&1.into()), "another type is another id");
        for n in 2..=MAX_TEMP_IDS + 1 {
            assert!(!s.is_temp_id_again(&format!("{n}").into()));
        }
        assert!(!s.is_temp_id_again(&"1".into()), "only so many are kept");
    }
}
