//! A socket's inbox. Socket.IO delivers events in wire order but the library runs each in a task of its own, so two
//! messages of one socket could overtake each other. Here they wait in one queue, which one task empties; the task exists
//! only while there is something to do (an idle socket costs no task).

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use socketioxide::handler::Value;

use crate::hub::Connection;

/// Bytes of events that may wait, unless it is one event alone.
const MAX_WAITING_BYTES: usize = 8 << 20;

pub enum Incoming {
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

pub struct Inbox<C = Connection>(Mutex<Queue<C>>);

struct Queue<C> {
    waiting: VecDeque<Incoming>,
    waiting_bytes: usize,
    /// Set once the socket is in the hub, until its end is handled; earlier events wait. It refers to the socket that holds this
    /// session, so it must be dropped at the end.
    connection: Option<Arc<C>>,
    closed: bool,
    drained_by_a_task: bool,
}

/// The caller's next step after [`Inbox::push`].
pub enum Next<C = Connection> {
    /// Start a task that drains the inbox.
    Start(Arc<C>),
    /// Nothing: a task is at it, or the socket is not in the hub yet.
    Wait,
    /// It was refused: too many wait.
    Refuse(Incoming, Option<Arc<C>>),
}

impl<C> Inbox<C> {
    /// An empty inbox of a socket that is not in the hub yet.
    pub fn new() -> Self {
        let (waiting, waiting_bytes) = (VecDeque::new(), 0);
        Self(Mutex::new(Queue { waiting, waiting_bytes, connection: None, closed: false, drained_by_a_task: false }))
    }

    /// Lets the inbox be drained, with `connection` in the hub.
    pub fn open(&self, connection: Arc<C>) -> Next<C> {
        let mut inbox = self.0.lock();
        inbox.connection = Some(connection);
        inbox.next_step()
    }

    /// Puts something in, unless `max` are waiting already.
    pub fn push(&self, incoming: Incoming, max: usize) -> Next<C> {
        let mut inbox = self.0.lock();
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
        Next::Refuse(incoming, self.0.lock().connection.clone())
    }

    /// Takes the next one out; `None` ends the task.
    pub fn next(&self) -> Option<Incoming> {
        let mut inbox = self.0.lock();
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

impl<C> Queue<C> {
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

    struct Socket;

    fn event() -> Incoming {
        Incoming::Event(RawEvent { packet: Value::Str("[]".into(), None), ack: None })
    }

    fn inbox() -> Inbox<Socket> {
        Inbox::new()
    }

    fn socket() -> Arc<Socket> {
        Arc::new(Socket)
    }

    #[test]
    fn one_task_at_a_time_drains_an_inbox() {
        let s = inbox();
        assert!(matches!(s.push(event(), 9), Next::Wait), "nothing runs before the socket is in the hub");
        assert!(matches!(s.open(socket()), Next::Start(_)));
        assert!(matches!(s.push(event(), 9), Next::Wait), "a task is at it");
        assert!(s.next().is_some() && s.next().is_some() && s.next().is_none());
        assert!(matches!(s.push(event(), 9), Next::Start(_)), "the last task ended");
    }

    #[test]
    fn a_full_inbox_refuses_events_but_not_the_end() {
        let s = inbox();
        assert!(matches!(s.push(event(), 1), Next::Wait));
        assert!(matches!(s.push(event(), 1), Next::Refuse(Incoming::Event(_), _)));
        assert!(matches!(s.push(Incoming::Disconnected, 1), Next::Wait));
        assert!(matches!(s.push(event(), 9), Next::Refuse(..)), "nothing comes after the end");
    }

    #[test]
    fn a_socket_that_is_gone_before_it_was_let_in_is_cleaned_up_all_the_same() {
        let s = inbox();
        assert!(matches!(s.push(Incoming::Disconnected, 9), Next::Wait));
        assert!(matches!(s.open(socket()), Next::Start(_)), "its end is handled now");
    }

    #[test]
    fn an_inbox_lets_go_of_its_socket_at_the_end() {
        let s = inbox();
        let socket = socket();
        assert!(matches!(s.open(socket.clone()), Next::Wait));
        drop(s.push(Incoming::Disconnected, 9));
        assert!(matches!(s.next(), Some(Incoming::Disconnected)));
        assert_eq!(Arc::strong_count(&socket), 1);
    }
}
