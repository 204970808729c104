//! Who someone is: looked up when a socket connects and when a request comes in. Lookups that meet go to the database as
//! one statement, so that a thousand clients that come back at once do not ask it a thousand times.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use moka::future::Cache;
use tokio::sync::{mpsc, oneshot};

use super::{
    Chat,
    membership::{cache, drop_expired_of},
};
use crate::{
    db::{DbError, DbResult, in_time},
    domain::{User, UserId},
    error::{Error, Result},
};

/// How long an active user is taken for active without a look: for requests only. Sockets look when they connect and are
/// looked after by the heartbeat.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);
/// Lookups that may wait.
const QUEUE: usize = 50_000;
/// How long a lookup is tried again when the connection is at fault.
const RETRY_FOR: Duration = Duration::from_secs(4);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Most of one statement.
const BATCH: usize = 1000;

/// A lookup that waits.
pub struct Lookup {
    user: UserId,
    answer: oneshot::Sender<Result<Option<Arc<User>>>>,
}

/// The lookups, and what is remembered of them.
pub struct Accounts {
    active: Cache<UserId, Arc<User>>,
    lookups: mpsc::Sender<Lookup>,
}

impl Accounts {
    pub fn new() -> (Self, mpsc::Receiver<Lookup>) {
        let (lookups, queue) = mpsc::channel(QUEUE);
        (Self { active: cache(REMEMBERED_FOR), lookups }, queue)
    }

    /// Drops what is remembered for longer than it may be.
    pub async fn drop_expired(&self) {
        drop_expired_of(&self.active).await;
    }
}

impl Chat {
    /// The user with this id as the database has them now, active or not.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many lookups wait or the database does not answer in time, [`Error::Internal`].
    pub async fn account(&self, user: UserId) -> Result<Option<Arc<User>>> {
        let (answer, answered) = oneshot::channel();
        self.accounts.lookups.try_send(Lookup { user, answer }).map_err(|_| Error::Busy)?;
        answered.await.unwrap_or(Err(Error::Internal))
    }

    /// As [`Chat::account`], but an active user may be one who was active 5 s ago.
    ///
    /// # Errors
    /// As [`Chat::account`].
    pub async fn recent_account(&self, user: UserId) -> Result<Option<Arc<User>>> {
        if let Some(known) = self.accounts.active.get(&user).await {
            return Ok(Some(known));
        }
        let found = self.account(user).await?;
        if let Some(active) = found.as_ref().filter(|u| u.active) {
            self.accounts.active.insert(user, active.clone()).await;
        }
        Ok(found)
    }
}

/// Looks up what has queued, again and again, until the service stops.
pub async fn run(chat: Arc<Chat>, mut queue: mpsc::Receiver<Lookup>) {
    let mut waiting = Vec::new();
    while chat.core.tasks.next_batch(&mut queue, &mut waiting, BATCH).await {
        let ids: Vec<UserId> = waiting.iter().map(|l| l.user).collect();
        let found = look(&chat, &ids).await.map_err(|e| match e {
            // The time covers waiting for a connection too. Nothing was changed, and the same request may be sent again.
            DbError::Timeout => Error::Busy,
            e => e.into(),
        });
        let found: Result<HashMap<UserId, Arc<User>>> =
            found.map(|users| users.into_iter().map(|u| (u.id, Arc::new(u))).collect());
        for lookup in waiting.drain(..) {
            let answer = found.as_ref().map(|users| users.get(&lookup.user).cloned()).map_err(Clone::clone);
            // Who asked may have gone.
            lookup.answer.send(answer).ok();
        }
    }
}

/// Tries again while the connection is at fault: who is refused at the handshake does not come back by themselves.
async fn look(chat: &Chat, ids: &[UserId]) -> DbResult<Vec<User>> {
    let started = Instant::now();
    loop {
        match in_time(chat.db.users(ids)).await {
            Err(e) if !e.is_statement_fault() && started.elapsed() < RETRY_FOR => {
                tracing::warn!(error = %e, users = ids.len(), "lookup failed, trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            found => return found,
        }
    }
}
