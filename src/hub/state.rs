//! The sockets of this server: those in the hub with their rooms, those in a handshake, and the ghosts. One lock guards all of it.

use std::{sync::Arc, time::Instant};

use foldhash::{HashMap, HashSet};
use parking_lot::Mutex;
use socketioxide::socket::Sid;
use uuid::Uuid;

use super::{
    audience::Audience,
    connection::Connection,
    event::Event,
    ghosts::{Ghost, Ghosts},
};
use crate::domain::{ConversationId, UserId};

/// Up to so many sockets their users are looked for in a list.
const SMALL_ROOM: usize = 16;

/// The events that wait for a socket during its handshake, and the rooms that it will be in.
#[derive(Default)]
pub(super) struct Expected {
    pub events: Vec<Event>,
    pub rooms: HashSet<ConversationId>,
}

pub(super) type Waiting = Arc<Mutex<Expected>>;

/// A socket, and the conversations whose rooms it is in: a list, which takes a sixth of the memory of a set, as most are in one.
pub(super) struct Inside {
    pub connection: Arc<Connection>,
    pub rooms: Vec<ConversationId>,
}

/// Keys are ids: hashed as by default, they would take as long as the rest of a look-up.
#[derive(Default)]
pub(super) struct State {
    pub sockets: HashMap<Uuid, Inside>,
    pub users: HashMap<UserId, Vec<Arc<Connection>>>,
    pub rooms: HashMap<ConversationId, Vec<Arc<Connection>>>,
    pub arriving: HashMap<UserId, Vec<Waiting>>,
    pub sessions: HashMap<Sid, Arc<Connection>>,
    pub arriving_sessions: HashMap<Sid, UserId>,
    pub ghosts: Ghosts,
}

impl State {
    /// Adds a socket to its user's room.
    pub fn add(&mut self, connection: Arc<Connection>) {
        self.note_change(&connection);
        self.users.entry(connection.user_id).or_default().push(connection.clone());
        self.sessions.insert(connection.sid(), connection.clone());
        self.sockets.insert(connection.id, Inside { connection, rooms: Vec::new() });
    }

    /// Adds a socket to a conversation's room; false if it is there already, or gone.
    pub fn enter(&mut self, connection: &Arc<Connection>, room: ConversationId) -> bool {
        let Some(inside) = self.sockets.get_mut(&connection.id) else { return false };
        if inside.rooms.contains(&room) {
            return false;
        }
        inside.rooms.reserve_exact(usize::from(inside.rooms.is_empty()));
        inside.rooms.push(room);
        self.rooms.entry(room).or_default().push(connection.clone());
        self.note_change(connection);
        true
    }

    pub fn receivers(&self, audience: &Audience<'_>) -> Vec<Arc<Connection>> {
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

    /// Keeps an event for those on their way in. One more than `max` says that there were too many.
    pub fn keep(&self, audience: &Audience<'_>, event: &Event, max: usize) {
        if self.arriving.is_empty() {
            return;
        }
        let of = |user: &UserId| self.arriving.get(user).filter(|_| Some(*user) != audience.not_user);
        for waiting in audience.users.iter().filter_map(of).flatten() {
            waiting.lock().keep(event, max);
        }
        let Some(room) = audience.room else { return };
        // The sockets of `audience.users` got it above.
        let only_in_room = audience.members.iter().filter(|user| of(user).is_some() && !audience.users.contains(user));
        for waiting in only_in_room.filter_map(of).flatten() {
            let mut waiting = waiting.lock();
            if waiting.rooms.contains(&room) {
                waiting.keep(event, max);
            }
        }
    }

    /// A socket is not on its way in any more.
    pub fn forget_arrival(&mut self, user: UserId, session: Option<Sid>, arrival: &Waiting) {
        if let Some(session) = session {
            self.arriving_sessions.remove(&session);
        }
        if let Some(list) = self.arriving.get_mut(&user) {
            list.retain(|waiting| !Arc::ptr_eq(waiting, arrival));
            if list.is_empty() {
                self.arriving.remove(&user);
            }
        }
    }

    /// Keeps a socket that is gone for its client to come back to.
    pub fn keep_ghost(&mut self, connection: &Connection, rooms: &[ConversationId]) {
        let Some(pid) = connection.pid else { return };
        let Some((log, replayed)) = connection.take_log() else { return };
        let rooms = rooms.iter().copied().collect();
        let (log, since) = (Mutex::new(log), Instant::now());
        let ghost = Ghost { connection: connection.id, pid, rooms, log, replayed, since };
        self.ghosts.insert(connection.user_id, ghost);
    }

    pub fn line_of(&self, user: UserId, pid: Uuid) -> Option<&Arc<Connection>> {
        self.users.get(&user)?.iter().find(|c| c.pid == Some(pid))
    }

    pub fn note_change(&mut self, connection: &Connection) {
        if let Some(pid) = connection.pid {
            self.ghosts.changed.insert(pid, connection.user_id);
        }
    }
}

impl Expected {
    fn keep(&mut self, event: &Event, max: usize) {
        if self.events.len() <= max {
            self.events.push(event.clone());
        }
    }
}

pub(super) fn take_out<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<Arc<Connection>>>, key: &K, id: Uuid) {
    if let Some(list) = map.get_mut(key) {
        list.retain(|c| c.id != id);
        if list.is_empty() {
            map.remove(key);
        }
    }
}
