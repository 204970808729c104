//! Asks the database whether it does what a chat needs, and what time it is.

use chrono::{DateTime, Utc};

use super::{Db, DbResult, Lease, in_time};

impl Db {
    /// The time by the database's clock, as far as it is known: to a second or so.
    pub fn time(&self) -> DateTime<Utc> {
        self.clock.time()
    }

    /// Asks the database for the time, before anything that is stored tells it.
    pub async fn hear_clock(&self) -> DbResult<()> {
        let sent_at = self.clock.here.now();
        let clock = in_time(self.now()).await?;
        // Between question and answer: nothing says that it is another than ours.
        if !(sent_at..=self.clock.here.now()).contains(&clock) {
            self.clock.heard(sent_at, clock);
        }
        Ok(())
    }

    pub async fn now(&self) -> DbResult<DateTime<Utc>> {
        Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&self.pool()).await?)
    }

    /// A connection for [`Self::probe`], once one is free.
    pub async fn connection(&self) -> DbResult<Lease> {
        Ok(self.pool().acquire().await?)
    }

    /// Asks on this connection whether statements are answered, and something can be written: the heartbeat of `server`. Where
    /// others took it for dead it stays unknown, as whoever registers it again must know of it. `false` is where the server
    /// refuses to write, as one that is read-only after a failover, or has no space.
    /// Fails with [`super::DbError`] where no answer came.
    pub async fn probe(&self, mut lease: Lease, server: &str) -> DbResult<bool> {
        // Not tried again: that is what is asked.
        if let Err(e) = sqlx::query_scalar!(r#"SELECT 1 AS "one!""#).fetch_one(&mut *lease).await {
            return Ok(lease.done_if_ok(Err(e))?);
        }
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
