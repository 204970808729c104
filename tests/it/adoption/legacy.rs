//! Databases as the Node server left them, and what is in them.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
#[cfg(feature = "embedded")]
use souk::db::embedded::Embedded;
use souk::{
    config::Config,
    db::{Pool, PoolOptions},
};
use sqlx::AssertSqlSafe;

use crate::support::fresh_config;

const SCHEMA: &str = include_str!("../fixtures/legacy_schema.sql");
const DATA: &str = include_str!("../fixtures/legacy_data.sql");

/// Installations differ. Each of these is the newest one, changed.
pub const INSTALLATIONS: &[(&str, &str)] = &[
    ("the newest", ""),
    (
        "no preview, metadata null, notifications in plain text",
        "ALTER TABLE conversations DROP COLUMN last_message_text, ALTER COLUMN metadata DROP NOT NULL, ALTER COLUMN metadata DROP DEFAULT;
         UPDATE conversations SET metadata = NULL WHERE type = 'internal';
         ALTER TABLE notifications ALTER COLUMN priority DROP DEFAULT, ALTER COLUMN channels DROP DEFAULT;
         ALTER TABLE notifications ALTER COLUMN type TYPE varchar(50), ALTER COLUMN priority TYPE varchar(20), ALTER COLUMN channels TYPE text[] USING channels::text[];
         DROP TYPE notification_type, notification_priority, notification_channel;",
    ),
    (
        "before the later migration",
        "DROP FUNCTION edit_message, delete_message, add_message_reaction, remove_message_reaction, get_message_edit_history, get_message_details;
         DROP VIEW messages_with_reactions, message_reaction_counts;
         DROP TABLE message_edits, message_reactions;
         ALTER TABLE messages DROP COLUMN reply_to_message_id, DROP COLUMN deletion_type, DROP COLUMN deleted_by,
                              DROP COLUMN edit_count, DROP COLUMN last_edited_at;",
    ),
];

/// Tables of the shop, which nobody may touch, and of the chat.
pub const SHOP: [&str; 2] = ["users", "notifications"];
pub const CHAT: [&str; 6] =
    ["conversations", "messages", "message_reactions", "message_edits", "typing_indicators", "user_online_status"];

/// Every row of some tables, as JSON.
pub type Rows = BTreeMap<&'static str, Vec<Value>>;

/// A legacy database, and the configuration that opens it.
pub struct Legacy {
    pub config: Config,
    pub pool: Pool,
    #[cfg(feature = "embedded")]
    embedded: Option<Embedded>,
}

impl Legacy {
    /// The fixture, changed by `change`.
    pub async fn build(change: &str) -> Self {
        let config = fresh_config().await;
        #[cfg(feature = "embedded")]
        let embedded = match config.database_url {
            Some(_) => None,
            None => {
                std::fs::create_dir_all(&config.data_dir).unwrap();
                Some(Embedded::start(&config.data_dir).await.unwrap())
            }
        };
        let named = || config.database_url.as_ref().unwrap().expose().to_owned();
        #[cfg(feature = "embedded")]
        let url = embedded.as_ref().map_or_else(named, |e| e.url().to_owned());
        #[cfg(not(feature = "embedded"))]
        let url = named();
        let pool = Pool::new(PoolOptions {
            connect: url.parse().unwrap(),
            max_connections: 1,
            acquire_timeout: Duration::from_secs(30),
            keeps_statements: false,
            limits: None,
        });
        for sql in [SCHEMA, DATA, change] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        }
        Self {
            config,
            pool,
            #[cfg(feature = "embedded")]
            embedded,
        }
    }

    /// Lets go of the database, so that a server can have it.
    pub async fn release(self) -> Config {
        self.pool.close().await;
        #[cfg(feature = "embedded")]
        if let Some(embedded) = self.embedded {
            embedded.stop().await.unwrap();
        }
        self.config
    }
}

/// Every row of every table there is.
pub async fn rows(pool: &Pool) -> Rows {
    let mut all = Rows::new();
    for table in SHOP.into_iter().chain(CHAT).chain(["conversation_members", "message_deletions", "_sqlx_migrations"]) {
        let there: bool =
            sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(pool).await.unwrap();
        if there {
            let select = format!("SELECT to_jsonb(t) FROM {table} t ORDER BY to_jsonb(t)::text");
            all.insert(table, sqlx::query_scalar(AssertSqlSafe(select)).fetch_all(pool).await.unwrap());
        }
    }
    all
}

/// The rows of every table as one line each: enough to see whether anything changed.
pub async fn digest(pool: &Pool) -> Vec<String> {
    let mut all = Vec::new();
    for table in SHOP.into_iter().chain(CHAT) {
        let select = format!(
            "SELECT '{table} ' || count(*) || ' ' || md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {table} t"
        );
        all.push(sqlx::query_scalar(AssertSqlSafe(select)).fetch_one(pool).await.unwrap());
    }
    all
}

/// Everything that makes up the schema, a line each.
pub async fn schema(pool: &Pool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' '
                || a.attnotnull || ' ' || COALESCE(pg_get_expr(d.adbin, d.adrelid), '')
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
         UNION ALL SELECT 'index ' || tablename || ' ' || indexdef FROM pg_indexes
         -- Ours on the shop's `users`: they change nothing of what is there.
         WHERE schemaname = 'public' AND left(indexname, 11) <> 'souk_users_'
         UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
                   FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
         UNION ALL SELECT 'trigger ' || tgrelid::regclass || ' ' || tgenabled::text || ' ' || pg_get_triggerdef(oid)
                   FROM pg_trigger WHERE NOT tgisinternal
         UNION ALL SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc
                   WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND probin IS NULL
         UNION ALL SELECT 'view ' || viewname || ' ' || definition FROM pg_views WHERE schemaname = 'public'
         ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// The lines of a schema that belong to one of `tables`.
pub fn of<'a>(schema: &'a [String], tables: &[&str]) -> Vec<&'a String> {
    let belongs = |line: &&String| {
        let mut words = line.split([' ', '.']);
        let kind = words.next().unwrap();
        kind != "function" && kind != "view" && tables.contains(&words.next().unwrap())
    };
    schema.iter().filter(belongs).collect()
}
