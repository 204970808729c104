//! Sockets whose lines were lost, for as long as their clients may come back: they stay in their rooms, get nothing, and
//! keep what they would have been told. They count for nothing else, presence least of all.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::{HashMap, HashSet};
use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Arrival, Audience, Connection, Event, Hub, State, log::Log};
use crate::{
    domain::{ConversationId, UserId},
    protocol::{Happening, Position},
};

/// Most of one user.
const MAX_OF_USER: usize = 8;
/// Most of all users.
const MAX_IN_ALL: usize = 20_000;

/// A socket whose line was lost.
pub struct Ghost {
    /// The connection that it was.
    pub(super) connection: Uuid,
    /// The name under which its client comes back.
    pub(super) pid: Uuid,
    /// Its rooms.
    pub(super) rooms: HashSet<ConversationId>,
    pub(super) log: Mutex<Log>,
    pub(super) since: Instant,
}

/// All of them.
#[derive(Default)]
pub(super) struct Ghosts {
    pub of_user: HashMap<UserId, Vec<Ghost>>,
    count: usize,
    /// Sockets, here or away, of which the database has to hear, by the names under which their clients come back.
    pub changed: HashMap<Uuid, UserId>,
}

/// How long sockets may be away, and the bell that rings when one becomes a ghost.
pub(super) struct Recovery {
    /// Zero where no socket may come back.
    pub window: Duration,
    pub started: Instant,
    pub came: Notify,
    /// Rings when the database has to hear of a socket.
    pub changed: Notify,
}

/// What a socket that comes back was not told.
pub struct MissedEvents {
    /// The rooms that it was in.
    pub rooms: Vec<ConversationId>,
    /// In order; `None` where that is not known any more.
    pub happenings: Option<Vec<Arc<Happening>>>,
}

impl Ghosts {
    fn insert(&mut self, user: UserId, ghost: Ghost) {
        self.changed.insert(ghost.pid, user);
        let list = self.of_user.entry(user).or_default();
        if list.len() == MAX_OF_USER {
            self.changed.insert(list.remove(0).pid, user);
            self.count -= 1;
        } else if self.count >= MAX_IN_ALL {
            if list.is_empty() {
                self.of_user.remove(&user);
            }
            return;
        }
        list.push(ghost);
        self.count += 1;
    }

    fn take(&mut self, user: UserId, pid: Uuid) -> Option<Ghost> {
        let list = self.of_user.get_mut(&user)?;
        let at = list.iter().position(|ghost| ghost.pid == pid)?;
        let ghost = list.remove(at);
        self.changed.insert(pid, user);
        self.count -= 1;
        if list.is_empty() {
            self.of_user.remove(&user);
        }
        Some(ghost)
    }

    fn forget(&mut self, user: UserId) {
        let list = self.of_user.remove(&user).unwrap_or_default();
        self.changed.extend(list.iter().map(|ghost| (ghost.pid, user)));
        self.count -= list.len();
    }

    /// Gives up those that have been away for too long.
    fn expire(&mut self, window: Duration) {
        let changed = &mut self.changed;
        self.of_user.retain(|user, list| {
            let gone = list.extract_if(.., |ghost| ghost.since.elapsed() > window);
            changed.extend(gone.map(|ghost| (ghost.pid, *user)));
            !list.is_empty()
        });
        self.count = self.of_user.values().map(Vec::len).sum();
    }

    /// Keeps an event for those of its audience that are away.
    pub fn note(&self, audience: &Audience<'_>, event: &Event) {
        if self.count == 0 || !event.is_recoverable() {
            return;
        }
        let of = |user: &UserId| self.of_user.get(user).filter(|_| Some(*user) != audience.not_user);
        for ghost in audience.users.iter().filter_map(of).flatten() {
            ghost.note(audience, event);
        }
        let Some(room) = audience.room else { return };
        // Those who are told wherever they are have it.
        let only_in_room = audience.members.iter().filter(|user| of(user).is_some() && !audience.users.contains(user));
        for ghost in only_in_room.filter_map(of).flatten().filter(|ghost| ghost.rooms.contains(&room)) {
            ghost.note(audience, event);
        }
    }
}

impl Ghost {
    fn note(&self, audience: &Audience<'_>, event: &Event) {
        if let Some(positioned) = event.positioned().filter(|_| Some(self.connection) != audience.not_socket) {
            self.log.lock().push(positioned.happening.clone());
        }
    }
}

impl Hub {
    /// Whether clients may come back at all.
    #[must_use]
    pub fn recovers(&self) -> bool {
        !self.recovery.window.is_zero()
    }

    /// Since when this server keeps what sockets are told.
    #[must_use]
    pub fn has_run_for(&self) -> Duration {
        self.recovery.started.elapsed()
    }

    /// For how long a client may be away.
    #[must_use]
    pub fn recovery_window(&self) -> Duration {
        self.recovery.window
    }

    /// Nobody comes back as a socket of this user.
    pub fn forget_ghosts(&self, user: UserId) {
        self.state.write().ghosts.forget(user);
        self.recovery.changed.notify_one();
    }

    /// Drops what sockets are known to have received, and gives up those that have been away for too long.
    pub fn tidy_logs(&self) {
        if !self.recovers() {
            return;
        }
        let connections: Vec<_> = self.state.read().sockets.values().filter(|c| c.pid.is_some()).cloned().collect();
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

impl State {
    /// Keeps a socket that is gone for its client to come back to.
    pub(super) fn keep_ghost(&mut self, connection: &Connection, rooms: &[ConversationId]) {
        let Some(pid) = connection.pid else { return };
        let Some(log) = connection.take_log() else { return };
        let rooms = rooms.iter().copied().collect();
        let ghost = Ghost { connection: connection.id, pid, rooms, log: Mutex::new(log), since: Instant::now() };
        self.ghosts.insert(connection.user_id, ghost);
    }

    pub(super) fn line_of(&self, user: UserId, pid: Uuid) -> Option<&Arc<Connection>> {
        self.users.get(&user)?.iter().find(|c| c.pid == Some(pid))
    }
}

impl Connection {
    /// Drops what the client is known to have received from the log.
    fn forget_received(&self) {
        let mut gate = self.gate.lock();
        if let Some(log) = &mut gate.log {
            log.forget_received(self.session.pings());
            if log.is_empty() {
                gate.log = None;
            }
        }
    }

    /// What it was told; `None` where nobody may come back as this socket.
    fn take_log(&self) -> Option<Log> {
        let mut gate = self.gate.lock();
        (!gate.is_expelled).then(|| gate.log.take().map(|log| *log).unwrap_or_default())
    }
}

impl Arrival {
    /// Takes the place of the socket that got this `pid`, whose client says that it knows everything up to a position. One
    /// whose end the server did not hear of is disconnected first, within `limit`. `None` where there is none: it was away for
    /// too long, its client left by itself, or another took its place.
    ///
    /// What is told to that socket from here on waits for this one.
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
        self.ghost = Some(ghost);
        Some(MissedEvents { rooms, happenings })
    }

    /// The client is not told what it missed: this is a socket like any other.
    pub fn start_anew(&mut self) {
        self.ghost = None;
        self.told.clear();
        let mut waiting = self.waiting.lock();
        waiting.rooms.clear();
        let before = std::mem::take(&mut self.before);
        waiting.events.splice(..0, before);
    }

    /// The socket enters these rooms, and is told `events` before what came meanwhile. False if that is more than may wait for
    /// a socket, beside what comes next.
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
}
