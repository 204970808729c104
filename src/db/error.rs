//! A failure of the database: which errors mean what, and what a client is told of them.

use sqlx::migrate::MigrateError;

use super::connection::retry::{is_in_the_way, is_loss};
use crate::error::Error;

pub type DbResult<T> = Result<T, DbError>;

#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// An error of sqlx. Logged, never sent to a client.
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
    /// No connection could be had: nothing was sent.
    #[error("no connection: {0}")]
    NoConnection(#[source] sqlx::Error),
    /// A migration failed; its transaction was rolled back.
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The database has a migration that this server does not have, or has with other content. Nothing was changed.
    #[error(
        "the schema has migration {0:04}, which this server does not know: it is another version's database \
         (one of a development version from before the first release is made anew)"
    )]
    OtherSchema(i64),
    /// No answer in time: the connection is dead, or the database is frozen. Whether the statement took effect is unknown.
    #[error("no answer from the database in time")]
    Timeout,
    /// The statement reached the database after its time, and did nothing.
    #[error("the statement came too late to the database")]
    TooLate,
    #[error("embedded database: {0}")]
    Embedded(String),
}

impl DbError {
    /// True if the statement itself was at fault: another attempt, or its rows one by one, may tell which row.
    /// Anything else is the connection's fault, and whether the statement took effect is unknown.
    pub fn is_statement_fault(&self) -> bool {
        // Class 57 is the server shutting down or cancelling; class 53 is lack of resources such as disk; class 25 is a
        // server that is read-only for a while, or a session it ended in mid-transaction.
        let is_others = |c: &str| ["08", "25", "53", "57"].iter().any(|class| c.starts_with(class));
        matches!(self, Self::Sqlx(sqlx::Error::Database(e)) if !self.is_locked() && !e.code().is_some_and(|c| is_others(&c)))
    }

    /// True if another session held a lock that the statement needs for longer than it waits (`DATABASE_LOCK_TIMEOUT_MS`).
    /// It did nothing.
    pub fn is_locked(&self) -> bool {
        self.has_code(&["55P03"])
    }

    /// True if the server ended the statement after its time (`DATABASE_STATEMENT_TIMEOUT_MS`), or was told to. It did
    /// nothing.
    pub fn is_given_up(&self) -> bool {
        self.has_code(&["57014"])
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        let (Self::Sqlx(e) | Self::Migrate(MigrateError::ExecuteMigration(e, _))) = self else { return false };
        e.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|c| codes.contains(&&*c))
    }

    /// True if it is unknown whether the statement took effect.
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Sqlx(e) => {
                !matches!(e, sqlx::Error::Database(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
            }
            Self::Timeout => true,
            Self::NoConnection(_) | Self::TooLate | Self::Migrate(_) | Self::OtherSchema(_) | Self::Embedded(_) => {
                false
            }
        }
    }

    /// True if no connection was free in time, or the pool is closed: the database was not asked.
    pub fn is_exhausted(&self) -> bool {
        use sqlx::Error::{PoolClosed, PoolTimedOut};
        matches!(self, Self::Sqlx(PoolTimedOut | PoolClosed) | Self::NoConnection(PoolTimedOut | PoolClosed))
    }

    /// True if another transaction interfered: a unique key taken meanwhile, a deadlock, a serialization failure.
    /// Trying again settles it.
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
