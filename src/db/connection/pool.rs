//! The pool of connections. sqlx's own pings each connection when it comes back, a round trip after every
//! statement; here one is asked only where there is a reason to.

use std::{
    fmt,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::managed::{self, PoolError, QueueMode};
use sqlx::{AssertSqlSafe, Connection as _, Error, SqlSafeStr as _, SqlStr};
use tokio::sync::Semaphore;

use super::{
    backend::{Health, limits_as_sql},
    lease::Lease,
    manager::{Manager, PoolOptions},
    moved,
    session::Session,
};
use crate::limits::{Shares, caller};

/// A connection that was not used for this long keeps no buffers of its largest statement.
const SHRINK_AFTER: Duration = Duration::from_secs(5);
/// Interval at which a pool that closes looks for connections that are still out.
const CLOSE_PAUSE: Duration = Duration::from_millis(5);
/// Interval at which the wait for a statement looks whether the database has moved.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A statement is waited for this much longer than its `statement_timeout`; a server that is silent by then is dead.
const GRACE: Duration = Duration::from_secs(1);

/// Connections to the database. A statement runs on one of them by `fetch_all(&pool)`; several on the same one after
/// [`Pool::acquire`].
#[derive(Clone)]
pub struct Pool {
    connections: managed::Pool<Manager>,
    acquire_timeout: Duration,
    answer_within: Option<Duration>,
    /// Begins a transaction behind a pooler, with the settings that other sessions get once.
    begin: SqlStr,
    bounds: Arc<Bounds>,
}

/// Limits on how many are given out. Behind one pointer, because every statement's future has a handle of the pool.
#[derive(Clone, Default)]
struct Bounds {
    /// How many may work for one user.
    shares: Option<Arc<Shares>>,
    /// How many by this handle and its like.
    few: Option<Arc<Semaphore>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("status", &self.connections.status()).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool that connects when it is asked for the first connection.
    pub fn new(options: PoolOptions) -> Self {
        let (max, acquire_timeout) = (options.max_connections.max(1) as usize, options.acquire_timeout);
        let answer_within = options.limits.map(|limits| limits.statement + GRACE);
        let health = Arc::new(Health::new(max, !options.keeps_statements));
        moved::watch(&options.connect, Arc::downgrade(&health));
        let limits = options.limits.map(|limits| format!("; {}", limits_as_sql(&limits, "SET LOCAL")));
        let begin = format!("BEGIN; SET LOCAL plan_cache_mode = force_generic_plan{}", limits.unwrap_or_default());
        // Of numbers alone.
        let begin = AssertSqlSafe(begin).into_sql_str();
        let connections = managed::Pool::builder(Manager { options, health }).max_size(max);
        // The one used last: it has its memory warm, and the rest may sleep.
        let connections = connections.queue_mode(QueueMode::Lifo).build();
        // It refuses timeouts without a runtime to measure them, and has none: ours is around all of it.
        let connections = connections.expect("a pool without timeouts of its own");
        Self { connections, acquire_timeout, answer_within, begin, bounds: Arc::default() }
    }

    /// The same, with a share for each user.
    pub fn with_shares(self, shares: Arc<Shares>) -> Self {
        Self { bounds: Arc::new(Bounds { shares: Some(shares), ..(*self.bounds).clone() }), ..self }
    }

    /// The same, where no more connections are given out at a time than `few` has permits.
    pub fn few_at_a_time(self, few: Arc<Semaphore>) -> Self {
        Self { bounds: Arc::new(Bounds { few: Some(few), ..(*self.bounds).clone() }), ..self }
    }

    /// The same, waiting so long for a connection.
    pub fn waiting_for(self, acquire_timeout: Duration) -> Self {
        Self { acquire_timeout, ..self }
    }

    /// A connection for one's own use, as soon as the user for whom the task works has fewer than their share. It is given
    /// back when it is dropped. [`Lease::done`] says that nothing is open on it; without it the connection is cleaned
    /// first.
    /// Fails with `PoolTimedOut` when none was free in time, `PoolClosed`, or the error of connecting.
    pub async fn acquire(&self) -> Result<Lease, Error> {
        let get = async {
            let turn = match (&self.bounds.shares, caller()) {
                (Some(shares), Some(user)) => Some(shares.turn(user).await),
                _ => None,
            };
            // After the user's own turn: a caller that waits for that must not keep others from a connection.
            let permit = match &self.bounds.few {
                // Boxed, so that the rare case does not enlarge every statement's future.
                Some(few) => Box::pin(few.clone().acquire_owned()).await.ok().map(Box::new),
                None => None,
            };
            ((turn, permit), self.connections.get().await)
        };
        let got = tokio::time::timeout(self.acquire_timeout, get).await;
        let (turns, connection) = got.map_err(|_| Error::PoolTimedOut)?;
        let connection = connection.map_err(|e| match e {
            PoolError::Backend(e) => e,
            PoolError::Closed => Error::PoolClosed,
            PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => Error::PoolTimedOut,
        })?;
        let health = self.connections.manager().health.clone();
        let begin = health.is_behind_pooler().then(|| self.begin.clone());
        let lease = Lease::new(Session::new(connection, begin), health, turns);
        // It may have been connecting when the pool was closed.
        if self.connections.is_closed() { Err(Error::PoolClosed) } else { Ok(lease) }
    }

    /// The answer to a statement, or an error where none comes although the server should have ended it by then.
    pub(in crate::db) async fn answer<T, E: From<Error>>(
        &self,
        statement: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Some(limit) = self.answer_within else { return statement.await };
        let (mut statement, started) = (pin!(statement), Instant::now());
        loop {
            if let Ok(answer) = tokio::time::timeout(LOOK_EVERY, &mut statement).await {
                return answer;
            }
            if started.elapsed() >= limit || self.connections.manager().health.moved_since(started) {
                return Err(Error::Io(std::io::Error::from(std::io::ErrorKind::TimedOut)).into());
            }
        }
    }

    /// True if the server answered a statement of any caller within this time.
    pub fn answered_within(&self, time: Duration) -> bool {
        self.connections.manager().health.answered_within(time)
    }

    /// True if statements are sent in the form that a transaction-mode pooler needs.
    pub fn is_behind_pooler(&self) -> bool {
        self.connections.manager().health.is_behind_pooler()
    }

    /// Gives back the memory of unused connections' buffers, which are as large as the largest statement and answer so far.
    pub fn shrink_unused(&self) {
        self.connections.retain(|backend, metrics| {
            if metrics.last_used() > SHRINK_AFTER {
                backend.connection.lock().shrink_buffers();
            }
            true
        });
    }

    /// Gives out no connection any more, and waits until each is back and closed.
    pub async fn close(&self) {
        let idle = self.connections.retain(|_, _| false).removed;
        // Connections that come back from now on are dropped.
        self.connections.close();
        for backend in idle {
            backend.connection.into_inner().close().await.ok();
        }
        while self.connections.status().size > 0 {
            tokio::time::sleep(CLOSE_PAUSE).await;
        }
    }
}
