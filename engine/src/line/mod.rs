//! The state of one session under its lock: the queue, its owner, and the end of the session.
//!
//! There is one outgoing queue and it has one owner: polls until an upgrade is complete, then the WebSocket's task.
//! The owner changes under the lock, so nothing is lost and nothing is sent twice.

mod connect_answer;
mod end;
mod handle;
mod owed;
mod poll;
mod queue;
mod upgrade;

use std::{
    collections::VecDeque,
    sync::{
        Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Waker,
};

use connect_answer::Addition;
pub(crate) use connect_answer::ConnectAnswer;
pub(crate) use end::{End, EndedBy, Owner};
pub use handle::{Handle, Pings, Waiting};
use parking_lot::Mutex;
pub(crate) use poll::Answer;
pub(crate) use queue::Next;
use upgrade::Probe;
pub(crate) use upgrade::Upgrade;

use crate::{frame::Frame, socket::Sid};

/// The owner of the outgoing queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Polling,
    WebSocket,
}

/// One session's line to its client.
pub(crate) struct Line {
    pub sid: Sid,
    max_packets: usize,
    /// True once the application has accepted the client.
    connected: AtomicBool,
    /// Mirrors the state, to be read without the lock.
    ended: AtomicBool,
    /// Packets that were queued and that the kernel does not have yet.
    packets: AtomicUsize,
    bytes: AtomicUsize,
    state: Mutex<State>,
    owner: Weak<dyn Owner>,
}

struct State {
    queue: VecDeque<Frame>,
    /// The latest volatile packet, sent when nothing else waits.
    volatile: Vec<Frame>,
    reserved: usize,
    carrier: Carrier,
    probe: Probe,
    polling: bool,
    posting: bool,
    /// True if the client gave up its latest poll during an upgrade.
    poll_given_up: bool,
    /// The poll that waits, and the WebSocket's task.
    poller: Option<Waker>,
    writer: Option<Waker>,
    /// The tasks that wait for the end.
    watchers: Vec<(u64, Waker)>,
    watchers_so_far: u64,
    end: Option<End>,
    /// The transport is closed too.
    gone: bool,
    pings: u32,
    awaits_pong: bool,
    /// The data that the application adds to the next answers to Socket.IO CONNECT packets.
    additions: Vec<Addition>,
    /// Binaries that a packet has announced and that have not come, and how many packets announced any.
    binaries: u32,
    announcements: u32,
}

impl Line {
    pub fn new(sid: Sid, carrier: Carrier, max_packets: usize, owner: Weak<dyn Owner>) -> Self {
        let state = State {
            queue: VecDeque::new(),
            volatile: Vec::new(),
            reserved: 0,
            carrier,
            probe: Probe::None,
            polling: false,
            posting: false,
            poll_given_up: false,
            poller: None,
            writer: None,
            watchers: Vec::new(),
            watchers_so_far: 0,
            end: None,
            gone: false,
            pings: 0,
            awaits_pong: false,
            additions: Vec::new(),
            binaries: 0,
            announcements: 0,
        };
        Self {
            sid,
            max_packets,
            connected: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            packets: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            state: Mutex::new(state),
            owner,
        }
    }

    pub fn carrier(&self) -> Carrier {
        self.state.lock().carrier
    }

    /// Marks the client as accepted: from now on the usual limits apply.
    pub fn let_in(&self) {
        self.connected.store(true, Ordering::Relaxed);
    }

    pub fn is_let_in(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
