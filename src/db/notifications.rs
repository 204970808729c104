//! `notifications`, the shop's table: enums on some installations, text on others, so its types are looked up once.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{Db, DbError, DbResult};
use crate::domain::UserId;

/// One notification to be written.
#[derive(Clone, Debug)]
pub struct Notification {
    /// For whom.
    pub user_id: UserId,
    /// Headline.
    pub title: &'static str,
    /// What it says.
    pub message: String,
    /// `conversation_id`, `message_id`, `sender_id`, `sender_name`, and for replies `reply_to_message_id`.
    pub metadata: Value,
    /// Where it leads.
    pub action_url: String,
    /// What that is called.
    pub action_text: &'static str,
}

/// How to insert into this installation's table.
#[derive(Clone, Debug)]
pub struct NotificationTable(String);

impl Db {
    /// Looks at the table; `None` where there is none, or none we can fill.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn notification_table(&self) -> DbResult<Option<NotificationTable>> {
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = to_regclass('notifications') AND attnum > 0 AND NOT attisdropped",
        )
        .fetch_all(&self.pool())
        .await?;
        let types: HashMap<_, _> = columns.into_iter().collect();
        Ok(insert_for(&types).map(NotificationTable))
    }

    /// Writes notifications for those of the users whom no other server than `server` holds: who is not on this one is
    /// known better from memory than from the table, which is a moment behind. Returns how many were written.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn notify(&self, table: &NotificationTable, server: &str, all: &[Notification]) -> DbResult<u64> {
        let done = sqlx::query(AssertSqlSafe(table.0.clone()))
            .bind(all.iter().map(|n| n.user_id.0).collect::<Vec<Uuid>>())
            .bind(all.iter().map(|n| n.title).collect::<Vec<&str>>())
            .bind(all.iter().map(|n| n.message.as_str()).collect::<Vec<&str>>())
            .bind(all.iter().map(|n| &n.metadata).collect::<Vec<&Value>>())
            .bind(all.iter().map(|n| n.action_url.as_str()).collect::<Vec<&str>>())
            .bind(all.iter().map(|n| n.action_text).collect::<Vec<&str>>())
            .bind(server)
            .execute(&self.pool())
            .await
            .map_err(DbError::from)?;
        Ok(done.rows_affected())
    }
}

/// The statement for a table with these columns. Type names come from the catalogue, quoted by Postgres itself.
fn insert_for(types: &HashMap<String, String>) -> Option<String> {
    let mut columns = Vec::new();
    let mut values = Vec::new();
    let mut put = |column: &'static str, value: &str| {
        if let Some(kind) = types.get(column) {
            columns.push(column);
            values.push(format!("({value})::{kind}"));
        }
    };
    put("id", "gen_random_uuid()");
    put("user_id", "n.user_id");
    put("type", "'new_message'::text");
    put("title", "n.title");
    put("message", "n.message");
    put("priority", "'medium'::text");
    put("metadata", "n.metadata");
    put("action_url", "n.action_url");
    put("action_text", "n.action_text");
    let channels = types.get("channels").map(|kind| match kind.as_str() {
        kind if kind.ends_with("[]") => "ARRAY['in_app']::text[]",
        "jsonb" | "json" => "'[\"in_app\"]'::text",
        _ => "'in_app'::text",
    });
    if let Some(channels) = channels {
        put("channels", channels);
    }
    if !["user_id", "type", "message"].iter().all(|c| columns.contains(c)) {
        return None;
    }
    Some(format!(
        "INSERT INTO notifications ({}) SELECT {}
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::text[], $6::text[])
              AS n (user_id, title, message, metadata, action_url, action_text)
         JOIN users u ON u.id = n.user_id
         WHERE NOT EXISTS (SELECT 1 FROM chat_server_users o JOIN chat_servers s ON s.name = o.server_name
                           WHERE o.user_id = n.user_id AND s.name <> $7 AND s.heartbeat_at > now() - interval '45 seconds')",
        columns.join(", "),
        values.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[(&str, &str)]) -> Option<String> {
        insert_for(&columns.iter().map(|(c, t)| ((*c).to_owned(), (*t).to_owned())).collect())
    }

    #[test]
    fn the_statement_follows_the_tables_types() {
        let enums = table(&[
            ("user_id", "uuid"),
            ("type", "notification_type"),
            ("message", "text"),
            ("channels", "notification_channel[]"),
        ]);
        let sql = enums.unwrap();
        assert!(sql.contains("('new_message'::text)::notification_type"), "{sql}");
        assert!(sql.contains("(ARRAY['in_app']::text[])::notification_channel[]"), "{sql}");
        assert!(!sql.contains("action_url)"), "a column that is not there is not filled: {sql}");
        let text = table(&[("user_id", "uuid"), ("type", "text"), ("message", "text"), ("channels", "jsonb")]);
        assert!(text.unwrap().contains("('[\"in_app\"]'::text)::jsonb"));
        assert!(table(&[("user_id", "uuid")]).is_none());
    }
}
