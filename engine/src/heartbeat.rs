//! The heartbeats of all sessions, and the time that announced binaries have: one task, and queues in the order of time.
//! Every session waits equally long, so what is put in last is due last.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use crate::{
    line::{EndedBy, Line},
    socket::DisconnectReason,
};

/// Sessions that are looked at before others get their turn.
const AT_ONCE: usize = 256;
/// The timer's resolution: so much before its time is up a ping counts as unanswered, since the timer is never early.
const RESOLUTION: Duration = Duration::from_millis(2);
/// A ping that went out later than this has its whole time from then on.
const LATE: Duration = Duration::from_millis(20);

/// The heartbeats of an engine. Its task ends with it.
pub(crate) struct Heartbeats {
    queues: Arc<Queues>,
    task: OnceLock<AbortHandle>,
}

struct Queues {
    interval: Duration,
    timeout: Duration,
    binaries_timeout: Duration,
    due: Mutex<Due>,
    changed: Notify,
}

#[derive(Default)]
struct Due {
    pings: VecDeque<(Instant, Weak<Line>)>,
    pongs: VecDeque<(Instant, Weak<Line>, u32)>,
    binaries: VecDeque<(Instant, Weak<Line>, u32)>,
}

impl Heartbeats {
    pub fn new(interval: Duration, timeout: Duration, binaries_timeout: Duration) -> Self {
        let queues = Queues { interval, timeout, binaries_timeout, due: Mutex::default(), changed: Notify::new() };
        Self { queues: Arc::new(queues), task: OnceLock::new() }
    }

    /// Pings this session one interval from now.
    pub fn schedule(&self, line: &Arc<Line>) {
        self.task.get_or_init(|| tokio::spawn(run(self.queues.clone())).abort_handle());
        self.queues.schedule(line);
    }

    /// A packet came that so many binaries follow: it ends its session if they do not come in time.
    pub fn expect_binaries(&self, line: &Arc<Line>, binaries: u32) {
        let number = line.announce(binaries);
        let mut due = self.queues.due.lock();
        let was_empty = due.binaries.is_empty();
        due.binaries.push_back((Instant::now() + self.queues.binaries_timeout, Arc::downgrade(line), number));
        drop(due);
        if was_empty {
            self.queues.changed.notify_one();
        }
    }
}

impl Drop for Heartbeats {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Queues {
    fn schedule(&self, line: &Arc<Line>) {
        let mut due = self.due.lock();
        let was_empty = due.pings.is_empty();
        due.pings.push_back((Instant::now() + self.interval, Arc::downgrade(line)));
        drop(due);
        if was_empty {
            self.changed.notify_one();
        }
    }

    /// Does what is due; the time of what is due next. `Err` if there was too much for once.
    fn beat(&self, now: Instant) -> Result<Option<Instant>, ()> {
        for _ in 0..AT_ONCE {
            let mut due = self.due.lock();
            if due.pongs.front().is_some_and(|(at, ..)| *at <= now) {
                let Some((_, line, ping)) = due.pongs.pop_front() else { continue };
                drop(due);
                if let Some(line) = line.upgrade()
                    && line.is_unanswered(ping)
                {
                    line.end(DisconnectReason::HeartbeatTimeout, EndedBy::Server);
                }
            } else if due.binaries.front().is_some_and(|(at, ..)| *at <= now) {
                let Some((_, line, packet)) = due.binaries.pop_front() else { continue };
                drop(due);
                if let Some(line) = line.upgrade()
                    && line.is_incomplete(packet)
                {
                    line.end(DisconnectReason::PacketParsingError, EndedBy::Server);
                }
            } else if due.pings.front().is_some_and(|(at, _)| *at <= now) {
                let Some((at, line)) = due.pings.pop_front() else { continue };
                drop(due);
                if let Some(ping) = line.upgrade().and_then(|line| line.ping()) {
                    let sent = if now - at > LATE { now } else { at };
                    let until = sent + self.timeout.saturating_sub(RESOLUTION);
                    self.due.lock().pongs.push_back((until, line, ping));
                }
            } else {
                let ping = due.pings.front().map(|(at, _)| *at);
                let pong = due.pongs.front().map(|(at, ..)| *at);
                let binaries = due.binaries.front().map(|(at, ..)| *at);
                return Ok(ping.into_iter().chain(pong).chain(binaries).min());
            }
        }
        Err(())
    }
}

async fn run(queues: Arc<Queues>) {
    loop {
        match queues.beat(Instant::now()) {
            Err(()) => tokio::task::yield_now().await,
            Ok(None) => queues.changed.notified().await,
            Ok(Some(at)) => tokio::select! {
                () = sleep_until(at) => {}
                // Pings may be due before the pong that is waited for.
                () = queues.changed.notified() => {}
            },
        }
    }
}
