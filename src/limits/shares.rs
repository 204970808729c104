//! Each user's share of scarce things: database connections, turns at reading. A user whose ten requests wait for a locked
//! row does not take every connection from the others.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::UserId;

#[derive(Debug)]
pub struct Shares {
    users: Mutex<HashMap<UserId, Share>>,
    of_one: usize,
}

#[derive(Debug)]
struct Share {
    places: Arc<Semaphore>,
    /// The users who have a place or wait for one.
    askers: usize,
}

impl Shares {
    /// Gives each user `of_one` places.
    pub fn new(of_one: usize) -> Arc<Self> {
        Arc::new(Self { users: Mutex::default(), of_one })
    }

    /// Waits until `user` has fewer than their share.
    pub async fn turn(self: &Arc<Self>, user: UserId) -> Turn {
        let (asker, places) = self.enter(user);
        // The semaphore is never closed; if it were, there would be nothing to wait for.
        let permit = places.acquire_owned().await.ok();
        Turn { _permit: permit, _asker: asker }
    }

    fn enter(self: &Arc<Self>, user: UserId) -> (Asker, Arc<Semaphore>) {
        let mut users = self.users.lock();
        let share =
            users.entry(user).or_insert_with(|| Share { places: Arc::new(Semaphore::new(self.of_one)), askers: 0 });
        share.askers += 1;
        (Asker { shares: self.clone(), user }, share.places.clone())
    }
}

#[derive(Debug)]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    _asker: Asker,
}

/// A caller that has a place or waits for one. Dropping the last one of a user removes the user's share.
#[derive(Debug)]
struct Asker {
    shares: Arc<Shares>,
    user: UserId,
}

impl Drop for Asker {
    fn drop(&mut self) {
        let mut users = self.shares.users.lock();
        if let Some(share) = users.get_mut(&self.user) {
            share.askers -= 1;
            if share.askers == 0 {
                users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn who_has_their_share_waits_and_others_do_not() {
        let (shares, a, b) = (Shares::new(2), UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let first = shares.turn(a).await;
        let _second = shares.turn(a).await;
        assert!(shares.turn(a).now_or_never().is_none());
        assert!(shares.turn(b).now_or_never().is_some());
        drop(first);
        assert!(shares.turn(a).now_or_never().is_some());
    }

    #[tokio::test]
    async fn nothing_is_remembered_of_who_has_none() {
        let shares = Shares::new(1);
        drop(shares.turn(UserId(Uuid::nil())).await);
        assert!(shares.users.lock().is_empty());
    }
}
