//! The state of one session under its lock: what waits to be sent, who carries it, and whether it has ended.
//!
//! There is one outgoing queue and it has one owner: polls until an upgrade is complete, then the WebSocket's task.
//! The owner changes under the lock, so nothing is lost and nothing is sent twice.

mod handle;
mod poll;
mod queue;
mod upgrade;

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

pub use handle::{Handle, Pings, Waiting};
use parking_lot::Mutex;
pub(crate) use poll::Answer;
use upgrade::Probe;
pub(crate) use upgrade::Upgrade;

use crate::{
    frame::Frame,
    socket::{DisconnectReason, Sid},
};

/// Who owns the outgoing queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Polling,
    WebSocket,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub reason: DisconnectReason,
    pub by: EndedBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndedBy {
    /// The client said so, or is gone.
    Client,
    /// The server: what waits is sent first.
    Server,
    /// The server, at once: nothing more is sent.
    Cut,
}

/// Is told of sessions that ended while no task of their own was there to see it.
pub(crate) trait Owner: Send + Sync {
    fn ended(self: Arc<Self>, sid: Sid, reason: DisconnectReason);
}

/// One session's line to its client.
pub(crate) struct Line {
    pub sid: Sid,
    max_packets: usize,
    /// Set once the application has let the client in.
    connected: AtomicBool,
    /// Mirrors the state, for looks without the lock.
    ended: AtomicBool,
    /// What was handed over and is not with the kernel yet.
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
    /// The client gave its latest poll up while an upgrade was under way.
    poll_given_up: bool,
    /// The poll that waits, and the WebSocket's task.
    poller: Option<Waker>,
    writer: Option<Waker>,
    /// Those that wait for the end.
    watchers: Vec<(u64, Waker)>,
    watchers_so_far: u64,
    end: Option<End>,
    /// The transport is closed too.
    gone: bool,
    pings: u32,
    awaits_pong: bool,
    /// What the application adds to the answer to the next Socket.IO CONNECT packet.
    connect_members: Option<Box<str>>,
    /// Binaries that a packet has announced and that have not come, and how many packets announced any.
    binaries: u32,
    announcements: u32,
}

/// What the WebSocket's task is to do next.
pub(crate) enum Next {
    /// Write what it was given.
    Write,
    /// Wait: its waker is kept.
    Wait,
    /// Finish.
    End(End),
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
            connect_members: None,
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

    /// The application lets the client in: it may send as much as the limits say.
    pub fn let_in(&self) {
        self.connected.store(true, Ordering::Relaxed);
    }

    pub fn is_let_in(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

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

    /// Keeps what is to be added to the answer to the next Socket.IO CONNECT packet.
    pub fn set_connect_members(&self, members: Box<str>) {
        self.state.lock().connect_members = Some(members);
    }

    /// Takes it.
    pub fn take_connect_members(&self) -> Option<Box<str>> {
        self.state.lock().connect_members.take()
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

    /// Ends the session. False if it has ended before.
    pub fn end(&self, reason: DisconnectReason, by: EndedBy) -> bool {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return false;
        }
        state.end = Some(End { reason, by });
        self.ended.store(true, Ordering::Release);
        state.volatile = Vec::new();
        if by == EndedBy::Cut {
            state.queue = VecDeque::new();
        }
        let is_polling = state.carrier == Carrier::Polling;
        state.gone = is_polling;
        let (poller, writer) = (state.poller.take(), state.writer.take());
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        wake(poller);
        wake(writer);
        watchers.into_iter().for_each(|(_, waker)| waker.wake());
        if is_polling {
            self.tell_owner(reason);
        }
        true
    }

    /// Not within the call: the caller may hold locks that the application's callback takes.
    fn tell_owner(&self, reason: DisconnectReason) {
        let Some(owner) = self.owner.upgrade() else { return };
        let sid = self.sid;
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move { owner.ended(sid, reason) })),
            Err(_) => owner.ended(sid, reason),
        }
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// How it ended, if it has.
    pub fn how_ended(&self) -> Option<End> {
        self.state.lock().end
    }

    /// The WebSocket is closed.
    pub fn set_gone(&self) {
        let mut state = self.state.lock();
        state.gone = true;
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        watchers.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Resolves when the session has ended.
    pub async fn wait_for_end(&self) {
        self.watch(|state| state.end.is_some()).await;
    }

    /// Resolves when the transport is closed.
    pub async fn wait_until_gone(&self) {
        self.watch(|state| state.gone).await;
    }

    async fn watch(&self, is_over: impl Fn(&State) -> bool) {
        let mut watcher = Watcher { line: self, number: None };
        poll_fn(|cx| {
            let mut state = self.state.lock();
            if is_over(&state) { Poll::Ready(()) } else { watcher.register(&mut state, cx) }
        })
        .await;
    }
}

/// One that waits for the end. It leaves no waker behind when it is dropped.
struct Watcher<'a> {
    line: &'a Line,
    number: Option<u64>,
}

impl Watcher<'_> {
    fn register(&mut self, state: &mut State, cx: &Context<'_>) -> Poll<()> {
        let number = *self.number.get_or_insert_with(|| {
            state.watchers_so_far += 1;
            state.watchers_so_far
        });
        match state.watchers.iter_mut().find(|(other, _)| *other == number) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => state.watchers.push((number, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.line.state.lock().watchers.retain(|(other, _)| *other != number);
        }
    }
}

impl State {
    fn wait(&mut self, cx: &Context<'_>) -> Next {
        if let Some(end) = self.end {
            return Next::End(end);
        }
        match &mut self.writer {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Next::Wait
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
