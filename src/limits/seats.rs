//! Limits on the number of connections: in total, of one address, of one user.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;

use super::ClientAddress;
use crate::{config::LimitsConfig, domain::UserId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    Server,
    Address,
}

/// Counts by key, up to a bound; 0 is no bound.
#[derive(Debug)]
pub struct Counter<K> {
    counts: Mutex<HashMap<K, usize>>,
    max: usize,
}

impl<K: Copy + Eq + Hash> Counter<K> {
    /// Makes a counter with the bound `max` for each key.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { counts: Mutex::default(), max })
    }

    /// Takes a place for `key`; dropping it returns it. `None` if all are taken.
    #[must_use]
    pub fn take(self: &Arc<Self>, key: K) -> Option<Place<K>> {
        let mut counts = self.counts.lock();
        let count = counts.entry(key).or_default();
        if self.max > 0 && *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Place { counter: self.clone(), key })
    }
}

#[derive(Debug)]
pub struct Place<K: Copy + Eq + Hash> {
    counter: Arc<Counter<K>>,
    key: K,
}

impl<K: Copy + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut counts = self.counter.counts.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[derive(Debug)]
pub struct Seats {
    server: Arc<Counter<()>>,
    addresses: Arc<Counter<ClientAddress>>,
    users: Arc<Counter<UserId>>,
}

/// A session's place; dropping it returns it.
#[derive(Debug)]
pub struct Seat {
    _server: Place<()>,
    _address: Option<Place<ClientAddress>>,
}

impl Seats {
    /// Makes the limits in `config`.
    pub fn new(config: &LimitsConfig) -> Self {
        Self {
            server: Counter::new(config.max_connections),
            addresses: Counter::new(config.max_connections_per_ip),
            users: Counter::new(config.max_connections_per_user),
        }
    }

    /// Takes a place for a session whose user is not known yet.
    /// Fails with the bound that is reached.
    pub fn take(&self, address: Option<ClientAddress>) -> Result<Seat, Full> {
        let address = address.map(|a| self.addresses.take(a).ok_or(Full::Address)).transpose()?;
        let server = self.server.take(()).ok_or(Full::Server)?;
        Ok(Seat { _server: server, _address: address })
    }

    /// Takes one of a user's places; `None` if all are taken.
    #[must_use]
    pub fn of_user(&self, user: UserId) -> Option<Place<UserId>> {
        self.users.take(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let counter = Counter::new(2);
        let first = counter.take(1).unwrap();
        let _second = counter.take(1).unwrap();
        assert!(counter.take(1).is_none());
        assert!(counter.take(2).is_some(), "another key has its own");
        drop(first);
        assert!(counter.take(1).is_some());
    }

    #[test]
    fn nothing_is_remembered_of_keys_that_are_gone_and_zero_is_no_bound() {
        let counter = Counter::new(0);
        let places: Vec<_> = (0..1000).map(|n| counter.take(n % 10).unwrap()).collect();
        drop(places);
        assert!(counter.counts.lock().is_empty());
    }
}
