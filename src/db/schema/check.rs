//! The report of `souk migrate --check`: reads what a migration would do, in one read-only transaction that locks nothing.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    migrate::{MIGRATIONS, applied, unknown, without_limits},
    objects::{Kind, Name, found, is_shops, tables, wanted},
};
use crate::db::{Db, DbError, DbResult, Session};

/// Counts for a database that is still the Node server's. Each statement reads only columns that every
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

/// Migrations hold their locks until the transaction ends.
const TO_THE_END: &str = "until all migrations are done";

impl Db {
    /// One line for each thing that [`Db::migrate`] would do; empty when there is nothing to do.
    pub async fn migration_report(&self) -> DbResult<Vec<String>> {
        let mut connection = self.pool().acquire().await?;
        let mut tx = connection.begin().await?;
        sqlx::query("SET TRANSACTION READ ONLY").execute(&mut *tx).await?;
        without_limits(&mut tx).await?;
        let applied = applied(&mut tx).await?;
        if let Some(version) = unknown(&applied) {
            return Ok(vec![format!("would do nothing: {}", DbError::OtherSchema(version))]);
        }
        let is_pending = |version: i64| !applied.contains_key(&version);
        let pending = || MIGRATIONS.iter().filter(|m| is_pending(m.version));
        let mut lines: Vec<String> =
            pending().map(|m| format!("would apply {:04} {}", m.version, m.description)).collect();
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
        if pending().next().is_some() {
            let dropped = drops(&mut tx, &is_pending, &mut lines).await?;
            changes(&mut tx, &dropped, &mut lines).await?;
        }
        tx.rollback().await?;
        connection.done();
        Ok(lines)
    }
}

/// The queries by which a migration finds what it drops, marked in its text: the check runs the very same.
fn query_of(what: &str) -> Option<(i64, String)> {
    let begin = format!("-- `souk migrate --check` runs this query too: {what}\n");
    MIGRATIONS.iter().find_map(|m| {
        let query = m.sql.as_str().split_once(&begin)?.1.split_once("-- end\n")?.0;
        Some((m.version, query.to_owned()))
    })
}

/// Lists what would be dropped, and what would be dropped and made again; returns the objects among these.
async fn drops(
    session: &mut Session<'_>,
    is_pending: &impl Fn(i64) -> bool,
    lines: &mut Vec<String>,
) -> DbResult<BTreeSet<Name>> {
    const LISTS: &[(&str, &str)] = &[
        ("dropped functions", "SELECT 'function', replace(name::text, ',', ', '), NULL, true FROM (#) q"),
        ("triggers", "SELECT 'trigger', rel || '.' || tgname, rel::text, true FROM (#) q WHERE is_nodes"),
        (
            // A function goes with the last trigger that runs it.
            "triggers",
            "SELECT 'function', function::text, NULL, true FROM (#) q WHERE is_nodes GROUP BY function
             HAVING count(*) = (SELECT count(*) FROM pg_trigger WHERE tgfoid = function)",
        ),
        ("indexes", "SELECT 'index', name::text, rel::text, for_good FROM (#) q"),
        ("foreign keys", "SELECT 'foreign key', rel || '.' || conname, rel || ' and users', true FROM (#) q"),
    ];
    let mut dropped = BTreeSet::new();
    for (what, list) in LISTS {
        let Some((_, query)) = query_of(what).filter(|(version, _)| is_pending(*version)) else { continue };
        let rows = sqlx::query(AssertSqlSafe(list.replace('#', &query))).fetch_all(&mut *session).await?;
        for row in rows {
            let (kind, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let (table, for_good): (Option<String>, bool) = (row.try_get(2)?, row.try_get(3)?);
            let again = if for_good { "" } else { " and make again" };
            let lock = table.map_or_else(
                || "locks no table".to_owned(),
                |table| format!("ACCESS EXCLUSIVE on {table}, {TO_THE_END}"),
            );
            lines.push(format!("would drop{again} {kind} {name} ({lock})"));
            dropped.extend(Kind::parse(&kind).map(|kind| (kind, name)));
        }
    }
    Ok(dropped)
}

/// Lists what would be changed and made: what is there beside what the migrations end with.
async fn changes(session: &mut Session<'_>, dropped: &BTreeSet<Name>, lines: &mut Vec<String>) -> DbResult<()> {
    let (wanted, found) = (wanted(), found(session).await?);
    let here = tables(&found);
    let mut made = Vec::new();
    for (name, object) in &wanted {
        let (kind, word) = (name.0, format!("{} {}", name.0.word(), name.1));
        let table = object.table.as_deref().or((kind == Kind::Table).then_some(name.1.as_str()));
        let lock = match table.filter(|table| here.contains(table)) {
            Some(table) => format!("ACCESS EXCLUSIVE on {table}, {TO_THE_END}"),
            None => "locks nothing that is there".to_owned(),
        };
        // The columns of a table that is made come with it.
        let is_part = kind == Kind::Column && !object.table.as_deref().is_some_and(|table| here.contains(table));
        match found.get(name).filter(|_| !dropped.contains(name)) {
            None if is_part || is_shops(name, object) && kind != Kind::Table => {}
            None => made.push(format!("would make {word} ({lock})")),
            Some(_) if is_shops(name, object) => {}
            Some(_) if kind == Kind::View => {
                lines.push(format!("would drop and make again {word} (ACCESS EXCLUSIVE on it)"));
            }
            Some(_) if kind == Kind::Function => lines.push(format!("would replace {word} (locks no table)")),
            Some(old) if old.definition != object.definition => {
                let said = |text: &str| if text.is_empty() { "logged".to_owned() } else { text.to_owned() };
                let (old, new) = (said(&old.definition), said(&object.definition));
                lines.push(format!("would change {word} from {old} to {new} ({lock})"));
            }
            Some(_) => {}
        }
    }
    lines.append(&mut made);
    Ok(())
}

async fn exists(conn: &mut Session<'_>, table: &str) -> DbResult<bool> {
    let found: Option<String> = sqlx::query_scalar("SELECT to_regclass($1)::text").bind(table).fetch_one(conn).await?;
    Ok(found.is_some())
}
