//! The pool of connections. sqlx's own asks each connection whether it lives when it comes back, a round trip after every
//! statement; here one is asked only where there is a reason to.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use futures::{
    StreamExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Connection as _, Describe, Either, Error, Execute, Executor, PgConnection, Postgres, SqlStr,
    postgres::{PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use super::ANSWER_WITHIN;

/// A connection that was not used for this long is asked whether it lives before it is.
const PING_AFTER: Duration = Duration::from_secs(1);
/// And once one was lost, so is every other for this long.
const SUSPECT_FOR: Duration = Duration::from_secs(10);
/// A connection is not kept for longer: what the database remembers for it grows, and a pooler may move.
const LIFETIME: Duration = Duration::from_mins(30);
/// How often one that closes looks whether all of its connections are back.
const CLOSE_PAUSE: Duration = Duration::from_millis(5);

/// What connections the pool is to have.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// Where to, and how.
    pub connect: PgConnectOptions,
    /// How many at most.
    pub max_connections: u32,
    /// How long to wait for one.
    pub acquire_timeout: Duration,
    /// Whether they keep prepared statements; behind a pooler they do not.
    pub keeps_statements: bool,
}

/// Connections to the database. A statement runs on one of them by `fetch_all(&pool)`; several on the same one after
/// [`Pool::acquire`].
#[derive(Clone)]
pub struct Pool {
    connections: managed::Pool<Manager>,
    acquire_timeout: Duration,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("status", &self.connections.status()).finish_non_exhaustive()
    }
}

/// What is known of the connections of one pool.
struct Health {
    started: Instant,
    /// Milliseconds from the start until which none is trusted.
    suspect_until: AtomicU64,
}

impl Health {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lost_one(&self) {
        let until = self.now().saturating_add(u64::try_from(SUSPECT_FOR.as_millis()).unwrap_or(u64::MAX));
        self.suspect_until.store(until, Ordering::Relaxed);
    }

    fn is_suspect(&self) -> bool {
        self.now() < self.suspect_until.load(Ordering::Relaxed)
    }
}

struct Manager {
    options: PoolOptions,
    health: Arc<Health>,
}

impl managed::Manager for Manager {
    type Type = PgConnection;
    type Error = Error;

    async fn create(&self) -> Result<PgConnection, Error> {
        // In a box, as pinging is: every statement's future has room for what it seldom does.
        let mut connection = Box::pin(connect(&self.options.connect)).await?;
        if self.options.keeps_statements {
            // They are planned once. Left to itself Postgres takes some of ours for cheaper with each call's values, and
            // then plans them at every call, which takes longer than running them. A pooler's connections are others' too.
            connection.execute("SET plan_cache_mode = force_generic_plan").await?;
        }
        Ok(connection)
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<Error> {
        if self.options.max_connections == 1 {
            // Nothing may be awaited once a waiter has the only connection: under load it would time out there, drop the
            // connection, and leave the next one the same fate.
            return Ok(());
        }
        if metrics.age() > LIFETIME {
            return Err(RecycleError::message("old"));
        }
        if metrics.last_used() > PING_AFTER || self.health.is_suspect() {
            Box::pin(connection.ping()).await.inspect_err(|_| self.health.lost_one())?;
        }
        Ok(())
    }
}

/// Connects, and goes on trying while the database has no room or is just coming up: whoever waits has a limit of their own.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    let mut pause = Duration::from_millis(10);
    loop {
        match PgConnection::connect_with(options).await {
            Err(e) if is_passing(&e) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            connected => return connected,
        }
    }
}

/// Nobody listens, the database is starting or stopping (57P03), or it has too many connections (53300).
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Io(e) => e.kind() == std::io::ErrorKind::ConnectionRefused,
        Error::Database(e) => e.code().is_some_and(|code| code == "57P03" || code == "53300"),
        _ => false,
    }
}

impl Pool {
    /// A pool that connects when it is asked for the first connection.
    #[must_use]
    pub fn new(options: PoolOptions) -> Self {
        let (max, acquire_timeout) = (options.max_connections.max(1) as usize, options.acquire_timeout);
        let health = Arc::new(Health { started: Instant::now(), suspect_until: AtomicU64::new(0) });
        let connections = managed::Pool::builder(Manager { options, health }).max_size(max);
        // The one used last: it has its memory warm, and the rest may sleep.
        let connections = connections.queue_mode(QueueMode::Lifo).build();
        // It refuses timeouts without a runtime to measure them, and has none: ours is around all of it.
        let connections = connections.expect("a pool without timeouts of its own");
        Self { connections, acquire_timeout }
    }

    /// A connection for one's own use, given back when it is dropped. Whoever is done with it says so
    /// ([`Lease::done`]); otherwise it is first seen to that nothing is left of what it was doing.
    ///
    /// # Errors
    /// `PoolTimedOut` when none was free in time, `PoolClosed`, or what connecting says.
    pub async fn acquire(&self) -> Result<Lease, Error> {
        let got = tokio::time::timeout(self.acquire_timeout, self.connections.get()).await;
        let connection = got.map_err(|_| Error::PoolTimedOut)?.map_err(|e| match e {
            PoolError::Backend(e) => e,
            PoolError::Closed => Error::PoolClosed,
            PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => Error::PoolTimedOut,
        })?;
        let lease = Lease { health: self.connections.manager().health.clone(), connection: Some(connection) };
        // It may have been connecting when the pool was closed.
        if self.connections.is_closed() { Err(Error::PoolClosed) } else { Ok(lease) }
    }

    /// Gives out no connection any more, and waits until each is back and closed.
    pub async fn close(&self) {
        let idle = self.connections.retain(|_, _| false).removed;
        // What comes back from now on is dropped.
        self.connections.close();
        for connection in idle {
            connection.close().await.ok();
        }
        while self.connections.status().size > 0 {
            tokio::time::sleep(CLOSE_PAUSE).await;
        }
    }
}

/// A connection of a pool.
pub struct Lease {
    health: Arc<Health>,
    /// There until it is dropped.
    connection: Option<Object<Manager>>,
}

impl Lease {
    /// Gives the connection back: nothing is on its way, and no transaction is open.
    pub fn done(mut self) {
        drop(self.connection.take());
    }

    /// Gives it back where what it was asked for is `outcome`, and all of it came.
    ///
    /// # Errors
    /// The outcome's own.
    pub fn done_if_ok<T>(self, outcome: Result<T, Error>) -> Result<T, Error> {
        match &outcome {
            Ok(_) => self.done(),
            Err(e) if is_loss(e) => self.health.lost_one(),
            Err(_) => {}
        }
        outcome
    }
}

/// Whether the connection is gone. Class 57P: the server shuts down, or somebody ended the session.
fn is_loss(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) => true,
        Error::Database(e) => e.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("taken only when dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("taken only when dropped")
    }
}

impl Drop for Lease {
    /// Its statement was refused or given up, or its transaction rolls back: whoever has the connection next must not wait
    /// for that, nor be told of it.
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let health = self.health.clone();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return drop(Object::take(connection)) };
        runtime.spawn(async move {
            // sqlx rolls back what was begun, but a BEGIN that got no answer is not begun to it. Where no transaction is
            // open this opens one, as a ROLLBACK alone would put a warning into the database's log.
            let clean = connection.execute("BEGIN; ROLLBACK");
            let is_well = matches!(tokio::time::timeout(ANSWER_WITHIN, clean).await, Ok(Ok(_)));
            if !is_well {
                health.lost_one();
                drop(Object::take(connection));
            }
        });
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
        let pool = self.clone();
        let all = async move {
            let mut lease = pool.acquire().await?;
            let all: Result<Vec<_>, Error> = lease.fetch_many(query).try_collect().await;
            lease.done_if_ok(all)
        };
        stream::once(all).map_ok(|all| stream::iter(all).map(Ok)).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut lease = pool.acquire().await?;
            let row = lease.fetch_optional(query).await;
            lease.done_if_ok(row)
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
