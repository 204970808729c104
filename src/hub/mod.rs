//! Fan-out: which sockets are here, in which rooms, and how an event reaches them.
//!
//! There is a room per conversation and one per user. An event is serialised once and handed to each socket once,
//! however many of its rooms are addressed. A socket whose outgoing queue is full would lose the packet without
//! anybody noticing: it is disconnected instead, and its client reconnects and fetches what it missed.

mod arrival;
mod backlog;
mod connection;
mod event;
mod ghosts;
mod hold;
mod log;
mod returning;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use engineioxide::Frame;
use foldhash::{HashMap, HashSet};
use parking_lot::RwLock;
use tokio::sync::{Notify, mpsc::error::TrySendError};
use uuid::Uuid;

pub use arrival::Arrival;
pub use connection::Connection;
pub use engineioxide::Handle;
pub use event::{Answer, Audience, Event};
pub use ghosts::MissedEvents;
pub use hold::Hold;
pub use returning::MAX_ROOMS;
pub use socketioxide::socket::Sid;

use crate::{
    config::Config,
    domain::{ConversationId, User, UserId},
};

/// Up to so many sockets their users are looked for in a list.
const SMALL_ROOM: usize = 16;

/// Keys are ids: hashed as by default, they would take as long as the rest of a look-up.
#[derive(Default)]
struct State {
    sockets: HashMap<Uuid, Arc<Connection>>,
    users: HashMap<UserId, Vec<Arc<Connection>>>,
    rooms: HashMap<ConversationId, Vec<Arc<Connection>>>,
    rooms_of: HashMap<Uuid, HashSet<ConversationId>>,
    arriving: HashMap<UserId, Vec<arrival::Waiting>>,
    sessions: HashMap<Sid, Arc<Connection>>,
    arriving_sessions: HashMap<Sid, UserId>,
    ghosts: ghosts::Ghosts,
}

/// The sockets of this server.
pub struct Hub {
    state: RwLock<State>,
    max_waiting_bytes: u64,
    max_waiting_in_total: u64,
    max_held: usize,
    recovery: ghosts::Recovery,
}

impl Hub {
    /// An empty hub.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            state: RwLock::default(),
            max_waiting_bytes: config.socket_send_buffer_bytes as u64,
            max_waiting_in_total: config.send_buffers_bytes as u64,
            max_held: config.socket_send_buffer,
            recovery: ghosts::Recovery {
                window: Duration::from_secs(config.recovery_window),
                started: Instant::now(),
                came: Notify::new(),
                changed: Notify::new(),
            },
        }
    }

    /// Takes a socket out of everything. Returns the rooms it was in. One whose line `is_lost` may come back.
    pub fn remove(&self, connection: &Connection, is_lost: bool) -> Vec<ConversationId> {
        let id = connection.id;
        let mut state = self.state.write();
        if state.sockets.remove(&id).is_none() {
            return Vec::new();
        }
        if state.sessions.get(&connection.sid()).is_some_and(|c| c.id == id) {
            state.sessions.remove(&connection.sid());
        }
        let rooms: Vec<_> = state.rooms_of.remove(&id).unwrap_or_default().into_iter().collect();
        for room in &rooms {
            take_out(&mut state.rooms, room, id);
        }
        take_out(&mut state.users, &connection.user_id, id);
        if is_lost && self.recovers() {
            state.keep_ghost(connection, &rooms);
        }
        state.note_change(connection);
        drop(state);
        if connection.pid.is_some() {
            self.recovery.came.notify_waiters();
            self.recovery.changed.notify_one();
        }
        rooms
    }

    /// Puts a socket into a conversation's room. A socket that is gone stays gone.
    pub fn join(&self, connection: &Arc<Connection>, room: ConversationId) {
        if self.state.write().enter(connection, room) && connection.pid.is_some() {
            self.recovery.changed.notify_one();
        }
    }

    /// Takes a socket out of a conversation's room; false if it was not inside.
    pub fn leave(&self, connection: &Connection, room: ConversationId) -> bool {
        let mut state = self.state.write();
        let id = connection.id;
        let was_inside = state.rooms_of.get_mut(&id).is_some_and(|rooms| rooms.remove(&room));
        if was_inside {
            take_out(&mut state.rooms, &room, id);
            state.note_change(connection);
            self.recovery.changed.notify_one();
        }
        was_inside
    }

    /// Those of `users` who have a socket here, or on its way in.
    #[must_use]
    pub fn present(&self, users: impl IntoIterator<Item = UserId>) -> Vec<UserId> {
        let state = self.state.read();
        users.into_iter().filter(|u| state.users.contains_key(u) || state.arriving.contains_key(u)).collect()
    }

    /// What the sockets here say of their users. Sockets of one user that differ have one entry each.
    #[must_use]
    pub fn users(&self) -> Vec<Arc<User>> {
        let state = self.state.read();
        let mut users: Vec<Arc<User>> = Vec::with_capacity(state.users.len());
        for connections in state.users.values() {
            let first = users.len();
            for user in connections.iter().map(|c| c.user()) {
                if !users[first..].iter().any(|known| Arc::ptr_eq(known, &user) || *known == user) {
                    users.push(user);
                }
            }
        }
        users
    }

    /// The database says something else of these users by now, and their sockets say so from here on.
    pub fn update_users(&self, users: Vec<User>) {
        let state = self.state.read();
        for user in users.into_iter().map(Arc::new) {
            for connection in state.users.get(&user.id).into_iter().flatten() {
                connection.set_user(user.clone());
            }
        }
    }

    /// Number of sockets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.read().sockets.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the sockets whose tokens are good no more, after telling each with `event`. Their clients do not come back by
    /// themselves ("io server disconnect"): with the same token they would not be let in.
    pub fn end_expired(&self, now: i64, event: &Event) {
        let expired: Vec<_> = self.state.read().sockets.values().filter(|c| c.is_expired(now)).cloned().collect();
        for connection in expired {
            self.emit_to(&connection, event);
            connection.gate.lock().is_expelled = true;
            if connection.socket.clone().disconnect().is_err() {
                self.cut(&connection);
            }
        }
    }

    /// Disconnects every socket of these users: they may not be here any more.
    pub fn dismiss(&self, users: &[UserId]) {
        let receivers = self.state.read().receivers(&Audience { users, ..Audience::default() });
        for connection in receivers {
            self.expel(&connection);
        }
        for user in users {
            self.forget_ghosts(*user);
        }
    }

    /// Disconnects a socket that may not be here, and not come back as itself either.
    pub fn expel(&self, connection: &Connection) {
        connection.gate.lock().is_expelled = true;
        self.cut(connection);
    }

    /// Sends to every socket of `audience`, once each.
    pub fn emit(&self, audience: &Audience<'_>, event: &Event) {
        // All of it under one lock: a socket that comes, goes, or comes back meanwhile gets it in one way.
        let state = self.state.read();
        state.keep(audience, event, self.max_held);
        state.ghosts.note(audience, event);
        for connection in state.receivers(audience) {
            self.emit_to(&connection, event);
        }
    }

    /// Sends to one socket, or keeps it for later while the socket is on hold.
    pub fn emit_to(&self, connection: &Connection, event: &Event) {
        let mut gate = connection.gate.lock();
        match &mut gate.held {
            Some(held) if held.len() < self.max_held => held.push(event.clone()),
            Some(_) => {
                // Nothing has this event any more.
                gate.is_expelled |= event.is_recoverable();
                self.cut(connection);
            }
            // Under the lock: what is told after a hold began must not overtake what was on its way before.
            None => {
                if !gate.has_told(event) {
                    self.deliver(connection, &mut gate, event);
                }
            }
        }
    }

    /// Sends to one socket, also while it is on hold: an answer, which is not sent again to one that was away.
    pub fn emit_now(&self, connection: &Connection, event: &Event) {
        self.send(connection, event.packet.clone());
    }

    /// Hands an event over. Under the lock of the gate, so that the log has the order of the line.
    fn deliver(&self, connection: &Connection, gate: &mut hold::Gate, event: &Event) {
        match connection.pid.and_then(|_| event.positioned()) {
            Some(positioned) => {
                gate.log.get_or_insert_default().push(positioned.happening.clone());
                self.send(connection, positioned.packet.clone());
            }
            None => self.send(connection, event.packet.clone()),
        }
    }

    /// Answers one socket's event.
    pub fn acknowledge(&self, connection: &Connection, answer: Answer) {
        self.send(connection, answer.0);
    }

    fn send(&self, connection: &Connection, packet: Frame) {
        if connection.waiting() > self.max_waiting_bytes {
            return self.cut(connection);
        }
        // Closed: its disconnect is on the way.
        if connection.socket.connected()
            && let Err(TrySendError::Full(())) = connection.session.send(packet)
        {
            self.cut(connection);
        }
    }

    /// Disconnects a socket that cannot keep up.
    pub fn cut(&self, connection: &Connection) {
        if connection.session.cut() {
            tracing::warn!(connection = %connection.id, user = %connection.user_id, "disconnecting a socket that is too slow or may not be here");
        }
    }
}

impl State {
    /// Adds a socket to its user's room.
    fn add(&mut self, connection: Arc<Connection>) {
        self.note_change(&connection);
        self.users.entry(connection.user_id).or_default().push(connection.clone());
        self.sessions.insert(connection.sid(), connection.clone());
        self.sockets.insert(connection.id, connection);
    }

    /// Adds a socket to a conversation's room; false if it is there already, or gone.
    fn enter(&mut self, connection: &Arc<Connection>, room: ConversationId) -> bool {
        let id = connection.id;
        let enters = self.sockets.contains_key(&id) && self.rooms_of.entry(id).or_default().insert(room);
        if enters {
            self.rooms.entry(room).or_default().push(connection.clone());
            self.note_change(connection);
        }
        enters
    }

    fn receivers(&self, audience: &Audience<'_>) -> Vec<Arc<Connection>> {
        let room = audience.room.and_then(|r| self.rooms.get(&r)).map(Vec::as_slice).unwrap_or_default();
        // In a large room a list would be searched once for each of those inside.
        let many: Option<HashSet<UserId>> =
            (room.len() > SMALL_ROOM).then(|| audience.members.iter().copied().collect());
        let takes_part = |id: &UserId| many.as_ref().map_or_else(|| audience.members.contains(id), |m| m.contains(id));
        let admitted = |c: &&Arc<Connection>| audience.spares(c) && takes_part(&c.user_id);
        let mut receivers: Vec<Arc<Connection>> = room.iter().filter(admitted).cloned().collect();
        let in_room = receivers.len();
        let ids: HashSet<Uuid> =
            if in_room > SMALL_ROOM { receivers.iter().map(|c| c.id).collect() } else { HashSet::default() };
        for user in audience.users {
            for c in self.users.get(user).map(Vec::as_slice).unwrap_or_default() {
                let has_it = if in_room > SMALL_ROOM {
                    ids.contains(&c.id)
                } else {
                    receivers[..in_room].iter().any(|r| Arc::ptr_eq(r, c))
                };
                if audience.spares(c) && !has_it {
                    receivers.push(c.clone());
                }
            }
        }
        receivers
    }
}

fn take_out<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<Arc<Connection>>>, key: &K, id: Uuid) {
    if let Some(list) = map.get_mut(key) {
        list.retain(|c| c.id != id);
        if list.is_empty() {
            map.remove(key);
        }
    }
}
