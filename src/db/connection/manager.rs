//! The options of the pool's sessions, how one is made, and when one is pinged before it is used.

use std::{sync::Arc, time::Duration};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use sqlx::{Connection as _, Error, postgres::PgConnectOptions};

use super::backend::{Backend, Health};
use crate::config::SessionLimits;

/// A connection that was idle for this long is pinged before it is used.
const PING_AFTER: Duration = Duration::from_secs(1);
/// One that says nothing for this long does not.
const PING_WITHIN: Duration = Duration::from_secs(1);
/// Longest life of a connection: its memory in the database grows, and a pooler may move.
const LIFETIME: Duration = Duration::from_mins(30);

#[derive(Clone, Debug)]
pub struct PoolOptions {
    pub connect: PgConnectOptions,
    /// How many at most.
    pub max_connections: u32,
    pub acquire_timeout: Duration,
    /// True if sessions keep prepared statements and settings of their own. Behind a transaction-mode pooler they do not
    /// (`session.rs`).
    pub keeps_statements: bool,
    /// The limits of each session, or behind a pooler of each transaction; none with the embedded database, where nobody
    /// is in the way.
    pub limits: Option<SessionLimits>,
}

/// Makes the pool's sessions, and looks at one before it is given out again.
pub(super) struct Manager {
    pub(super) options: PoolOptions,
    pub(super) health: Arc<Health>,
}

impl managed::Manager for Manager {
    type Type = Backend;
    type Error = Error;

    async fn create(&self) -> Result<Backend, Error> {
        let PoolOptions { connect, limits, .. } = &self.options;
        // Boxed, as the ping is, so that the rare path does not enlarge every statement's future.
        Box::pin(self.health.open(connect, *limits)).await
    }

    async fn recycle(&self, backend: &mut Backend, metrics: &Metrics) -> RecycleResult<Error> {
        if self.health.is_stale(backend) {
            return Err(RecycleError::message("stale"));
        }
        if self.health.is_behind_pooler() && backend.connection.get_mut().cached_statements_size() > 0 {
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
            match Box::pin(tokio::time::timeout(PING_WITHIN, backend.connection.get_mut().ping())).await {
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
