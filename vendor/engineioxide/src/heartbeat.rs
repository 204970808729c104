//! The heartbeats of all sessions, in one task of the engine.
//!
//! Interval and timeout are the same for every session, so that what is due next is always the first of a queue: a session
//! takes an entry of 32 bytes while it lives, and no task, timer or channel of its own.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use engineioxide_core::{Packet, ProtocolVersion, Sid};
use smallvec::smallvec;
use tokio::time::Instant;

use crate::{DisconnectReason, Socket, engine::EngineIo, handler::EngineIoHandler};

/// What falls due within this of one another is done at once, in place of one wake-up each.
const GRAIN: Duration = Duration::from_millis(2);

/// How much is done before others get their turn.
const AT_A_TIME: usize = 256;

/// What a session knows of its own heartbeat.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// The number of the last question, from 1.
    asked: AtomicU32,
    /// The number of the question that waits for its answer, 0 when there is none.
    unanswered: AtomicU32,
}

impl Pulse {
    /// The client gave a sign of life: a pong, or a ping in version 3.
    pub(crate) fn heard(&self) {
        self.unanswered.store(0, Ordering::Relaxed);
    }

    fn waits_for(&self, number: u32) -> bool {
        self.unanswered.load(Ordering::Relaxed) == number
    }

    fn ask(&self) -> u32 {
        let number = self.asked.load(Ordering::Relaxed).wrapping_add(1).max(1);
        self.asked.store(number, Ordering::Relaxed);
        self.unanswered.store(number, Ordering::Relaxed);
        number
    }
}

/// The sessions in the order in which something is due for them.
#[derive(Debug, Default)]
pub(crate) struct Heartbeats(Mutex<Queues>);

#[derive(Debug, Default)]
struct Queues {
    /// Once an interval for each session that lives.
    beats: VecDeque<(Instant, Sid)>,
    /// When the answer to a question must have come.
    deadlines: VecDeque<(Instant, Sid, u32)>,
    /// Whether there is a task that looks at these.
    driven: bool,
}

enum Due {
    /// The session's beat, and when it was due.
    Beat(Sid, Instant),
    Deadline(Sid, u32),
    /// Nothing before that.
    Later(Instant),
    /// Nothing at all, and no task either from now on.
    Never,
}

impl Heartbeats {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        // Every change of the queues is a single push or pop: they are whole whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is due. No session that begins meanwhile has anything due before `interval` is over.
    fn next(&self, interval: Duration) -> Due {
        let mut queues = self.queues();
        let now = Instant::now();
        if let Some((_, sid, number)) = queues.deadlines.pop_front_if(|(at, ..)| *at <= now) {
            return Due::Deadline(sid, number);
        }
        if let Some((at, sid)) = queues.beats.pop_front_if(|(at, _)| *at <= now) {
            return Due::Beat(sid, at);
        }
        let beat = queues.beats.front().map(|(at, _)| *at);
        let deadline = queues.deadlines.front().map(|(at, ..)| *at);
        match [beat, deadline].into_iter().flatten().min() {
            Some(at) => Due::Later(at.min(now + interval).max(now + GRAIN)),
            None => {
                queues.driven = false;
                Due::Never
            }
        }
    }
}

/// Begins the heartbeat of a session: the first ping comes an interval from now, as in the reference implementation.
pub(crate) fn start<H: EngineIoHandler>(engine: &Arc<EngineIo<H>>, sid: Sid) {
    let mut queues = engine.heartbeats.queues();
    let due = Instant::now() + engine.config.ping_interval;
    queues.beats.push_back((due, sid));
    let is_driven = std::mem::replace(&mut queues.driven, true);
    // A runtime that shuts down drops the task at once, which locks them too.
    drop(queues);
    if !is_driven {
        tokio::spawn(drive(Driver(Arc::downgrade(engine))));
    }
}

/// Says that nobody drives the heartbeats when its task ends before its work, with the runtime it was spawned on.
struct Driver<H: EngineIoHandler>(Weak<EngineIo<H>>);

impl<H: EngineIoHandler> Drop for Driver<H> {
    fn drop(&mut self) {
        if let Some(engine) = self.0.upgrade() {
            engine.heartbeats.queues().driven = false;
        }
    }
}

async fn drive<H: EngineIoHandler>(mut driver: Driver<H>) {
    loop {
        let due = match driver.0.upgrade() {
            Some(engine) => beat(&engine),
            None => None,
        };
        let Some(due) = due else {
            // There may be another driver already: what it is called by is not ours to reset.
            driver.0 = Weak::new();
            return;
        };
        tokio::time::sleep_until(due).await;
        tokio::task::yield_now().await;
    }
}

/// Does what is due, so much of it at a time that others get their turn; when to go on.
fn beat<H: EngineIoHandler>(engine: &EngineIo<H>) -> Option<Instant> {
    for _ in 0..AT_A_TIME {
        match engine.heartbeats.next(engine.config.ping_interval) {
            Due::Beat(sid, at) => {
                if let Some(socket) = engine.get_socket(sid) {
                    ask(engine, &socket, at);
                }
            }
            Due::Deadline(sid, number) => {
                let socket = engine.get_socket(sid);
                if let Some(socket) = socket.filter(|socket| socket.pulse.waits_for(number)) {
                    #[cfg(feature = "tracing")]
                    tracing::debug!(%sid, "heartbeat timeout");
                    socket.close(DisconnectReason::HeartbeatTimeout);
                }
            }
            Due::Later(at) => return Some(at),
            Due::Never => return None,
        }
    }
    Some(Instant::now())
}

/// Asks whether the client lives, and again an interval later: than it was due and not than now, or all that fell due while
/// the machine paused would stay in step for ever.
fn ask<H: EngineIoHandler>(engine: &EngineIo<H>, socket: &Socket<H::Data>, due: Instant) {
    let question = question(socket);
    let mut queues = engine.heartbeats.queues();
    let now = Instant::now();
    queues
        .beats
        .push_back(((due + engine.config.ping_interval).max(now), socket.id));
    if let Some(number) = question {
        queues
            .deadlines
            .push_back((now + engine.config.ping_timeout, socket.id, number));
    }
}

/// The number of the question whose answer must come within the timeout.
fn question<D: Default + Send + Sync>(socket: &Socket<D>) -> Option<u32> {
    // While a session changes its transport its heartbeat pauses.
    if socket.is_upgrading() {
        return None;
    }
    let waiting = socket.pulse.unanswered.load(Ordering::Relaxed);
    match (socket.protocol, waiting) {
        (ProtocolVersion::V4, 0) => {
            let number = socket.pulse.ask();
            if socket
                .internal_tx
                .try_send(smallvec![Packet::Ping])
                .is_err()
            {
                socket.close(DisconnectReason::HeartbeatTimeout);
            }
            Some(number)
        }
        // The timeout is longer than the interval: the question before still has time.
        (ProtocolVersion::V4, _) => None,
        // The client of version 3 is who pings, once an interval: it has that long, and then the timeout.
        (ProtocolVersion::V3, 0) => {
            socket.pulse.ask();
            None
        }
        (ProtocolVersion::V3, number) => Some(number),
    }
}
