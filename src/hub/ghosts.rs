//! Sockets whose lines were lost, for as long as their clients may come back: they stay in their rooms, get nothing, and
//! keep what they would have been told. They count for nothing else, presence least of all.

use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};
use parking_lot::Mutex;
use uuid::Uuid;

use super::{audience::Audience, event::Event, log::Log};
use crate::domain::{ConversationId, UserId};

/// Most of one user.
const MAX_OF_USER: usize = 8;
/// Most of all users.
const MAX_IN_ALL: usize = 20_000;

pub struct Ghost {
    pub(super) connection: Uuid,
    /// The name under which its client comes back.
    pub(super) pid: Uuid,
    pub(super) rooms: HashSet<ConversationId>,
    pub(super) log: Mutex<Log>,
    /// Up to which numbers the database said what it had missed: that is in the log, and may be told only now.
    pub(super) replayed: Vec<(ConversationId, i64)>,
    pub(super) since: Instant,
}

#[derive(Default)]
pub(super) struct Ghosts {
    pub of_user: HashMap<UserId, Vec<Ghost>>,
    count: usize,
    /// Sockets, here or away, of which the database has to hear, by the names under which their clients come back.
    pub changed: HashMap<Uuid, UserId>,
}

impl Ghosts {
    pub fn insert(&mut self, user: UserId, ghost: Ghost) {
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

    pub fn take(&mut self, user: UserId, pid: Uuid) -> Option<Ghost> {
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

    pub fn forget(&mut self, user: UserId) {
        let list = self.of_user.remove(&user).unwrap_or_default();
        self.changed.extend(list.iter().map(|ghost| (ghost.pid, user)));
        self.count -= list.len();
    }

    /// Gives up those that have been away for too long.
    pub fn expire(&mut self, window: Duration) {
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
        if Some(self.connection) == audience.not_socket || event.is_among(&self.replayed) {
            return;
        }
        if let Some(positioned) = event.positioned() {
            self.log.lock().push(positioned.happening.clone());
        }
    }
}
