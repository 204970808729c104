//! The users who are online on this server. A user with three tabs comes once and goes once, and a user who is back within
//! the grace (a page that is loaded again) never went.
//! Pure: sockets come and go, changes come out; writing and telling them is the service's (`chat/presence`).

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::domain::UserId;

/// Connections per user, and the users whose contacts were told that they are online.
#[derive(Debug, Default)]
pub struct PresenceState {
    /// Time after the end of their last connection during which a user still counts as online.
    grace: Duration,
    connections: HashMap<UserId, Vec<Uuid>>,
    told_online: HashSet<UserId>,
    came: HashSet<UserId>,
    /// Users without a connection who are not told offline yet, and since when.
    leaving: HashMap<UserId, Instant>,
    /// The same in the order of leaving. An entry that `leaving` does not have any more says nothing.
    queue: VecDeque<(Instant, UserId)>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Users who came, with their latest connection.
    pub online: Vec<(UserId, Uuid)>,
    /// Users who went, and when their last connection did.
    pub offline: Vec<(UserId, Instant)>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.online.is_empty() && self.offline.is_empty()
    }

    pub fn len(&self) -> usize {
        self.online.len() + self.offline.len()
    }

    pub fn each(&self) -> impl Iterator<Item = Self> + '_ {
        let online = self.online.iter().map(|came| Self { online: vec![*came], offline: Vec::new() });
        online.chain(self.offline.iter().map(|went| Self { online: Vec::new(), offline: vec![*went] }))
    }
}

impl PresenceState {
    /// Nobody is here. Who goes is offline after `grace`.
    pub fn new(grace: Duration) -> Self {
        Self { grace, ..Self::default() }
    }

    pub fn connect(&mut self, user: UserId, connection: Uuid) {
        self.connections.entry(user).or_default().push(connection);
        self.leaving.remove(&user);
        self.came.insert(user);
    }

    /// A connection of `user` went. One that is not known changes nothing.
    pub fn disconnect(&mut self, user: UserId, connection: Uuid, now: Instant) {
        if let Some(list) = self.connections.get_mut(&user) {
            list.retain(|c| *c != connection);
            if list.is_empty() {
                self.connections.remove(&user);
                self.leaving.insert(user, now);
                self.queue.push_back((now, user));
            }
        }
    }

    pub fn waiting(&self) -> usize {
        self.came.len()
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.queue.front().map(|(at, _)| *at + self.grace)
    }

    /// Takes the changes since the last call. It leaves out users who came and went in between, or came back within the grace.
    pub fn take_changes(&mut self, now: Instant) -> Changes {
        let mut changes = Changes::default();
        for user in self.came.drain() {
            if let Some(latest) = self.connections.get(&user).and_then(|list| list.last())
                && self.told_online.insert(user)
            {
                changes.online.push((user, *latest));
            }
        }
        while let Some((at, user)) = self.queue.pop_front_if(|(at, _)| *at + self.grace <= now) {
            if self.leaving.get(&user) == Some(&at) {
                self.leaving.remove(&user);
                if self.told_online.remove(&user) {
                    changes.offline.push((user, at));
                }
            }
        }
        changes
    }

    /// The service stops: nobody is waited for.
    pub fn end_grace(&mut self) {
        self.grace = Duration::ZERO;
    }

    /// Telling failed: the changes come out again next time.
    pub fn put_back(&mut self, changes: &Changes) {
        for (user, _) in &changes.online {
            self.told_online.remove(user);
            self.came.insert(*user);
        }
        for (user, at) in changes.offline.iter().rev() {
            if self.connections.contains_key(user) {
                // They are back. The world may have been told that they went all the same, and is told that they came.
                self.came.insert(*user);
            } else {
                self.told_online.insert(*user);
                // One who came and went again meanwhile is leaving since then.
                if !self.leaving.contains_key(user) {
                    self.leaving.insert(*user, *at);
                    self.queue.push_front((*at, *user));
                }
            }
        }
    }

    /// Everyone who is here has to be told again.
    pub fn forget_told(&mut self) {
        self.told_online.clear();
        self.came.extend(self.connections.keys());
    }

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

    const GRACE: Duration = Duration::from_secs(5);

    #[test]
    fn three_tabs_are_one_user() {
        let (mut p, now) = (PresenceState::default(), Instant::now());
        for n in 1..=3 {
            p.connect(user(1), tab(n));
        }
        assert_eq!(p.take_changes(now).online, [(user(1), tab(3))]);
        p.disconnect(user(1), tab(1), now);
        p.disconnect(user(1), tab(2), now);
        assert!(p.take_changes(now).is_empty());
        p.disconnect(user(1), tab(3), now);
        assert_eq!(p.take_changes(now).offline, [(user(1), now)]);
        assert!(p.take_changes(now).is_empty());
    }

    #[test]
    fn a_reconnect_between_two_looks_is_no_change() {
        let (mut p, now) = (PresenceState::default(), Instant::now());
        p.connect(user(1), tab(1));
        p.take_changes(now);
        p.disconnect(user(1), tab(1), now);
        p.connect(user(1), tab(2));
        assert!(p.take_changes(now).is_empty());
    }

    #[test]
    fn a_reconnect_within_the_grace_is_no_change_and_the_next_end_has_a_grace_of_its_own() {
        let (mut p, start) = (PresenceState::new(GRACE), Instant::now());
        p.connect(user(1), tab(1));
        p.take_changes(start);
        p.disconnect(user(1), tab(1), start);
        assert!(p.take_changes(start).is_empty());
        p.connect(user(1), tab(2));
        let later = start + GRACE / 2;
        p.disconnect(user(1), tab(2), later);
        assert!(p.take_changes(start + GRACE).is_empty(), "the first grace counts no more");
        assert_eq!(p.next_due(), Some(later + GRACE));
        assert_eq!(p.take_changes(later + GRACE).offline, [(user(1), later)]);
        assert_eq!(p.next_due(), None);
    }

    #[test]
    fn a_service_that_stops_waits_for_nobody() {
        let (mut p, now) = (PresenceState::new(GRACE), Instant::now());
        p.connect(user(1), tab(1));
        p.take_changes(now);
        p.disconnect(user(1), tab(1), now);
        p.end_grace();
        assert_eq!(p.take_changes(now).offline, [(user(1), now)]);
    }

    #[test]
    fn what_could_not_be_told_is_told_later() {
        let (mut p, now) = (PresenceState::new(GRACE), Instant::now());
        p.connect(user(1), tab(1));
        let changes = p.take_changes(now);
        p.put_back(&changes);
        assert_eq!(p.take_changes(now), changes);
        p.disconnect(user(1), tab(1), now);
        let changes = p.take_changes(now + GRACE);
        p.put_back(&changes);
        assert_eq!(p.take_changes(now + GRACE), changes);
    }

    #[test]
    fn who_is_back_while_their_end_could_not_be_told_is_told_online_again() {
        let (mut p, now) = (PresenceState::default(), Instant::now());
        p.connect(user(1), tab(1));
        p.take_changes(now);
        p.disconnect(user(1), tab(1), now);
        let changes = p.take_changes(now);
        p.connect(user(1), tab(2));
        p.put_back(&changes);
        assert_eq!(p.take_changes(now), Changes { online: vec![(user(1), tab(2))], offline: Vec::new() });
    }

    #[test]
    fn a_second_disconnect_of_the_same_tab_changes_nothing() {
        let (mut p, now) = (PresenceState::default(), Instant::now());
        p.connect(user(1), tab(1));
        p.connect(user(1), tab(2));
        p.take_changes(now);
        p.disconnect(user(1), tab(1), now);
        p.disconnect(user(1), tab(1), now);
        assert!(p.take_changes(now).is_empty());
        assert!(p.is_online(user(1)));
    }
}
