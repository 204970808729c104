//! The repository: the only place with SQL. One method is one statement or one transaction, and none holds a
//! connection while it asks for another (the embedded database has just one).

mod actions;
mod backend;
mod batch;
mod blocks;
mod conversations;
#[cfg(feature = "embedded")]
pub mod embedded;
mod executor;
mod files;
mod health;
mod lease;
mod members;
mod message_rows;
mod messages;
mod migrate;
mod moved;
mod notifications;
mod opening;
mod pages;
mod people;
mod pool;
mod pooler;
mod presence;
mod recovery;
mod report;
mod retry;
mod session;
mod stored_bytes;
mod sync;
mod time;
mod typing;
mod user_indexes;
mod users;
mod written;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use sqlx::{ConnectOptions as _, Connection as _, migrate::MigrateError, postgres::PgConnectOptions};

pub use actions::{Acted, Action};
pub use batch::{GOOD_FOR, NewMessage};
pub use conversations::Participant;
pub use lease::Lease;
pub use members::{Access, Delivery, Member, ReadMark, Watermark};
pub use messages::{EditHistory, Page, Slice};
pub use migrate::SchemaState;
pub use notifications::{Notification, NotificationTable};
pub use people::FoundUsers;
pub use pool::{Pool, PoolOptions};
pub use presence::{Gone, OnlineStatus};
pub use recovery::{Came, Changed, ReadSince};
pub use session::{Session, Tx};
pub use sync::{Hidden, Known, SyncState};
pub use written::{Outcome, Written};

use retry::{Attempts, is_in_the_way, is_loss};

use crate::{
    config::{Config, Pooler},
    error::Error,
    limits::Shares,
};

/// Of so many connections one is for reads that may be long.
const LONG_READS_SHARE: usize = 5;

/// A failure of the database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// What sqlx says. Logged, never sent to a client.
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
    /// No connection could be had: nothing was sent.
    #[error("no connection: {0}")]
    NoConnection(#[source] sqlx::Error),
    /// A migration failed; its transaction was rolled back.
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// No answer in time: the line is dead, or the database is frozen. Whether the statement took effect is unknown.
    #[error("no answer from the database in time")]
    Timeout,
    /// The statement reached the database after its time, and did nothing.
    #[error("the statement came too late to the database")]
    TooLate,
    /// The embedded database did not start.
    #[error("embedded database: {0}")]
    Embedded(String),
}

impl DbError {
    /// Whether the statement itself was at fault: trying the same again, or its rows one by one, may tell which.
    /// Anything else is the connection's fault, and whether the statement took effect is unknown.
    #[must_use]
    pub fn is_statement_fault(&self) -> bool {
        // Class 57 is the server shutting down or cancelling; class 53 is lack of resources such as disk; class 25 is a
        // server that is read-only for a while, or a session it ended in mid-transaction.
        let is_others = |c: &str| ["08", "25", "53", "57"].iter().any(|class| c.starts_with(class));
        matches!(self, Self::Sqlx(sqlx::Error::Database(e)) if !self.is_locked() && !e.code().is_some_and(|c| is_others(&c)))
    }

    /// Whether somebody else had a lock on what the statement needs, for longer than it waits (`DATABASE_LOCK_TIMEOUT_MS`).
    /// It did nothing.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.has_code(&["55P03"])
    }

    /// Whether the server ended the statement after its time (`DATABASE_STATEMENT_TIMEOUT_MS`), or was told to. It did
    /// nothing.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.has_code(&["57014"])
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        let (Self::Sqlx(e) | Self::Migrate(MigrateError::ExecuteMigration(e, _))) = self else { return false };
        e.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|c| codes.contains(&&*c))
    }

    /// Whether it is not known if the statement took effect.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Sqlx(e) => {
                !matches!(e, sqlx::Error::Database(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
            }
            Self::Timeout => true,
            Self::NoConnection(_) | Self::TooLate | Self::Migrate(_) | Self::Embedded(_) => false,
        }
    }

    /// Whether no connection of the pool was free in time, or the pool is closed: nothing was asked of the database.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        use sqlx::Error::{PoolClosed, PoolTimedOut};
        matches!(self, Self::Sqlx(PoolTimedOut | PoolClosed) | Self::NoConnection(PoolTimedOut | PoolClosed))
    }

    /// Whether another transaction got in between: a unique key taken meanwhile, a deadlock, a serialization failure.
    /// Trying again settles it.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.has_code(&["23505", "40001", "40P01"])
    }
}

impl From<DbError> for Error {
    fn from(e: DbError) -> Self {
        if e.is_exhausted() {
            tracing::warn!(error = %e, "no database connection was free in time");
            return Self::Busy;
        }
        if matches!(&e, DbError::Sqlx(fault) if is_in_the_way(fault)) {
            tracing::warn!(error = %e, "somebody is in the way in the database");
            return Self::Busy;
        }
        if e.is_given_up() || matches!(&e, DbError::Sqlx(fault @ sqlx::Error::Database(_)) if is_loss(fault)) {
            tracing::warn!(error = %e, "the database ended a statement or its session");
            return Self::Busy;
        }
        tracing::error!(error = %e, "database");
        Self::Internal
    }
}

/// Longest that a statement off the callers' paths may take. A line that died silently would otherwise hold its
/// query for as long as the kernel tries, a quarter of an hour.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Waits for a statement as long as is sensible where nobody else limits it.
///
/// # Errors
/// [`DbError::Timeout`], or what the statement says.
pub async fn in_time<T>(statement: impl Future<Output = DbResult<T>>) -> DbResult<T> {
    tokio::time::timeout(ANSWER_WITHIN, statement).await.unwrap_or(Err(DbError::Timeout))
}

/// Runs a transaction, and again while somebody else is in its way: in between it has no connection.
async fn again_while_in_the_way<T, F: Future<Output = DbResult<T>>>(transaction: impl Fn() -> F) -> DbResult<T> {
    let mut attempts = Attempts::start();
    loop {
        match transaction().await {
            Err(DbError::Sqlx(e)) if attempts.go_on_after(&e).await => {}
            outcome => return outcome,
        }
    }
}

/// Shorthand.
pub type DbResult<T> = Result<T, DbError>;

/// The database.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    options: PoolOptions,
    /// How long to wait for the database at the start.
    start_timeout: Duration,
    /// How many reads that may be long are under way at a time.
    long_reads: Arc<Semaphore>,
    clock: Arc<batch::Clock>,
}

impl Db {
    /// Connects to `url` with at most `max_connections`, waiting for the database to come up for
    /// `DATABASE_START_TIMEOUT` seconds.
    ///
    /// # Errors
    /// [`DbError`] of the last attempt.
    pub async fn connect(url: &str, config: &Config, max_connections: u32) -> DbResult<Self> {
        let options: PgConnectOptions = url.parse::<PgConnectOptions>()?;
        let options = options
            .application_name("souk")
            // Poolers refuse what they do not keep track of, and what it changes, the text of floats, is not used.
            .extra_float_digits(None)
            .log_statements(tracing::log::LevelFilter::Trace)
            .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(5));
        let start_timeout = Duration::from_secs(config.database_start_timeout);
        let deadline = Instant::now() + start_timeout;
        loop {
            // A host that takes the connection and says nothing must not hold up the start for ever.
            let attempt = async {
                sqlx::PgConnection::connect_with(&options).await?.close().await?;
                Ok(())
            };
            match in_time(attempt).await {
                Ok(()) => break,
                Err(e) if Instant::now() < deadline => {
                    tracing::warn!(error = %e, "database not reachable, trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(e) => return Err(e),
            }
        }
        let behind_pooler = match config.pooler() {
            Pooler::Transaction => true,
            // The embedded database has no second connection.
            Pooler::Auto if config.database_url.is_some() && pooler::shares_backends(&options).await => {
                tracing::warn!(
                    "DATABASE_POOLER: there is a transaction-mode pooler in front of the database; \
                     going on as with DATABASE_POOLER=transaction, which saves finding out"
                );
                true
            }
            Pooler::Auto => false,
        };
        let cached = if behind_pooler { 0 } else { config.database_statement_cache };
        let options = PoolOptions {
            connect: options.statement_cache_capacity(cached),
            max_connections,
            acquire_timeout: config.acquire_timeout(),
            keeps_statements: !behind_pooler,
            limits: config.session_limits(),
        };
        let long_reads = Arc::new(Semaphore::new((max_connections as usize / LONG_READS_SHARE).max(1)));
        let shares = Shares::new(config.connections_per_user(max_connections) as usize);
        let pool = Pool::new(options.clone()).with_shares(shares);
        Ok(Self { pool, options, start_timeout, long_reads, clock: Arc::default() })
    }

    /// How many reads that keep a processor busy are best under way at a time, where that is less than the pool allows:
    /// twice as many as there are processors, if Postgres has the same ones.
    #[must_use]
    pub fn reads_at_once(&self) -> Option<usize> {
        let host = self.options.connect.get_host();
        let is_here = self.options.connect.get_socket().is_some()
            || host.starts_with('/')
            || host == "localhost"
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        (is_here && 2 * processors < self.options.max_connections as usize).then_some(2 * processors)
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> Pool {
        self.pool.clone()
    }

    /// Whether statements are sent as a transaction-mode pooler needs it.
    #[must_use]
    pub fn is_behind_pooler(&self) -> bool {
        self.pool().is_behind_pooler()
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool().close().await;
    }
}
