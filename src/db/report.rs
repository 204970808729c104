//! What a migration would do, without doing it: reads, in one read-only transaction.

use sqlx::{AssertSqlSafe, PgConnection};

use super::{Db, DbResult, MIGRATIONS};

/// What is counted in a database that is still the Node server's. Each statement reads only columns that every
/// installation has.
const COUNTS: &[(&str, &str)] = &[
    ("conversations", "SELECT count(*) FROM conversations"),
    ("messages, to be numbered within their conversations", "SELECT count(*) FROM messages"),
    (
        "memberships, from participant_ids",
        "SELECT count(DISTINCT (c.id, lower(p.id))) FROM conversations c, jsonb_array_elements_text(
             CASE WHEN jsonb_typeof(c.participant_ids) = 'array' THEN c.participant_ids ELSE '[]' END) AS p (id)",
    ),
    (
        "participants whose user is gone; kept",
        "SELECT count(DISTINCT lower(p.id)) FROM conversations c, jsonb_array_elements_text(
             CASE WHEN jsonb_typeof(c.participant_ids) = 'array' THEN c.participant_ids ELSE '[]' END) AS p (id)
         WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id::text = lower(p.id))",
    ),
    (
        "conversations that duplicate another; kept",
        "SELECT COALESCE(sum(n - 1), 0)::bigint FROM (
             SELECT count(*) AS n FROM conversations GROUP BY type, participant_ids, related_entity_id HAVING count(*) > 1) d",
    ),
    ("deletions for everyone", "SELECT count(*) FROM messages WHERE is_deleted"),
];

impl Db {
    /// One line for each thing that [`Db::migrate`] would do; empty when there is nothing to do.
    ///
    /// # Errors
    /// [`super::DbError`].
    pub async fn migration_report(&self) -> DbResult<Vec<String>> {
        let mut tx = self.pool().begin().await?;
        sqlx::query("SET TRANSACTION READ ONLY").execute(&mut *tx).await?;
        let applied = applied_versions(&mut tx).await?;
        let pending: Vec<_> = MIGRATIONS.iter().filter(|m| !applied.contains(&m.version)).collect();
        let mut lines: Vec<String> =
            pending.iter().map(|m| format!("would apply {:04} {}", m.version, m.description)).collect();
        let is_legacy =
            applied.is_empty() && exists(&mut tx, "conversations").await? && exists(&mut tx, "messages").await?;
        if is_legacy {
            lines.push("this is the Node server's database; it would be adopted:".into());
            for (what, count) in COUNTS {
                let n: i64 = sqlx::query_scalar(AssertSqlSafe(*count)).fetch_one(&mut *tx).await?;
                lines.push(format!("{n:>12} {what}"));
            }
        }
        tx.rollback().await?;
        Ok(lines)
    }
}

async fn exists(conn: &mut PgConnection, table: &str) -> DbResult<bool> {
    let found: Option<String> = sqlx::query_scalar("SELECT to_regclass($1)::text").bind(table).fetch_one(conn).await?;
    Ok(found.is_some())
}

async fn applied_versions(conn: &mut PgConnection) -> DbResult<Vec<i64>> {
    if !exists(conn, "_sqlx_migrations").await? {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar("SELECT version FROM _sqlx_migrations").fetch_all(conn).await?)
}
