//! Sockets that may come back, for the database to keep: after a restart of the server that is all that is known of them.

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;
use uuid::Uuid;

use super::{Arrival, Connection, Hub, State, ghosts::Ghost, log::Log};
use crate::{
    domain::{ConversationId, Returning, UserId},
    protocol::Happening,
};

/// Most rooms that a socket comes back to. One with more starts anew, and the database hears nothing of it: each further room
/// would be a longer row.
pub const MAX_ROOMS: usize = 1000;
/// Most sockets of which the database hears at once.
const MAX_WRITTEN: usize = 1000;

impl Hub {
    /// Waits until there is something that the database has to hear of.
    pub async fn returning_changed(&self) {
        self.recovery.changed.notified().await;
    }

    /// How those sockets are now of which the database has to hear, and those as which nobody may come back any more: some of
    /// them, where they are many.
    #[must_use]
    pub fn take_returning(&self) -> (Vec<Returning>, Vec<(Uuid, UserId)>) {
        let mut state = self.state.write();
        let mut taken = 0..MAX_WRITTEN;
        let changed: Vec<_> = state.ghosts.changed.extract_if(|_, _| taken.next().is_some()).collect();
        if !state.ghosts.changed.is_empty() {
            self.recovery.changed.notify_one();
        }
        let (mut here, mut gone) = (Vec::new(), Vec::new());
        for (pid, user) in changed {
            match state.returning(pid, user) {
                Some(socket) => here.push(socket),
                None => gone.push((pid, user)),
            }
        }
        (here, gone)
    }

    /// The database has not heard of these.
    pub fn put_back_returning(&self, sockets: impl IntoIterator<Item = (Uuid, UserId)>) {
        self.state.write().ghosts.changed.extend(sockets);
        self.recovery.changed.notify_one();
    }
}

impl State {
    /// The database has to hear of this socket.
    pub(super) fn note_change(&mut self, connection: &Connection) {
        if let Some(pid) = connection.pid {
            self.ghosts.changed.insert(pid, connection.user_id);
        }
    }

    fn returning(&self, pid: Uuid, user: UserId) -> Option<Returning> {
        let line = self.line_of(user, pid);
        let rooms = match line {
            Some(line) => self.rooms_of.get(&line.id),
            None => Some(&self.ghosts.of_user.get(&user)?.iter().find(|ghost| ghost.pid == pid)?.rooms),
        };
        let rooms: Vec<_> = rooms.into_iter().flatten().copied().take(MAX_ROOMS + 1).collect();
        (rooms.len() <= MAX_ROOMS).then_some(Returning { pid, user, rooms, is_gone: line.is_none() })
    }
}

impl Arrival {
    /// What is told in these rooms from here on waits for it: it is about to take the place of a socket of an earlier life of the
    /// server, which was there.
    pub fn expect_in(&self, rooms: &[ConversationId]) {
        self.waiting.lock().rooms = rooms.iter().copied().collect();
    }

    /// Takes that socket's place: what it missed is `happenings`, which is everything up to these numbers. What came of that
    /// meanwhile is not told once more. Should this one never come, another may, and be told the same.
    pub fn inherit(&mut self, pid: Uuid, happenings: &[Arc<Happening>], up_to: Vec<(ConversationId, i64)>) {
        let mut log = Log::default();
        happenings.iter().cloned().for_each(|happening| log.push(happening));
        let (connection, rooms, since) = (Uuid::new_v4(), self.waiting.lock().rooms.clone(), Instant::now());
        self.ghost = Some(Ghost { connection, pid, rooms, log: Mutex::new(log), since });
        self.told = up_to;
    }
}
