//! Values that are computed from the settings.

use std::time::Duration;

use super::{
    origin::normal_origin,
    settings::{Config, Pooler},
};

/// The time limits that Postgres applies to the server's sessions, so that Postgres ends a statement before the server gives
/// it up.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// `statement_timeout`.
    pub statement: Duration,
    /// `lock_timeout`.
    pub lock: Duration,
    /// `idle_in_transaction_session_timeout`.
    pub idle_in_transaction: Duration,
}

impl Config {
    /// True on the shop's live site (`NODE_ENV=production`).
    pub fn is_production(&self) -> bool {
        self.environment == "production"
    }

    /// `FRONTEND_URL` as it is written, without slashes at the end.
    pub(super) fn frontend_origins(&self) -> impl Iterator<Item = &str> {
        self.frontend_url.iter().map(|origin| origin.trim().trim_end_matches('/')).filter(|origin| !origin.is_empty())
    }

    /// The allowed origins of browsers and apps (contract §Connecting), as [`normal_origin`] spells them.
    pub fn allowed_origins(&self) -> Vec<String> {
        let mut origins: Vec<String> = self.frontend_origins().filter_map(normal_origin).collect();
        if !self.is_production() {
            origins.extend([3000, 3001, 4173, 5173].map(|port| format!("http://localhost:{port}")));
        }
        origins
    }

    /// The pooler between this server and its database. A statement cache of 0 means a transaction-mode pooler, too.
    pub fn pooler(&self) -> Pooler {
        if self.database_statement_cache == 0 { Pooler::Transaction } else { self.database_pooler }
    }

    /// The number of `connections` that may work for one user at a time.
    pub fn connections_per_user(&self, connections: u32) -> u32 {
        match self.database_max_connections_per_user {
            0 => (connections / 4).max(1),
            n => n.min(connections),
        }
    }

    /// True if a start makes the missing indexes on `users`; with `AUTO_MIGRATE=false` only `souk migrate` does.
    pub fn makes_user_indexes(&self) -> bool {
        self.user_indexes && self.auto_migrate
    }

    /// The time that a statement may take, may wait for a lock, and may leave its transaction idle, by the database server's
    /// clock. None for the embedded database.
    pub fn session_limits(&self) -> Option<SessionLimits> {
        self.database_url.is_some().then(|| SessionLimits {
            statement: Duration::from_millis(self.database_statement_timeout_ms),
            lock: Duration::from_millis(self.database_lock_timeout_ms),
            idle_in_transaction: Duration::from_millis(self.database_idle_transaction_timeout_ms),
        })
    }
}
