//! A socket whose client was away takes the place of its earlier socket: of a ghost, or of one of an earlier life of the
//! server.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use uuid::Uuid;

use super::{arrival::Arrival, event::Event, ghosts::Ghost, log::Log, sockets::Hub, state::State};
use crate::{
    domain::{ConversationId, Position, UserId},
    protocol::Happening,
};

/// The events that a socket missed before it came back, and its rooms.
pub struct MissedEvents {
    pub rooms: Vec<ConversationId>,
    /// The events, in order; `None` if the log lacks some of them.
    pub happenings: Option<Vec<Arc<Happening>>>,
}

impl Hub {
    pub fn recovers(&self) -> bool {
        !self.recovery.window.is_zero()
    }

    /// For how long a client may be away.
    pub fn recovery_window(&self) -> Duration {
        self.recovery.window
    }

    /// Nobody comes back as a socket of this user.
    pub fn forget_ghosts(&self, user: UserId) {
        self.state.write().ghosts.forget(user);
        self.recovery.changed.notify_one();
    }

    /// Drops the events that clients are known to have, and the ghosts that have been away for too long.
    pub fn tidy_logs(&self) {
        if !self.recovers() {
            return;
        }
        let connections: Vec<_> = {
            let state = self.state.read();
            state.sockets.values().map(|s| &s.connection).filter(|c| c.pid.is_some()).cloned().collect()
        };
        for connection in connections {
            connection.forget_received();
        }
        self.state.write().ghosts.expire(self.recovery.window);
        self.recovery.changed.notify_one();
    }

    /// Waits until this socket is a ghost: until its end is handled.
    pub(super) async fn gone(&self, user: UserId, pid: Uuid) {
        loop {
            let came = self.recovery.came.notified();
            if self.state.read().line_of(user, pid).is_none() {
                return;
            }
            came.await;
        }
    }
}

impl Arrival {
    /// Takes the place of the socket with this `pid`; `known` is the position of the last event that its client got. If the
    /// server has not noticed that socket's end, it is disconnected first, within `limit`. `None` if there is no such socket:
    /// it was away for too long, its client left by itself, or another took its place.
    ///
    /// Events for that socket wait for this one from here on.
    pub async fn take_over(&mut self, pid: Uuid, known: Option<&Position>, limit: Duration) -> Option<MissedEvents> {
        let line = self.hub.state.read().line_of(self.user, pid).cloned();
        if let Some(line) = line {
            line.session.cut();
            tokio::time::timeout(limit, self.hub.gone(self.user, pid)).await.ok()?;
        }
        let mut state = self.hub.state.write();
        let ghost = state.ghosts.take(self.user, pid).filter(|g| g.since.elapsed() <= self.hub.recovery.window)?;
        let mut waiting = self.waiting.lock();
        waiting.rooms.clone_from(&ghost.rooms);
        // They are in the log too.
        self.before = waiting.events.extract_if(.., |event| event.is_recoverable()).collect();
        drop(waiting);
        drop(state);
        let happenings = ghost.log.lock().after(known);
        let rooms = ghost.rooms.iter().copied().collect();
        self.told.clone_from(&ghost.replayed);
        self.ghost = Some(ghost);
        Some(MissedEvents { rooms, happenings })
    }

    /// Gives up the recovery: the client is not told what it missed, and this is a new socket.
    pub fn start_anew(&mut self) {
        self.ghost = None;
        self.told.clear();
        let mut waiting = self.waiting.lock();
        waiting.rooms.clear();
        let before = std::mem::take(&mut self.before);
        waiting.events.splice(..0, before);
    }

    /// Puts the socket into these rooms, and queues `events` before the events that came meanwhile. False if that is more than may
    /// wait for a socket beside newer events.
    pub fn resume(&mut self, rooms: Vec<ConversationId>, events: Vec<Event>) -> bool {
        let bytes: usize = events.iter().filter_map(Event::positioned).map(|event| event.packet.len()).sum();
        if events.len() > self.hub.max_held / 4 * 3 || bytes as u64 > self.hub.max_waiting_bytes / 2 {
            return false;
        }
        self.replay = events.into_iter().map(Event::told_again).collect();
        self.waiting.lock().rooms = rooms.into_iter().collect();
        true
    }

    /// Its socket never came: its client may come back once more.
    pub(super) fn put_back(&mut self, state: &mut State) {
        let Some(ghost) = self.ghost.take() else { return };
        let waiting = self.waiting.lock();
        if waiting.events.len() > self.hub.max_held {
            // Some of what came is lost.
            return;
        }
        let is_new = |event: &&Event| !event.is_among(&self.told);
        for positioned in waiting.events.iter().filter(is_new).filter_map(Event::positioned) {
            ghost.log.lock().push(positioned.happening.clone());
        }
        drop(waiting);
        state.ghosts.insert(self.user, ghost);
    }

    /// Keeps the events of these rooms for it from here on. It is about to take the place of a socket from before a restart of the
    /// server, which was in these rooms.
    pub fn expect_in(&self, rooms: &[ConversationId]) {
        self.waiting.lock().rooms = rooms.iter().copied().collect();
    }

    /// Takes that socket's place. It missed `happenings`, which have every message up to the numbers `up_to`, so an event that came
    /// meanwhile for one of these messages is not sent. If this socket never connects, the client may come back once more and is
    /// told the same.
    pub fn inherit(&mut self, pid: Uuid, happenings: &[Arc<Happening>], up_to: Vec<(ConversationId, i64)>) {
        let mut log = Log::default();
        happenings.iter().cloned().for_each(|happening| log.push(happening));
        let (connection, rooms, since) = (Uuid::new_v4(), self.waiting.lock().rooms.clone(), Instant::now());
        self.ghost = Some(Ghost { connection, pid, rooms, log: Mutex::new(log), replayed: up_to.clone(), since });
        self.told = up_to;
    }
}
