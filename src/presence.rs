//! Who is online here. A connection is not a user: someone with three tabs comes once and goes once.
//! Pure: sockets come and go, changes come out; writing and telling them is `chat::online`'s.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::domain::UserId;

/// Connections per user, and what the world was last told of each.
#[derive(Debug, Default)]
pub struct Presence {
    connections: HashMap<UserId, Vec<Uuid>>,
    told_online: HashSet<UserId>,
    changed: HashSet<UserId>,
}

/// What the world has to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Users who came, with their latest connection.
    pub online: Vec<(UserId, Uuid)>,
    /// Users who went.
    pub offline: Vec<UserId>,
}

impl Changes {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.online.is_empty() && self.offline.is_empty()
    }
}

impl Presence {
    /// A connection of `user` came.
    pub fn connect(&mut self, user: UserId, connection: Uuid) {
        self.connections.entry(user).or_default().push(connection);
        self.changed.insert(user);
    }

    /// A connection of `user` went. One that is not known changes nothing.
    pub fn disconnect(&mut self, user: UserId, connection: Uuid) {
        if let Some(list) = self.connections.get_mut(&user) {
            list.retain(|c| *c != connection);
            if list.is_empty() {
                self.connections.remove(&user);
            }
            self.changed.insert(user);
        }
    }

    /// Users of whom there may be something to tell.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.changed.len()
    }

    /// What changed since the last call. Who came and went in between is not mentioned.
    pub fn take_changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        for user in self.changed.drain() {
            match self.connections.get(&user).and_then(|list| list.last()) {
                Some(latest) if self.told_online.insert(user) => changes.online.push((user, *latest)),
                None if self.told_online.remove(&user) => changes.offline.push(user),
                _ => {}
            }
        }
        changes
    }

    /// Telling failed: the changes come out again next time.
    pub fn put_back(&mut self, changes: &Changes) {
        for (user, _) in &changes.online {
            self.told_online.remove(user);
            self.changed.insert(*user);
        }
        for user in &changes.offline {
            self.told_online.insert(*user);
            self.changed.insert(*user);
        }
    }

    /// The world forgot us: everyone who is here has to be told again.
    pub fn forget_told(&mut self) {
        self.told_online.clear();
        self.changed.extend(self.connections.keys());
    }

    /// Whether `user` has a connection here.
    #[must_use]
    pub fn is_online(&self, user: UserId) -> bool {
        self.connections.contains_key(&user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn tab(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn three_tabs_are_one_user() {
        let mut p = Presence::default();
        for n in 1..=3 {
            p.connect(user(1), tab(n));
        }
        assert_eq!(p.take_changes().online, [(user(1), tab(3))]);
        p.disconnect(user(1), tab(1));
        p.disconnect(user(1), tab(2));
        assert!(p.take_changes().is_empty());
        p.disconnect(user(1), tab(3));
        assert_eq!(p.take_changes().offline, [user(1)]);
        assert!(p.take_changes().is_empty());
    }

    #[test]
    fn a_reconnect_between_two_looks_is_no_change() {
        let mut p = Presence::default();
        p.connect(user(1), tab(1));
        p.take_changes();
        p.disconnect(user(1), tab(1));
        p.connect(user(1), tab(2));
        assert!(p.take_changes().is_empty());
    }

    #[test]
    fn what_could_not_be_told_is_told_later() {
        let mut p = Presence::default();
        p.connect(user(1), tab(1));
        let changes = p.take_changes();
        p.put_back(&changes);
        assert_eq!(p.take_changes(), changes);
        p.disconnect(user(1), tab(1));
        let changes = p.take_changes();
        p.put_back(&changes);
        assert_eq!(p.take_changes(), changes);
    }

    #[test]
    fn a_second_disconnect_of_the_same_tab_changes_nothing() {
        let mut p = Presence::default();
        p.connect(user(1), tab(1));
        p.connect(user(1), tab(2));
        p.take_changes();
        p.disconnect(user(1), tab(1));
        p.disconnect(user(1), tab(1));
        assert!(p.take_changes().is_empty());
        assert!(p.is_online(user(1)));
    }
}
