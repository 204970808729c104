//! A socket's inbox. Socket.IO delivers events in wire order but the library runs each in a task of its own, so two
//! messages of one socket could overtake each other. Here they wait in one queue, drained by one task that exists
//! only while there is something to do (an idle socket costs no task).

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use socketioxide::{extract::AckSender, handler::Value};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::domain::User;

/// Messages of one socket that may be on their way to the database at once.
pub const MAX_SENDS_IN_FLIGHT: u32 = 64;

/// What waits in the inbox.
pub enum Incoming {
    /// An event from the client.
    Event(RawEvent),
    /// The socket is gone. Always last.
    Disconnected,
}

/// An event as it came: not yet looked at.
pub struct RawEvent {
    /// The packet's JSON array: event name, arguments.
    pub packet: Value,
    /// Set when the client wants an acknowledgement.
    pub ack: Option<AckSender>,
}

/// An authenticated socket's state beside the library's own.
pub struct Session {
    /// An opaque id for the connection.
    pub id: Uuid,
    /// Whose socket it is, as the database said at the handshake.
    pub user: Arc<User>,
    /// Room for messages on their way; all of it is free when none is.
    pub sends: Arc<Semaphore>,
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    waiting: VecDeque<Incoming>,
    /// Set once the socket is in the hub; what came before waits.
    open: bool,
    closed: bool,
    drained_by_a_task: bool,
}

impl Session {
    /// A session for `user`.
    pub fn new(user: User) -> Self {
        Self {
            id: Uuid::new_v4(),
            user: Arc::new(user),
            sends: Arc::new(Semaphore::new(MAX_SENDS_IN_FLIGHT as usize)),
            inbox: Mutex::default(),
        }
    }

    /// Lets the inbox be drained. True if a task has to be started for what waits already.
    /// `None` if the socket is gone again.
    pub fn open(&self) -> Option<bool> {
        let mut inbox = self.inbox.lock();
        if inbox.closed {
            return None;
        }
        inbox.open = true;
        Some(inbox.start())
    }

    /// Puts something in. `Ok(true)`: a task has to be started.
    ///
    /// # Errors
    /// Gives the event back when `max` are waiting already.
    pub fn push(&self, incoming: Incoming, max: usize) -> Result<bool, Incoming> {
        let mut inbox = self.inbox.lock();
        match incoming {
            Incoming::Disconnected => inbox.closed = true,
            Incoming::Event(_) if inbox.waiting.len() >= max => return Err(incoming),
            Incoming::Event(_) => {}
        }
        inbox.waiting.push_back(incoming);
        Ok(inbox.start())
    }

    /// Takes the next one out; `None` ends the task.
    pub fn next(&self) -> Option<Incoming> {
        let mut inbox = self.inbox.lock();
        let next = inbox.waiting.pop_front();
        if next.is_none() {
            inbox.drained_by_a_task = false;
            inbox.waiting.shrink_to_fit();
        }
        next
    }
}

impl Inbox {
    fn start(&mut self) -> bool {
        let start = self.open && !self.drained_by_a_task && !self.waiting.is_empty();
        self.drained_by_a_task |= start;
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Role, UserId};

    fn session() -> Session {
        Session::new(User {
            id: UserId(Uuid::nil()),
            email: "a@b.c".into(),
            role: Role::Customer,
            display_name: None,
            active: true,
        })
    }

    fn event() -> Incoming {
        Incoming::Event(RawEvent { packet: Value::Str("[]".into(), None), ack: None })
    }

    #[test]
    fn one_task_at_a_time_drains_an_inbox() {
        let s = session();
        assert!(matches!(s.push(event(), 9), Ok(false)), "nothing runs before the socket is in the hub");
        assert_eq!(s.open(), Some(true));
        assert!(matches!(s.push(event(), 9), Ok(false)), "a task is at it");
        assert!(s.next().is_some() && s.next().is_some() && s.next().is_none());
        assert!(matches!(s.push(event(), 9), Ok(true)), "the last task ended");
    }

    #[test]
    fn a_full_inbox_refuses_events_but_not_the_end() {
        let s = session();
        assert!(s.push(event(), 1).is_ok());
        assert!(s.push(event(), 1).is_err());
        assert!(s.push(Incoming::Disconnected, 1).is_ok());
        assert_eq!(s.open(), None, "gone before it was let in");
    }
}
