//! Bringing the schema up to date.

use std::{collections::BTreeMap, time::Duration};

use sqlx::postgres::types::Oid;

use crate::db::{Db, DbError, DbResult, Lease, Session};

pub(super) static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");
/// Any number will do, as long as every server of ours takes the same.
const MIGRATION_LOCK: i64 = 0x736f_756b;
/// Number of retries, and the pause before each, of migrations that gave way to another session.
const MIGRATION_TRIES: u32 = 20;
const MIGRATION_PAUSE: Duration = Duration::from_secs(3);

/// The database's schema beside the one that this server was built for.
#[derive(Debug, PartialEq, Eq)]
pub enum SchemaState {
    Current,
    Old(Vec<i64>),
    /// The database has this migration, and this server does not know it or has it with other content.
    Other(i64),
}

impl Db {
    /// Brings the schema up to date: all pending migrations in one transaction, under a lock that
    /// a transaction-mode pooler keeps too. Returns how many were applied. Begins again where a migration gave way to
    /// somebody who holds the shop's `users`, rather than stand in everybody's way.
    /// Fails with [`crate::db::DbError`]; the database is then as it was.
    pub async fn migrate(&self) -> DbResult<usize> {
        let mut tries = 0;
        loop {
            match self.try_to_migrate().await {
                Err(e) if e.is_locked() && tries < MIGRATION_TRIES => {
                    tries += 1;
                    tracing::warn!(error = %e, "somebody holds a lock on what a migration needs, beginning it again");
                    tokio::time::sleep(MIGRATION_PAUSE).await;
                }
                done => return done,
            }
        }
    }

    /// Compares the migrations that the database has with those of this server, and changes nothing. Needs only the right
    /// to read `_sqlx_migrations`.
    pub async fn schema_state(&self) -> DbResult<SchemaState> {
        let mut connection = self.first_connection().await?;
        let applied = applied(&mut connection).await?;
        connection.done();
        let missing: Vec<i64> = MIGRATIONS.iter().map(|m| m.version).filter(|v| !applied.contains_key(v)).collect();
        Ok(match unknown(&applied) {
            Some(version) => SchemaState::Other(version),
            None if missing.is_empty() => SchemaState::Current,
            None => SchemaState::Old(missing),
        })
    }

    async fn try_to_migrate(&self) -> DbResult<usize> {
        let mut connection = self.first_connection().await?;
        let mut tx = connection.begin().await?;
        without_limits(&mut tx).await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut *tx).await?;
        let before = applied(&mut tx).await?;
        if let Some(version) = unknown(&before) {
            return Err(DbError::OtherSchema(version));
        }
        let before = before.len();
        let known: Vec<Oid> = sqlx::query_scalar("SELECT oid FROM pg_class").fetch_all(&mut *tx).await?;
        let mut migrator = sqlx::migrate::Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
        migrator.set_locking(false);
        // The migrator names its statements. Behind a pooler the backend may know such names already, and is somebody
        // else's afterwards.
        tx.forget_statements().await?;
        migrator.run_direct(None, tx.connection(), false).await?;
        tx.forget_statements().await?;
        let after = applied(&mut tx).await?.len();
        if after > before {
            // Migration 0009 has it, and says why.
            sqlx::query("SELECT souk_close_new_tables($1)").bind(known).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        connection.done();
        Ok(after - before)
    }

    /// At the start a database that is slow to take a connection is waited for as one that is not there.
    async fn first_connection(&self) -> DbResult<Lease> {
        Ok(self.pool().waiting_for(self.start_timeout).acquire().await?)
    }
}

/// Adoption of a large database takes minutes, and another server may wait for it: no timeout, ours or one that the role may
/// have, must cut off this transaction. It holds from the next statement on.
pub(super) async fn without_limits(transaction: &mut Session<'_>) -> DbResult<()> {
    sqlx::query(
        "SELECT set_config(name, '0', true)
         FROM unnest(ARRAY['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']) AS s (name)
         UNION ALL SELECT set_config('plan_cache_mode', 'auto', true)",
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// The first migration of the database that this server does not have, or has with other content.
pub(super) fn unknown(applied: &BTreeMap<i64, Vec<u8>>) -> Option<i64> {
    let is_ours =
        |version: i64, checksum: &[u8]| MIGRATIONS.iter().any(|m| m.version == version && *m.checksum == *checksum);
    applied.iter().find(|(version, checksum)| !is_ours(**version, checksum)).map(|(version, _)| *version)
}

/// The migrations that the database has: version and checksum.
pub(super) async fn applied(conn: &mut Session<'_>) -> DbResult<BTreeMap<i64, Vec<u8>>> {
    let table: Option<String> =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations')::text").fetch_one(&mut *conn).await?;
    if table.is_none() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations").fetch_all(conn).await?;
    Ok(rows.into_iter().collect())
}
