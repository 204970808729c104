//! What a migration would do, without doing it: reads, in one read-only transaction.

use sqlx::AssertSqlSafe;

use super::migrate::{MIGRATIONS, applied, without_limits};
use crate::db::{Db, DbResult, Session};

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
             SELECT count(*) AS n FROM conversations
             GROUP BY type, related_entity_id, (SELECT array_agg(p ORDER BY p) FROM jsonb_array_elements_text(
                 CASE WHEN jsonb_typeof(participant_ids) = 'array' THEN participant_ids ELSE '[]' END) AS p)
             HAVING count(*) > 1) d",
    ),
    ("deleted messages, for one user or for everyone", "SELECT count(*) FROM messages WHERE is_deleted"),
];

/// Views of the shop's own over the tables whose columns change type, which Postgres does not allow under a view.
const FOREIGN_VIEWS: &str = "
    SELECT DISTINCT r.ev_class::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid IN (SELECT to_regclass(t) FROM unnest(ARRAY['conversations', 'messages', 'message_reactions',
                             'message_edits', 'typing_indicators', 'user_online_status']) AS t)
      AND r.ev_class::regclass::text NOT IN ('conversation_participants', 'unread_message_counts',
                                             'message_reaction_counts', 'messages_with_reactions')
    ORDER BY 1";

impl Db {
    /// One line for each thing that [`Db::migrate`] would do; empty when there is nothing to do.
    ///
    /// # Errors
    /// [`crate::db::DbError`].
    pub async fn migration_report(&self) -> DbResult<Vec<String>> {
        let mut connection = self.pool().acquire().await?;
        let mut tx = connection.begin().await?;
        sqlx::query("SET TRANSACTION READ ONLY").execute(&mut *tx).await?;
        without_limits(&mut tx).await?;
        let applied = applied(&mut tx).await?;
        let mut lines = Vec::new();
        for m in MIGRATIONS.iter() {
            match applied.get(&m.version) {
                None => lines.push(format!("would apply {:04} {}", m.version, m.description)),
                Some(checksum) if checksum.as_slice() != &*m.checksum => {
                    lines.push(format!("would not start: {:04} was applied with other content", m.version));
                }
                Some(_) => {}
            }
        }
        let is_legacy =
            applied.is_empty() && exists(&mut tx, "conversations").await? && exists(&mut tx, "messages").await?;
        if is_legacy {
            lines.push("this is the Node server's database; it would be adopted:".into());
            for (what, count) in COUNTS {
                let n: i64 = sqlx::query_scalar(AssertSqlSafe(*count)).fetch_one(&mut *tx).await?;
                lines.push(format!("{n:>12} {what}"));
            }
            let views: Vec<String> = sqlx::query_scalar(FOREIGN_VIEWS).fetch_all(&mut *tx).await?;
            for view in views {
                lines.push(format!(
                    "in the way: view {view} reads the chat's tables; drop it before and make it again after"
                ));
            }
        }
        tx.rollback().await?;
        connection.done();
        Ok(lines)
    }
}

async fn exists(conn: &mut Session<'_>, table: &str) -> DbResult<bool> {
    let found: Option<String> = sqlx::query_scalar("SELECT to_regclass($1)::text").bind(table).fetch_one(conn).await?;
    Ok(found.is_some())
}
