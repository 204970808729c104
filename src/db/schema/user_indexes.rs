//! The indexes that make finding users fast. `users` is the shop's table: they are made outside of the migrations, where the
//! table is large without a lock against writing, and everything works without them, looking at fewer users.

use std::time::Duration;

use sqlx::{Executor as _, PgConnection, Row as _};

use crate::db::{Db, DbError, DbResult, Session};

/// A table of this many bytes (some 100,000 users) is indexed in less than a second, under a lock.
const SMALL_TABLE: i64 = 16 << 20;
/// Longest wait for a lock on a small table: other sessions queue behind us meanwhile.
const LOCK_WITHIN: Duration = Duration::from_secs(2);

/// An index on `users`: its name, and what follows `ON users`. `souk_find_users` and `souk_support_user` know the names.
struct UserIndex {
    name: &'static str,
    definition: &'static str,
    /// Of the extension pg_trgm, which the index needs.
    needs_trigrams: bool,
}

const INDEXES: [UserIndex; 3] = [
    UserIndex {
        name: "souk_users_staff",
        definition: "(created_at, id) WHERE role IN ('admin', 'manager') AND status = 'active'",
        needs_trigrams: false,
    },
    UserIndex {
        name: "souk_users_by_name",
        definition: r#"(role, (lower(COALESCE(display_name, email)) COLLATE "C"), id) WHERE status = 'active'"#,
        needs_trigrams: false,
    },
    UserIndex {
        name: "souk_users_by_text",
        definition: r"USING gin ((lower(email) || E'\n' || lower(COALESCE(display_name, ''))) {opclass})",
        needs_trigrams: true,
    },
];

/// The missing indexes, and what this role may do.
struct State {
    missing: Vec<String>,
    is_small: bool,
    is_owner: bool,
}

/// The same before any migration ran: uses no function of ours.
const REPORT: &str = "
    SELECT ARRAY(SELECT n FROM unnest($1::text[]) WITH ORDINALITY AS w (n, ord)
                 WHERE NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indexrelid = to_regclass(n) AND i.indisvalid)
                   AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = to_regclass(n))
                 ORDER BY ord),
           COALESCE((SELECT pg_relation_size(t.oid) < $2 FROM pg_class t WHERE t.oid = to_regclass('users')), true),
           COALESCE((SELECT pg_has_role(t.relowner, 'USAGE') FROM pg_class t WHERE t.oid = to_regclass('users')), true),
           EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'),
           EXISTS (SELECT 1 FROM pg_available_extension_versions v WHERE v.name = 'pg_trgm'
                     AND (v.trusted OR NOT v.superuser OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)))
             AND has_database_privilege(current_database(), 'CREATE')";

impl Db {
    /// One line for each index on `users`, and for the extension, that [`Db::make_user_indexes`] would make after the
    /// migrations, or would leave to others; empty when all are there.
    pub async fn user_index_report(&self) -> DbResult<Vec<String>> {
        let names: Vec<String> = INDEXES.iter().map(|i| i.name.to_owned()).collect();
        let (missing, is_small, is_owner, has_trigrams, may_have_trigrams): (Vec<String>, bool, bool, bool, bool) =
            sqlx::query_as(REPORT).bind(names).bind(SMALL_TABLE).fetch_one(&self.pool()).await?;
        let state = State { missing, is_small, is_owner };
        let may_build = self.may_build(&state);
        let mut lines = Vec::new();
        for index in INDEXES.iter().filter(|i| state.missing.iter().any(|name| name == i.name)) {
            if index.needs_trigrams && self.options.max_connections == 1 {
                continue;
            }
            let has_opclass = !index.needs_trigrams || has_trigrams || may_have_trigrams;
            if index.needs_trigrams && !has_trigrams {
                lines.push(if may_build && may_have_trigrams {
                    format!("would make extension pg_trgm, for {} (CREATE EXTENSION; locks no table)", index.name)
                } else {
                    format!(
                        "would not make extension pg_trgm, for {}: the role may not, or it is not there",
                        index.name
                    )
                });
            }
            let name = index.name;
            lines.push(match (may_build && has_opclass, state.is_small) {
                (true, true) => format!(
                    "would make index {name} on users (CREATE INDEX, under a SHARE lock: nobody writes to users for less \
                     than a second; the lock is waited for {} s at most)",
                    LOCK_WITHIN.as_secs()
                ),
                (true, false) => format!(
                    "would make index {name} on users (CREATE INDEX CONCURRENTLY, under a SHARE UPDATE EXCLUSIVE lock: \
                     nobody waits who reads or writes; by `souk migrate` alone, not by a start)"
                ),
                (false, _) => format!(
                    "would not make index {name} on users: left to whoever may run {}",
                    statement(index, "gin_trgm_ops", false)
                ),
            });
        }
        Ok(lines)
    }

    /// Whether this role and this pool can build them. A build without a lock takes a connection for its time, of which the
    /// others must have some left.
    fn may_build(&self, state: &State) -> bool {
        state.is_owner && (state.is_small || self.options.max_connections > 2)
    }

    /// Makes those of the indexes that are missing: at once where `users` is small, else only `even_if_large`, which takes
    /// some minutes for a million users and holds up nobody. What cannot be made is logged, with the statement for whoever may.
    pub async fn make_user_indexes(&self, even_if_large: bool) -> DbResult<()> {
        let state = self.user_index_state().await?;
        let may_build = self.may_build(&state);
        if state.missing.is_empty() || (may_build && !state.is_small && !even_if_large) {
            return Ok(());
        }
        for index in INDEXES.iter().filter(|i| state.missing.iter().any(|name| name == i.name)) {
            // The embedded database is as small as it is, and has only what it was built with.
            if index.needs_trigrams && self.options.max_connections == 1 {
                continue;
            }
            let outcome = if may_build { self.make_user_index(index, state.is_small).await } else { Ok(false) };
            let wanted = statement(index, "gin_trgm_ops", false);
            match outcome {
                Ok(true) => tracing::info!(index = index.name, "made an index on users"),
                Ok(false) => tracing::warn!(statement = wanted, "finding users would be faster with this index"),
                Err(e) => tracing::warn!(error = %e, statement = wanted, "an index on users could not be made"),
            }
        }
        Ok(())
    }

    async fn user_index_state(&self) -> DbResult<State> {
        let names: Vec<String> = INDEXES.iter().map(|i| i.name.to_owned()).collect();
        let row = sqlx::query!(
            r#"SELECT ARRAY(SELECT n FROM unnest($1::text[]) n WHERE NOT souk_index_is_ready(n)
                              AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = to_regclass(n))) AS "missing!",
                      pg_relation_size(t.oid) < $2 AS "is_small!", pg_has_role(t.relowner, 'USAGE') AS "is_owner!"
               FROM pg_class t WHERE t.oid = 'users'::regclass"#,
            &names,
            SMALL_TABLE
        )
        .fetch_one(&self.pool())
        .await?;
        Ok(State { missing: row.missing, is_small: row.is_small, is_owner: row.is_owner })
    }

    /// Makes one; false where it needs an extension that cannot be had.
    async fn make_user_index(&self, index: &UserIndex, is_small: bool) -> DbResult<bool> {
        let mut lease = self.pool().acquire().await?;
        let opclass = if index.needs_trigrams { trigram_opclass(&mut lease).await? } else { Some(String::new()) };
        let Some(opclass) = opclass else { return Ok(false) };
        let made = if is_small {
            self.make_locked(&mut lease, index, &opclass).await
        } else if self.pool().is_behind_pooler() {
            // In one step outside of a transaction, which is a transaction to the pooler; its sessions have none of our limits.
            make(lease.connection(), index, &opclass, false).await
        } else {
            let limits = "SELECT set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false)";
            let before: (String, String) =
                sqlx::query_as("SELECT current_setting('statement_timeout'), current_setting('lock_timeout')")
                    .fetch_one(&mut *lease)
                    .await?;
            sqlx::query(limits).bind("0").bind("0").execute(&mut *lease).await?;
            let made = make(lease.connection(), index, &opclass, false).await;
            sqlx::query(limits).bind(before.0).bind(before.1).execute(&mut *lease).await?;
            made
        };
        lease.done();
        made.map(|()| true)
    }

    /// In a transaction, under a lock that is not waited for long.
    async fn make_locked(&self, session: &mut Session<'_>, index: &UserIndex, opclass: &str) -> DbResult<()> {
        let mut tx = session.begin().await?;
        sqlx::query("SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', $1, true)")
            .bind(format!("{}ms", LOCK_WITHIN.as_millis()))
            .execute(&mut *tx)
            .await?;
        make(tx.connection(), index, opclass, true).await?;
        Ok(tx.commit().await?)
    }
}

async fn make(connection: &mut PgConnection, index: &UserIndex, opclass: &str, is_small: bool) -> DbResult<()> {
    // One whose building was broken off is there, and of no use.
    // Without parameters, so that it is one step behind a pooler too.
    let look = format!("SELECT to_regclass('{}') IS NOT NULL", index.name);
    if connection.fetch_one(sqlx::AssertSqlSafe(look)).await?.try_get(0)? {
        let drop = format!("DROP INDEX {}IF EXISTS {}", if is_small { "" } else { "CONCURRENTLY " }, index.name);
        connection.execute(sqlx::AssertSqlSafe(drop)).await?;
    }
    connection.execute(sqlx::AssertSqlSafe(statement(index, opclass, is_small))).await?;
    Ok(())
}

fn statement(index: &UserIndex, opclass: &str, is_small: bool) -> String {
    let how = if is_small { "" } else { "CONCURRENTLY " };
    format!(
        "CREATE INDEX {how}IF NOT EXISTS {} ON users {}",
        index.name,
        index.definition.replace("{opclass}", opclass)
    )
}

/// The operator class for trigrams, by its full name; made where the role may. It is a trusted extension since Postgres 13.
async fn trigram_opclass(connection: &mut Session<'_>) -> DbResult<Option<String>> {
    const FIND: &str = "SELECT format('%I.gin_trgm_ops', n.nspname) FROM pg_extension e
                        JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm'";
    if let Some(found) = sqlx::query_scalar(FIND).fetch_optional(&mut *connection).await? {
        return Ok(Some(found));
    }
    if let Err(e) = connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm").await {
        let e = DbError::from(e);
        if !e.is_statement_fault() {
            return Err(e);
        }
        tracing::info!(error = %e, "without the extension pg_trgm searches look at fewer users");
    }
    Ok(sqlx::query_scalar(FIND).fetch_optional(connection).await?)
}
