//! Asks the database whether it does what a chat needs, and what time it is.

use chrono::{DateTime, Utc};

use super::{Db, DbError, DbResult};

impl Db {
    /// The database's time.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn now(&self) -> DbResult<DateTime<Utc>> {
        Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&self.pool()).await?)
    }

    /// Whether statements are answered.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn probe_read(&self) -> DbResult<()> {
        sqlx::query_scalar!(r#"SELECT 1 AS "one!""#).fetch_one(&self.pool()).await.map_err(DbError::from)?;
        Ok(())
    }

    /// Whether something can be written: the heartbeat of `server`. Where others took it for dead it stays unknown, as
    /// whoever registers it again must know of it. `false` is where the server refuses, as one that is read-only after a
    /// failover, or has no space.
    ///
    /// # Errors
    /// [`DbError`] where no answer came.
    pub async fn probe_write(&self, server: &str) -> DbResult<bool> {
        // Not tried again: that is what is asked.
        let mut lease = self.pool().acquire().await?;
        let done = sqlx::query!("UPDATE chat_servers SET heartbeat_at = now() WHERE name = $1", server)
            .execute(&mut *lease)
            .await;
        match lease.done_if_ok(done) {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(e)) => {
                tracing::warn!(error = %e, "the database takes no writes");
                Ok(false)
            }
            Err(e) => Err(e.into()),
        }
    }
}
