//! A socket's inbox. Socket.IO delivers events in wire order but the library runs each in a task of its own, so two
//! messages of one socket could overtake each other. Here they wait in one queue, drained by one task that exists
//! only while there is something to do (an idle socket costs no task).

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, atomic::AtomicBool},
};

use parking_lot::Mutex;
use socketioxide::handler::Value;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    domain::{User, UserId},
    hub::{Arrival, Connection},
    limits::Place,
};

/// Messages of one socket that may be on their way to the database at once.
pub const MAX_SENDS_IN_FLIGHT: u32 = 64;
/// Of so many of its last messages a socket's tempIds are remembered.
const MAX_TEMP_IDS: usize = 128;
/// Bytes of events that may wait, unless it is one event alone.
const MAX_WAITING_BYTES: usize = 8 << 20;

/// What waits in the inbox.
pub enum Incoming {
    /// An event from the client.
    Event(RawEvent),
    /// The socket is gone. Always last.
    Disconnected,
}

impl Incoming {
    fn len(&self) -> usize {
        match self {
            Self::Event(event) => event.packet.len(),
            Self::Disconnected => 0,
        }
    }
}

/// An event as it came: not yet looked at.
pub struct RawEvent {
    /// The packet's JSON array: event name, arguments.
    pub packet: Value,
    /// The packet's id, when the client wants an acknowledgement.
    pub ack: Option<i64>,
}

/// An authenticated socket's state beside the library's own.
pub struct Session<C = Connection> {
    /// An opaque id for the connection.
    pub id: Uuid,
    /// Whose socket it is, as the database said at the handshake.
    pub user: Arc<User>,
    /// Until when its token was good at the handshake.
    pub expires_at: i64,
    /// The name under which its client may come back.
    pub pid: Option<Uuid>,
    /// Its line broke: nobody ended it on purpose.
    pub is_lost: AtomicBool,
    /// Room for messages on their way; all of it is free when none is.
    pub sends: Arc<Semaphore>,
    /// The lane that its last message took.
    pub lane: Mutex<Option<usize>>,
    /// Hashes of the `tempId`s that it sent last.
    temp_ids: Mutex<VecDeque<u64>>,
    /// Given back at the end, or when a socket that was never let in is dropped.
    place: Mutex<Option<Place<UserId>>>,
    /// Its way into the hub, until it is there.
    arrival: Mutex<Option<Arrival>>,
    inbox: Mutex<Inbox<C>>,
}

struct Inbox<C> {
    waiting: VecDeque<Incoming>,
    waiting_bytes: usize,
    /// Set once the socket is in the hub, until its end is handled; what comes before waits. It holds the socket that
    /// holds this session, so it must not stay.
    connection: Option<Arc<C>>,
    closed: bool,
    drained_by_a_task: bool,
}

/// What to do after something was put in.
pub enum Next<C = Connection> {
    /// Start a task that drains the inbox.
    Start(Arc<C>),
    /// Nothing: a task is at it, or the socket is not in the hub yet.
    Wait,
    /// It was refused: too many wait.
    Refuse(Incoming, Option<Arc<C>>),
}

impl<C> Session<C> {
    /// A session for `user`.
    pub fn new(user: Arc<User>, expires_at: i64, place: Option<Place<UserId>>, arrival: Option<Arrival>) -> Self {
        Self {
            id: Uuid::new_v4(),
            user,
            expires_at,
            pid: None,
            is_lost: AtomicBool::new(false),
            sends: Arc::new(Semaphore::new(MAX_SENDS_IN_FLIGHT as usize)),
            lane: Mutex::new(None),
            temp_ids: Mutex::default(),
            place: Mutex::new(place),
            arrival: Mutex::new(arrival),
            inbox: Mutex::new(Inbox {
                waiting: VecDeque::new(),
                waiting_bytes: 0,
                connection: None,
                closed: false,
                drained_by_a_task: false,
            }),
        }
    }

    /// The same, with the name under which its client may come back.
    pub fn with_pid(self, pid: Option<Uuid>) -> Self {
        Self { pid, ..self }
    }

    /// Whether the socket sent this `tempId` before; from now on it did.
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

    /// Takes its way into the hub, once.
    pub fn take_arrival(&self) -> Option<Arrival> {
        self.arrival.lock().take()
    }

    /// Lets the inbox be drained, with `connection` in the hub.
    pub fn open(&self, connection: Arc<C>) -> Next<C> {
        let mut inbox = self.inbox.lock();
        inbox.connection = Some(connection);
        inbox.next_step()
    }

    /// Puts something in, unless `max` are waiting already.
    pub fn push(&self, incoming: Incoming, max: usize) -> Next<C> {
        let mut inbox = self.inbox.lock();
        let is_end = matches!(incoming, Incoming::Disconnected);
        let bytes = incoming.len();
        let too_much = !inbox.waiting.is_empty() && inbox.waiting_bytes + bytes > MAX_WAITING_BYTES;
        if inbox.closed || (!is_end && (too_much || inbox.waiting.len() >= max)) {
            return Next::Refuse(incoming, inbox.connection.clone());
        }
        inbox.waiting_bytes += bytes;
        inbox.closed = is_end;
        inbox.waiting.push_back(incoming);
        inbox.next_step()
    }

    /// Refuses something without a look at the queue.
    pub fn refuse(&self, incoming: Incoming) -> Next<C> {
        Next::Refuse(incoming, self.inbox.lock().connection.clone())
    }

    /// Takes the next one out; `None` ends the task.
    pub fn next(&self) -> Option<Incoming> {
        let mut inbox = self.inbox.lock();
        let next = inbox.waiting.pop_front();
        inbox.waiting_bytes -= next.as_ref().map_or(0, Incoming::len);
        match next {
            Some(Incoming::Disconnected) => inbox.connection = None,
            None => {
                inbox.drained_by_a_task = false;
                inbox.waiting.shrink_to_fit();
            }
            Some(Incoming::Event(_)) => {}
        }
        next
    }
}

impl<C> Inbox<C> {
    fn next_step(&mut self) -> Next<C> {
        match &self.connection {
            Some(connection) if !self.drained_by_a_task && !self.waiting.is_empty() => {
                self.drained_by_a_task = true;
                Next::Start(connection.clone())
            }
            _ => Next::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;

    struct Socket;

    fn session() -> Session<Socket> {
        let user = User {
            id: UserId(Uuid::nil()),
            email: "a@b.c".into(),
            role: Role::Customer,
            display_name: None,
            active: true,
        };
        Session::new(Arc::new(user), i64::MAX, None, None)
    }

    fn event() -> Incoming {
        Incoming::Event(RawEvent { packet: Value::Str("[]".into(), None), ack: None })
    }

    fn socket() -> Arc<Socket> {
        Arc::new(Socket)
    }

    #[test]
    fn one_task_at_a_time_drains_an_inbox() {
        let s = session();
        assert!(matches!(s.push(event(), 9), Next::Wait), "nothing runs before the socket is in the hub");
        assert!(matches!(s.open(socket()), Next::Start(_)));
        assert!(matches!(s.push(event(), 9), Next::Wait), "a task is at it");
        assert!(s.next().is_some() && s.next().is_some() && s.next().is_none());
        assert!(matches!(s.push(event(), 9), Next::Start(_)), "the last task ended");
    }

    #[test]
    fn a_full_inbox_refuses_events_but_not_the_end() {
        let s = session();
        assert!(matches!(s.push(event(), 1), Next::Wait));
        assert!(matches!(s.push(event(), 1), Next::Refuse(Incoming::Event(_), _)));
        assert!(matches!(s.push(Incoming::Disconnected, 1), Next::Wait));
        assert!(matches!(s.push(event(), 9), Next::Refuse(..)), "nothing comes after the end");
    }

    #[test]
    fn a_socket_that_is_gone_before_it_was_let_in_is_cleaned_up_all_the_same() {
        let s = session();
        assert!(matches!(s.push(Incoming::Disconnected, 9), Next::Wait));
        assert!(matches!(s.open(socket()), Next::Start(_)), "its end is handled now");
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

    #[test]
    fn a_session_lets_go_of_its_socket_at_the_end() {
        let s = session();
        let socket = socket();
        assert!(matches!(s.open(socket.clone()), Next::Wait));
        drop(s.push(Incoming::Disconnected, 9));
        assert!(matches!(s.next(), Some(Incoming::Disconnected)));
        assert_eq!(Arc::strong_count(&socket), 1);
    }
}
