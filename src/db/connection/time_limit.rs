//! The time limit of statements that have no other.

use std::time::Duration;

use crate::db::{DbError, DbResult};

/// Longest that a statement off the callers' paths may take. A line that died silently would otherwise hold its
/// query for as long as the kernel tries, a quarter of an hour.
pub(in crate::db) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Waits for a statement that has no other time limit.
/// Fails with [`DbError::Timeout`], or the statement's own error.
pub async fn in_time<T>(statement: impl Future<Output = DbResult<T>>) -> DbResult<T> {
    tokio::time::timeout(ANSWER_WITHIN, statement).await.unwrap_or(Err(DbError::Timeout))
}
