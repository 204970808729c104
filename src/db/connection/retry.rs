//! Trying a statement or a transaction again while another session is in its way, and which errors mean that.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use sqlx::Error;

/// A statement is retried for this long while another session is in its way, after pauses that grow. In between it holds no
/// connection: a statement that waits for a lock leaves the connections to the others.
const TRY_FOR: Duration = Duration::from_secs(4);
const TRY_AGAIN: Duration = Duration::from_millis(20);
const TRY_AGAIN_AT_MOST: Duration = Duration::from_millis(250);

/// The attempts at a statement or a transaction that another session is in the way of.
pub(in crate::db) struct Attempts {
    started: Instant,
    pause: Duration,
}

impl Attempts {
    pub(in crate::db) fn start() -> Self {
        Self { started: Instant::now(), pause: TRY_AGAIN }
    }

    /// True if it should be tried again after this error; waits for a while first. Give the connection back before.
    pub(in crate::db) async fn go_on_after(&mut self, error: &Error) -> bool {
        if !is_in_the_way(error) || self.started.elapsed() >= TRY_FOR {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(TRY_AGAIN_AT_MOST);
        true
    }
}

/// `read_only_sql_transaction`: a standby, or a primary that was made read-only.
pub(super) const READ_ONLY: &str = "25006";

pub(super) fn code_of(error: &Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)
}

/// True if the connection is gone. Class 57P: the server shuts down, or ended the session.
pub(in crate::db) fn is_loss(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) => true,
        Error::Database(_) => code_of(error).is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

/// True if the statement did nothing because of another session: a lock not had in time (55P03), a
/// deadlock (40P01), a serialization failure or a standby's replay (40001), a failover (25006).
pub(in crate::db) fn is_in_the_way(error: &Error) -> bool {
    code_of(error).is_some_and(|code| matches!(code.as_ref(), "55P03" | "40P01" | "40001" | READ_ONLY))
}
