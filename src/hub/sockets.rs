//! The sockets of this server: they come, enter rooms, leave them, and go.

use std::{sync::Arc, time::Duration};

use parking_lot::RwLock;
use tokio::sync::Notify;

use super::{
    audience::Audience,
    connection::Connection,
    event::Event,
    state::{Inside, State, take_out},
};
use crate::{
    config::Config,
    domain::{ConversationId, User, UserId},
};

/// The settings and the signals of connection state recovery.
pub(super) struct Recovery {
    /// Longest time that a socket may be away; zero switches recovery off.
    pub window: Duration,
    pub came: Notify,
    /// Notified when the row of a socket is to be written or deleted.
    pub changed: Notify,
}

pub struct Hub {
    pub(super) state: RwLock<State>,
    pub(super) max_waiting_bytes: u64,
    pub(super) max_waiting_in_total: u64,
    pub(super) max_held: usize,
    pub(super) recovery: Recovery,
}

impl Hub {
    pub fn new(config: &Config) -> Self {
        Self {
            state: RwLock::default(),
            max_waiting_bytes: config.socket_send_buffer_bytes as u64,
            max_waiting_in_total: config.send_buffers_bytes as u64,
            max_held: config.socket_send_buffer,
            recovery: Recovery {
                window: Duration::from_secs(config.recovery_window),
                came: Notify::new(),
                changed: Notify::new(),
            },
        }
    }

    /// Takes a socket out of everything. Returns the rooms it was in. One whose line `is_lost` may come back.
    pub fn remove(&self, connection: &Connection, is_lost: bool) -> Vec<ConversationId> {
        let id = connection.id;
        let mut state = self.state.write();
        let Some(Inside { rooms, .. }) = state.sockets.remove(&id) else { return Vec::new() };
        if state.sessions.get(&connection.sid()).is_some_and(|c| c.id == id) {
            state.sessions.remove(&connection.sid());
        }
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
        let Some(inside) = state.sockets.get_mut(&id) else { return false };
        let Some(place) = inside.rooms.iter().position(|r| *r == room) else { return false };
        inside.rooms.swap_remove(place);
        take_out(&mut state.rooms, &room, id);
        state.note_change(connection);
        self.recovery.changed.notify_one();
        true
    }

    /// Those of `users` who have a socket here, or on its way in.
    pub fn present(&self, users: impl IntoIterator<Item = UserId>) -> Vec<UserId> {
        let state = self.state.read();
        users.into_iter().filter(|u| state.users.contains_key(u) || state.arriving.contains_key(u)).collect()
    }

    /// The users of the sockets here, as the sockets have them. A user whose sockets differ has one entry for each version.
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

    /// Replaces the name and role of these users in all their sockets.
    pub fn update_users(&self, users: Vec<User>) {
        let state = self.state.read();
        for user in users.into_iter().map(Arc::new) {
            for connection in state.users.get(&user.id).into_iter().flatten() {
                connection.set_user(user.clone());
            }
        }
    }

    pub fn len(&self) -> usize {
        self.state.read().sockets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the sockets whose tokens are good no more, after telling each with `event`. Their clients do not come back by
    /// themselves ("io server disconnect"): with the same token they would not be let in.
    pub fn end_expired(&self, now: i64, event: &Event) {
        let expired: Vec<_> = {
            let state = self.state.read();
            state.sockets.values().map(|s| &s.connection).filter(|c| c.is_expired(now)).cloned().collect()
        };
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
}
