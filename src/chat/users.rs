//! Users: who someone is, and finding users to talk to.
//!
//! A user is looked up when a socket connects and when a request comes in. Lookups that wait at the same time go to the
//! database as one statement, so that a thousand clients that reconnect at once do not ask it a thousand times.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use moka::future::Cache;
use tokio::sync::{mpsc, oneshot};

use super::{
    core::Core,
    membership::{cache, drop_expired_of},
};
use crate::{
    db::{DbError, DbResult, FoundUsers, in_time},
    domain::{Person, Role, User, UserId},
    error::{Error, Result},
    protocol::SearchUsers,
};

/// How long an active user counts as active without a lookup. For requests only: sockets are looked up when they connect,
/// and checked with each heartbeat.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);
const QUEUE: usize = 50_000;
/// How long a lookup is tried again when the connection is at fault.
const RETRY_FOR: Duration = Duration::from_secs(4);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Most lookups of one statement.
const BATCH: usize = 1000;

struct Lookup {
    user: UserId,
    answer: oneshot::Sender<Result<Option<Arc<User>>>>,
}

pub struct Users {
    core: Arc<Core>,
    active: Cache<UserId, Arc<User>>,
    lookups: mpsc::Sender<Lookup>,
}

impl Users {
    pub(super) fn start(core: Arc<Core>) -> Self {
        let (lookups, queue) = mpsc::channel(QUEUE);
        core.tasks.background(run(core.clone(), queue));
        Self { core, active: cache(REMEMBERED_FOR), lookups }
    }

    /// The user with this id as the database has them now, active or not.
    ///
    /// # Errors
    /// [`Error::Busy`] if too many lookups wait or the database does not answer in time, [`Error::Internal`].
    pub async fn get(&self, user: UserId) -> Result<Option<Arc<User>>> {
        let (answer, answered) = oneshot::channel();
        self.lookups.try_send(Lookup { user, answer }).map_err(|_| Error::Busy)?;
        answered.await.unwrap_or(Err(Error::Internal))
    }

    /// As [`Users::get`], but an active user may be one who was active 5 s ago.
    pub async fn recent(&self, user: UserId) -> Result<Option<Arc<User>>> {
        if let Some(known) = self.active.get(&user).await {
            return Ok(Some(known));
        }
        let found = self.get(user).await?;
        if let Some(active) = found.as_ref().filter(|u| u.active) {
            self.active.insert(user, active.clone()).await;
        }
        Ok(found)
    }

    pub(super) async fn drop_expired(&self) {
        drop_expired_of(&self.active).await;
    }

    /// Finds active users whom the caller's role may find.
    pub async fn search(&self, caller: &User, search: &SearchUsers) -> Result<FoundUsers> {
        if search.text.contains('\0') {
            // Postgres stores none, so nobody's name has one.
            return Ok(FoundUsers { users: Vec::new(), is_complete: true });
        }
        let roles: Vec<Role> = match &search.role {
            None => caller.role.finds().to_vec(),
            Some(word) => Role::parse(word).into_iter().filter(|r| caller.role.finds().contains(r)).collect(),
        };
        Ok(self.core.db.search_users(caller.id, &roles, &search.text, search.limit).await?)
    }

    /// Up to 100 active users whom the caller's role may find.
    pub async fn available(&self, caller: &User) -> Result<Vec<Person>> {
        Ok(self.core.db.available_users(caller.id, caller.role.finds()).await?)
    }

    /// The user whom the caller should ask for help.
    ///
    /// # Errors
    /// [`Error::NoSupportStaff`], [`Error::Internal`].
    pub async fn support(&self, caller: &User) -> Result<Person> {
        self.core.db.support_user(caller.id).await?.ok_or(Error::NoSupportStaff)
    }
}

async fn run(core: Arc<Core>, mut queue: mpsc::Receiver<Lookup>) {
    let mut waiting = Vec::new();
    while core.tasks.next_batch(&mut queue, &mut waiting, BATCH).await {
        let ids: Vec<UserId> = waiting.iter().map(|l| l.user).collect();
        let found = look_up(&core, &ids).await.map_err(|e| match e {
            // The time includes waiting for a connection. Nothing was changed, and the same request may be sent again.
            DbError::Timeout => Error::Busy,
            e => e.into(),
        });
        let found: Result<HashMap<UserId, Arc<User>>> =
            found.map(|users| users.into_iter().map(|u| (u.id, Arc::new(u))).collect());
        for lookup in waiting.drain(..) {
            let answer = found.as_ref().map(|users| users.get(&lookup.user).cloned()).map_err(Clone::clone);
            // The caller may have gone.
            lookup.answer.send(answer).ok();
        }
    }
}

/// Tries again while the connection is at fault: a client that is refused at the handshake does not reconnect by itself.
async fn look_up(core: &Core, ids: &[UserId]) -> DbResult<Vec<User>> {
    let started = Instant::now();
    loop {
        match in_time(core.db.users(ids)).await {
            Err(e) if !e.is_statement_fault() && started.elapsed() < RETRY_FOR => {
                tracing::warn!(error = %e, users = ids.len(), "lookup failed, trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            found => return found,
        }
    }
}
