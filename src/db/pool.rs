//! The pool of connections. sqlx's own asks each connection whether it lives when it comes back, a round trip after every
//! statement; here one is asked only where there is a reason to.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use futures::{
    StreamExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    AssertSqlSafe, Connection as _, Describe, Either, Error, Execute, Executor, Postgres, SqlSafeStr as _, SqlStr,
    postgres::{PgArguments, PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use super::{
    ANSWER_WITHIN,
    backend::{Backend, Health, limits_as_sql},
    moved,
    session::Session,
    shares::{Shares, Turn},
};
use crate::{config::SessionLimits, limits::caller};

/// A connection that was not used for this long is asked whether it lives before it is.
const PING_AFTER: Duration = Duration::from_secs(1);
/// One that says nothing for this long does not.
const PING_WITHIN: Duration = Duration::from_secs(1);
/// A connection is not kept for longer: what the database remembers for it grows, and a pooler may move.
const LIFETIME: Duration = Duration::from_mins(30);
/// How often one that closes looks whether all of its connections are back.
const CLOSE_PAUSE: Duration = Duration::from_millis(5);
/// How long a statement is tried again while somebody else is in its way, and after what pauses, growing. In between it has
/// no connection: whatever waits for a lock leaves the connections to those who do not.
const TRY_FOR: Duration = Duration::from_secs(4);
const TRY_AGAIN: Duration = Duration::from_millis(20);
const TRY_AGAIN_AT_MOST: Duration = Duration::from_millis(250);
/// How often a statement that is waited for looks whether its server is still the right one.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How much longer than its `statement_timeout` a statement is waited for: what says nothing by then is dead.
const GRACE: Duration = Duration::from_secs(1);

/// What connections the pool is to have.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// Where to, and how.
    pub connect: PgConnectOptions,
    /// How many at most.
    pub max_connections: u32,
    /// How long to wait for one.
    pub acquire_timeout: Duration,
    /// Whether they keep prepared statements, and settings of their own. Behind a transaction-mode pooler they do not
    /// ([`super::session`]).
    pub keeps_statements: bool,
    /// The limits of each session, or behind a pooler of each transaction; none with the embedded database, where nobody
    /// is in the way.
    pub limits: Option<SessionLimits>,
}

/// Connections to the database. A statement runs on one of them by `fetch_all(&pool)`; several on the same one after
/// [`Pool::acquire`].
#[derive(Clone)]
pub struct Pool {
    connections: managed::Pool<Manager>,
    acquire_timeout: Duration,
    answer_within: Option<Duration>,
    /// Begins a transaction behind a pooler, with what other sessions are given once and for all.
    begin: SqlStr,
    /// How many of them may work for one user.
    shares: Option<Arc<Shares>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("status", &self.connections.status()).finish_non_exhaustive()
    }
}

pub(super) struct Manager {
    options: PoolOptions,
    health: Arc<Health>,
}

impl managed::Manager for Manager {
    type Type = Backend;
    type Error = Error;

    async fn create(&self) -> Result<Backend, Error> {
        let PoolOptions { connect, limits, .. } = &self.options;
        // In a box, as pinging is: every statement's future has room for what it seldom does.
        Box::pin(self.health.open(connect, *limits)).await
    }

    async fn recycle(&self, backend: &mut Backend, metrics: &Metrics) -> RecycleResult<Error> {
        if self.health.is_stale(backend) {
            return Err(RecycleError::message("stale"));
        }
        if self.health.is_behind_pooler() && backend.connection.cached_statements_size() > 0 {
            return Err(RecycleError::message("has named statements"));
        }
        if self.options.max_connections == 1 {
            // Nothing may be awaited once a waiter has the only connection: under load it would time out there, drop the
            // connection, and leave the next one the same fate.
            return Ok(());
        }
        if metrics.age() > LIFETIME {
            return Err(RecycleError::message("old"));
        }
        if metrics.last_used() > PING_AFTER || self.health.is_suspect() {
            match Box::pin(tokio::time::timeout(PING_WITHIN, backend.connection.ping())).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => {
                    self.health.lost_one();
                    return Err(e.into());
                }
                Err(_) => {
                    self.health.fell_silent(backend);
                    return Err(RecycleError::message("silent"));
                }
            }
        }
        Ok(())
    }
}

impl Pool {
    /// A pool that connects when it is asked for the first connection.
    #[must_use]
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
        Self { connections, acquire_timeout, answer_within, begin, shares: None }
    }

    /// The same, with a share for each user.
    #[must_use]
    pub fn with_shares(self, shares: Arc<Shares>) -> Self {
        Self { shares: Some(shares), ..self }
    }

    /// A connection for one's own use, as soon as the user for whom the task works has fewer than their share. It is given
    /// back when it is dropped. Whoever is done with it says so ([`Lease::done`]); otherwise it is first seen to that nothing
    /// is left of what it was doing.
    ///
    /// # Errors
    /// `PoolTimedOut` when none was free in time, `PoolClosed`, or what connecting says.
    pub async fn acquire(&self) -> Result<Lease, Error> {
        let get = async {
            let turn = match (&self.shares, caller()) {
                (Some(shares), Some(user)) => Some(shares.turn(user).await),
                _ => None,
            };
            (turn, self.connections.get().await)
        };
        let got = tokio::time::timeout(self.acquire_timeout, get).await;
        let (turn, connection) = got.map_err(|_| Error::PoolTimedOut)?;
        let connection = connection.map_err(|e| match e {
            PoolError::Backend(e) => e,
            PoolError::Closed => Error::PoolClosed,
            PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => Error::PoolTimedOut,
        })?;
        let health = self.connections.manager().health.clone();
        let begin = health.is_behind_pooler().then(|| self.begin.clone());
        let lease = Lease { health, session: Some(Session::new(connection, begin)), is_lost: false, turn };
        // It may have been connecting when the pool was closed.
        if self.connections.is_closed() { Err(Error::PoolClosed) } else { Ok(lease) }
    }

    /// The answer to a statement, or an error where none comes although the server should have ended it by then.
    pub(super) async fn answer<T, E: From<Error>>(
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

    /// Whether statements are sent as a transaction-mode pooler needs it.
    #[must_use]
    pub fn is_behind_pooler(&self) -> bool {
        self.connections.manager().health.is_behind_pooler()
    }

    /// Gives out no connection any more, and waits until each is back and closed.
    pub async fn close(&self) {
        let idle = self.connections.retain(|_, _| false).removed;
        // What comes back from now on is dropped.
        self.connections.close();
        for backend in idle {
            backend.connection.close().await.ok();
        }
        while self.connections.status().size > 0 {
            tokio::time::sleep(CLOSE_PAUSE).await;
        }
    }
}

/// Counts the attempts at a statement or a transaction that somebody else is in the way of.
pub(super) struct Attempts {
    started: Instant,
    pause: Duration,
}

impl Attempts {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), pause: TRY_AGAIN }
    }

    /// Whether to try again after this error; waits for a while if so. The connection must be given back before.
    pub(super) async fn go_on_after(&mut self, error: &Error) -> bool {
        if !is_in_the_way(error) || self.started.elapsed() >= TRY_FOR {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(TRY_AGAIN_AT_MOST);
        true
    }
}

/// A connection of a pool.
pub struct Lease {
    health: Arc<Health>,
    /// There until it is dropped.
    session: Option<Session<'static>>,
    /// The connection is of no use any more.
    is_lost: bool,
    /// Its part of a user's share.
    turn: Option<Turn>,
}

impl Lease {
    /// Gives the connection back: nothing is on its way, and no transaction is open.
    pub fn done(mut self) {
        drop(self.session.take());
    }

    /// Gives it back where what it was asked for is `outcome`, and all of it came.
    ///
    /// # Errors
    /// The outcome's own.
    pub fn done_if_ok<T>(mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        match &outcome {
            Ok(_) => self.done(),
            Err(Error::Io(e)) if e.kind() == std::io::ErrorKind::TimedOut => {
                self.is_lost = true;
                if let Some(backend) = self.backend() {
                    self.health.fell_silent(backend);
                }
            }
            Err(e) if is_loss(e) => {
                self.is_lost = true;
                self.health.lost_one();
            }
            Err(e) if code_of(e).as_deref() == Some(READ_ONLY) => self.health.is_read_only(),
            Err(e) => self.health.notice_pooler(e),
        }
        outcome
    }

    fn backend(&self) -> Option<&Backend> {
        self.session.as_ref().and_then(Session::backend)
    }
}

/// `read_only_sql_transaction`: a standby, or a primary that was made read-only.
const READ_ONLY: &str = "25006";

fn code_of(error: &Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)
}

/// Whether the connection is gone. Class 57P: the server shuts down, or somebody ended the session.
fn is_loss(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) => true,
        Error::Database(_) => code_of(error).is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

/// Whether the statement did nothing because of what somebody else does at this moment: a lock not had in time (55P03), a
/// deadlock (40P01), a serialization failure or a standby's replay (40001), a failover (25006).
pub(super) fn is_in_the_way(error: &Error) -> bool {
    code_of(error).is_some_and(|code| matches!(code.as_ref(), "55P03" | "40P01" | "40001" | READ_ONLY))
}

impl Deref for Lease {
    type Target = Session<'static>;

    fn deref(&self) -> &Self::Target {
        self.session.as_ref().expect("taken only when dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.session.as_mut().expect("taken only when dropped")
    }
}

impl Drop for Lease {
    /// Its statement was refused or given up, or its transaction rolls back: whoever has the connection next must not wait
    /// for that, nor be told of it. Until then its place in the pool stays taken, so that there are never more backends than
    /// the pool may have; the server ends the statement by its `statement_timeout`.
    fn drop(&mut self) {
        let Some(connection) = self.session.take().map(Session::into_connection) else { return };
        if self.is_lost {
            return drop(Object::take(connection));
        }
        let (health, turn) = (self.health.clone(), self.turn.take());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return drop(Object::take(connection)) };
        runtime.spawn(async move {
            clean(connection, health).await;
            drop(turn);
        });
    }
}

/// Ends what is left of a transaction, and looks whether the session can be written in: it may have been opened before a
/// failover was over.
async fn clean(mut backend: Object<Manager>, health: Arc<Health>) {
    // sqlx rolls back what was begun, but a BEGIN that got no answer is not begun to it. Where no transaction is open this
    // opens one, as a ROLLBACK alone would put a warning into the database's log.
    let rows = sqlx::raw_sql("BEGIN; ROLLBACK; SHOW transaction_read_only").fetch_all(&mut backend.connection);
    match tokio::time::timeout(ANSWER_WITHIN, rows).await {
        Ok(Ok(rows)) => {
            let is_read_only = rows.first().and_then(|row| sqlx::Row::try_get::<String, _>(row, 0).ok());
            if is_read_only.as_deref() == Some("on") {
                health.is_read_only();
            }
            return;
        }
        Ok(Err(_)) => health.lost_one(),
        Err(_) => health.fell_silent(&backend),
    }
    drop(Object::take(backend));
}

/// A statement that can be run again.
#[derive(Clone)]
struct Statement {
    sql: SqlStr,
    arguments: Option<PgArguments>,
    is_persistent: bool,
}

impl Statement {
    fn of<'q>(mut query: impl Execute<'q, Postgres>) -> Result<Self, Error> {
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        let is_persistent = query.persistent();
        Ok(Self { sql: query.sql(), arguments, is_persistent })
    }
}

impl Execute<'_, Postgres> for Statement {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, sqlx::error::BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.is_persistent
    }
}

impl<'p> Executor<'p> for &'_ Pool {
    type Database = Postgres;

    /// All of a statement's rows at once, so that its connection is free again before they are looked at.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (pool, statement) = (self.clone(), Statement::of(query));
        let all = async move {
            let statement = statement?;
            let mut attempts = Attempts::start();
            loop {
                let mut lease = pool.acquire().await?;
                let all = pool.answer(lease.fetch_many(statement.clone()).try_collect::<Vec<_>>()).await;
                match lease.done_if_ok(all) {
                    Err(e) if attempts.go_on_after(&e).await => {}
                    outcome => return outcome,
                }
            }
        };
        stream::once(all).map_ok(|all| stream::iter(all).map(Ok)).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (pool, statement) = (self.clone(), Statement::of(query));
        Box::pin(async move {
            let statement = statement?;
            let mut attempts = Attempts::start();
            loop {
                let mut lease = pool.acquire().await?;
                let row = pool.answer(lease.fetch_optional(statement.clone())).await;
                match lease.done_if_ok(row) {
                    Err(e) if attempts.go_on_after(&e).await => {}
                    outcome => return outcome,
                }
            }
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut lease = pool.acquire().await?;
            let statement = lease.prepare_with(sql, parameters).await;
            lease.done_if_ok(statement)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut lease = pool.acquire().await?;
            let described = lease.describe(sql).await;
            lease.done_if_ok(described)
        })
    }
}
