//! [`Db`], the handle on the database that every caller has, and how it connects.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions};
use tokio::sync::Semaphore;

use super::{
    DbResult, Pool, PoolOptions,
    connection::{pooler, time_limit::in_time},
    messages::clock::DatabaseClock,
};
use crate::{
    clock::Clock,
    config::{Config, Pooler},
    limits::Shares,
};

/// One of this many connections may serve long reads.
const LONG_READS_SHARE: usize = 5;

#[derive(Clone)]
pub struct Db {
    pool: Pool,
    pub(super) options: PoolOptions,
    /// Longest wait for the database at the start.
    pub(super) start_timeout: Duration,
    pub(super) long_reads: Arc<Semaphore>,
    pub(super) clock: Arc<DatabaseClock>,
}

impl Db {
    /// Connects to `url` with at most `max_connections`, waiting for the database to come up for
    /// `DATABASE_START_TIMEOUT` seconds.
    /// Fails with [`DbError`](super::DbError) of the last attempt.
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
            acquire_timeout: Duration::from_millis(config.database_acquire_timeout_ms),
            keeps_statements: !behind_pooler,
            limits: config.session_limits(),
        };
        let long_reads = Arc::new(Semaphore::new((max_connections as usize / LONG_READS_SHARE).max(1)));
        let shares = Shares::new(config.connections_per_user(max_connections) as usize);
        let pool = Pool::new(options.clone()).with_shares(shares);
        let clock = Arc::new(DatabaseClock::like(Clock::system()));
        Ok(Self { pool, options, start_timeout, long_reads, clock })
    }

    /// The same database for a server that goes by `clock`.
    pub fn by_clock(self, clock: Clock) -> Self {
        Self { clock: Arc::new(DatabaseClock::like(clock)), ..self }
    }

    /// How many large reads (pages of messages) may be under way at a time: two fifths of the connections. With more of them each
    /// takes longer, and sends wait behind them (docs/PERFORMANCE.md).
    pub fn reads_at_once(&self) -> usize {
        (self.options.max_connections as usize * 2 / 5).max(1)
    }

    pub fn pool(&self) -> Pool {
        self.pool.clone()
    }

    pub async fn close(&self) {
        self.pool().close().await;
    }
}
