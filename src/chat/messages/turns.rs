//! Turns at large reads: pages of messages, earlier texts. A user has one at a time, so that a user who asks for a hundred
//! takes at most one processor from the others. All users together have a share of the database's
//! connections.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    domain::UserId,
    limits::{Shares, Turn},
};

/// Longest wait for a turn, and longest time that one is kept: a database that is slow or gone holds nobody up.
const TURN: Duration = Duration::from_secs(1);
/// Longest wait for the user's own reads before this one.
const OWN_TURN: Duration = Duration::from_secs(5);
/// Turns that a user has at a time.
const OF_A_USER: usize = 1;

pub struct ReadTurns {
    users: Arc<Shares>,
    all: Arc<Semaphore>,
}

/// A turn. Keep it until what was read is written out, which takes as long as reading it.
pub struct ReadTurn {
    _own: Option<Turn>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl ReadTurns {
    pub fn new(at_once: usize) -> Self {
        Self { users: Shares::new(OF_A_USER), all: Arc::new(Semaphore::new(at_once)) }
    }

    /// Runs `reading` in a turn, and returns what it finds with the turn; without one if it took long.
    pub async fn read<T>(&self, user: UserId, reading: impl Future<Output = T>) -> (T, Option<ReadTurn>) {
        let turn = self.turn(user).await;
        let mut reading = pin!(reading);
        if let Ok(found) = timeout(TURN, reading.as_mut()).await {
            return (found, Some(turn));
        }
        drop(turn);
        (reading.await, None)
    }

    async fn turn(&self, user: UserId) -> ReadTurn {
        let own = timeout(OWN_TURN, self.users.turn(user)).await.ok();
        let of_all = timeout(TURN, self.all.clone().acquire_owned()).await.ok().and_then(Result::ok);
        ReadTurn { _own: own, _of_all: of_all }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_user_reads_one_thing_at_a_time_until_it_is_written_out_and_others_do_not_wait() {
        let turns = ReadTurns::new(2);
        let (a, b) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let ((), first) = turns.read(a, async {}).await;
        let mut second = Box::pin(turns.read(a, async {}));
        assert!((&mut second).now_or_never().is_none(), "the first one is not written out yet");
        assert!(turns.read(b, async {}).now_or_never().is_some());
        drop(first);
        assert!(second.now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_takes_long_is_read_without_a_turn() {
        let turns = Arc::new(ReadTurns::new(1));
        let user = UserId(Uuid::from_u128(1));
        let forever = turns.clone();
        let reading = tokio::spawn(async move { forever.read(user, std::future::pending::<()>()).await });
        tokio::task::yield_now().await;
        let ((), turn) =
            timeout(TURN * 2, turns.read(user, async {})).await.expect("it waits for one that gets no answer");
        assert!(turn.is_some());
        reading.abort();
    }
}
