//! The bytes that each user has stored (`MAX_STORED_BYTES_PER_USER`). Sending a message only adds to a count in memory. Every
//! two seconds a task adds the counts to the database and reads each user's total: after the user's first message, and then
//! whenever 64 kB have come together.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{
    chat::core::Core,
    db::in_time,
    domain::UserId,
    error::{Error, Result},
};

/// Interval at which counts are added to the database.
const EVERY: Duration = Duration::from_secs(2);
/// Rounds after which a user who stores nothing is forgotten. A user at the limit is looked up again instead: their total may
/// have been lowered in the database.
const ROUNDS: u8 = 30;
/// Bytes of a user that are worth a statement; fewer if the limit is small.
const MUCH: u64 = 64 << 10;
/// Users in one statement.
const BATCH: usize = 1000;

/// The bytes that each active user has stored.
pub struct StoredBytes {
    /// The limit; 0 is none.
    max: u64,
    users: Mutex<HashMap<UserId, Stored>>,
}

#[derive(Default)]
struct Stored {
    /// The total in the database, of all servers, at the last statement; `None` before the first.
    known: Option<u64>,
    /// Bytes stored by this server since then.
    unwritten: u64,
    rounds_idle: u8,
}

impl StoredBytes {
    pub(super) fn start(core: &Arc<Core>, max: u64) -> Arc<Self> {
        let stored = Arc::new(Self::new(max));
        core.tasks.background(run(core.clone(), stored.clone()));
        stored
    }

    fn new(max: u64) -> Self {
        Self { max, users: Mutex::default() }
    }

    /// Checks that a user may store more.
    ///
    /// # Errors
    /// [`Error::StorageFull`].
    pub fn check(&self, user: UserId) -> Result<()> {
        let is_full = self.max > 0 && self.users.lock().get(&user).is_some_and(|s| self.is_full(s));
        if is_full { Err(Error::StorageFull) } else { Ok(()) }
    }

    fn is_full(&self, stored: &Stored) -> bool {
        stored.known.unwrap_or_default() + stored.unwritten >= self.max
    }

    pub fn add(&self, user: UserId, bytes: usize) {
        if self.max > 0 {
            let mut users = self.users.lock();
            let stored = users.entry(user).or_default();
            stored.unwritten += bytes as u64;
            stored.rounds_idle = 0;
        }
    }

    /// Takes the counts that are not in the database yet and are worth a statement, or `all` counts. Drops users who stored nothing
    /// for a while.
    fn take_unwritten(&self, all: bool) -> Vec<(UserId, i64)> {
        let mut users = self.users.lock();
        users.retain(|_, stored| {
            stored.rounds_idle = stored.rounds_idle.saturating_add(1);
            stored.unwritten > 0 || stored.rounds_idle <= ROUNDS || self.is_full(stored)
        });
        if users.len() < users.capacity() / 4 {
            users.shrink_to_fit();
        }
        let much = MUCH.min(self.max / 16);
        let mut taken = Vec::new();
        for (user, stored) in users.iter_mut() {
            // Idle and still here: at the limit.
            let is_idle = stored.rounds_idle > ROUNDS;
            let is_worth_it = all || stored.known.is_none() || stored.unwritten >= much;
            if is_idle || stored.unwritten > 0 && is_worth_it {
                let unwritten = std::mem::take(&mut stored.unwritten);
                taken.push((*user, i64::try_from(unwritten).unwrap_or(i64::MAX)));
                if is_idle {
                    stored.rounds_idle = 0;
                }
            }
        }
        taken
    }

    fn know(&self, totals: Vec<(UserId, i64)>) {
        let mut users = self.users.lock();
        for (user, total) in totals {
            users.entry(user).or_default().known = u64::try_from(total).ok();
        }
    }
}

/// Adds to the database, until the server stops, and then all that is left.
async fn run(core: Arc<Core>, stored: Arc<StoredBytes>) {
    let mut ticks = tokio::time::interval(EVERY);
    while core.tasks.stop.run_until_cancelled(ticks.tick()).await.is_some() {
        add_up(&core, &stored, false).await;
    }
    add_up(&core, &stored, true).await;
}

async fn add_up(core: &Core, stored: &StoredBytes, all: bool) {
    for batch in stored.take_unwritten(all).chunks(BATCH) {
        match in_time(core.db.add_stored_bytes(batch)).await {
            Ok(totals) => stored.know(totals),
            Err(e) => {
                // It is counted again with what comes next.
                tracing::warn!(error = %e, users = batch.len(), "stored bytes not added up");
                for (user, bytes) in batch {
                    stored.add(*user, usize::try_from(*bytes).unwrap_or_default());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn user() -> UserId {
        UserId(Uuid::new_v4())
    }

    #[test]
    fn a_user_at_the_limit_is_refused_and_others_are_not() {
        let (stored, full, other) = (StoredBytes::new(100), user(), user());
        stored.add(full, 60);
        stored.add(other, 99);
        assert_eq!(stored.take_unwritten(false).len(), 2, "nobody is known yet");
        assert_eq!(stored.check(full), Ok(()));
        stored.know(vec![(full, 60), (other, 99)]);
        stored.add(full, 40);
        assert_eq!(stored.check(full), Err(Error::StorageFull));
        assert_eq!(stored.check(other), Ok(()));
    }

    #[test]
    fn little_is_written_when_the_service_stops_or_its_user_is_gone_for_a_while() {
        let (stored, someone) = (StoredBytes::new(1 << 30), user());
        stored.know(vec![(someone, 0)]);
        stored.add(someone, 10);
        assert_eq!(stored.take_unwritten(false), []);
        assert_eq!(stored.take_unwritten(true), [(someone, 10)]);
        stored.add(someone, 10);
        let rounds = (0..=ROUNDS).map(|_| stored.take_unwritten(false).len()).sum::<usize>();
        assert_eq!(rounds, 1);
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let (stored, someone) = (StoredBytes::new(0), user());
        stored.add(someone, usize::MAX);
        assert_eq!((stored.check(someone), stored.take_unwritten(true)), (Ok(()), Vec::new()));
    }

    #[test]
    fn who_stores_nothing_is_forgotten_but_not_who_is_at_the_limit() {
        let (stored, full, other) = (StoredBytes::new(100), user(), user());
        stored.know(vec![(full, 100), (other, 10)]);
        for _ in 0..=ROUNDS {
            stored.take_unwritten(false);
        }
        assert_eq!(stored.users.lock().keys().copied().collect::<Vec<_>>(), [full]);
        assert_eq!(stored.check(full), Err(Error::StorageFull));
    }

    #[test]
    fn a_crowd_that_is_forgotten_leaves_no_room_behind() {
        let stored = StoredBytes::new(100);
        stored.know((0..5000).map(|_| (user(), 10)).collect());
        for _ in 0..=ROUNDS {
            stored.take_unwritten(false);
        }
        assert_eq!(stored.users.lock().capacity(), 0);
    }

    #[test]
    fn who_is_at_the_limit_is_looked_up_again_and_let_go_when_their_total_was_lowered() {
        let (stored, full) = (StoredBytes::new(100), user());
        stored.know(vec![(full, 100)]);
        let looked_up: Vec<_> = (0..=ROUNDS).flat_map(|_| stored.take_unwritten(false)).collect();
        assert_eq!(looked_up, [(full, 0)]);
        stored.know(vec![(full, 10)]);
        assert_eq!(stored.check(full), Ok(()));
    }
}
