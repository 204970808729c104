//! A transaction that gives way to others.

use super::retry::Attempts;
use crate::db::{DbError, DbResult};

/// Runs a transaction, and runs it again while another session is in its way. In between it holds no connection.
pub(in crate::db) async fn again_while_in_the_way<T, F: Future<Output = DbResult<T>>>(
    transaction: impl Fn() -> F,
) -> DbResult<T> {
    let mut attempts = Attempts::start();
    loop {
        match transaction().await {
            Err(DbError::Sqlx(e)) if attempts.go_on_after(&e).await => {}
            outcome => return outcome,
        }
    }
}
