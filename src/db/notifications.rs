//! `notifications`, the shop's table: enums on some installations, text on others, so its types are looked up once.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{Db, DbError, DbResult};
use crate::domain::{MessageId, UserId};

#[derive(Clone, Debug)]
pub struct Notification {
    /// Its key, where the shop's table takes one.
    pub id: Uuid,
    pub message_id: MessageId,
    pub user_id: UserId,
    pub title: &'static str,
    pub message: String,
    /// `conversation_id`, `message_id`, `sender_id`, `sender_name`, and for replies `reply_to_message_id`.
    pub metadata: Value,
    pub action_url: String,
    pub action_text: &'static str,
}

/// Most texts that one statement takes out.
const TEXTS_AT_ONCE: i64 = 1000;

#[derive(Clone, Debug)]
pub struct NotificationTable {
    insert: String,
    /// Takes out texts; `None` where the table's keys are not ours to give, and nothing leads from a message to its rows.
    redact: Option<String>,
}

impl Db {
    /// Looks at the table; `None` where there is none, or none we can fill.
    pub async fn notification_table(&self) -> DbResult<Option<NotificationTable>> {
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = to_regclass('notifications') AND attnum > 0 AND NOT attisdropped",
        )
        .fetch_all(&self.pool())
        .await?;
        let types: HashMap<_, _> = columns.into_iter().collect();
        let table = |insert| NotificationTable { insert, redact: redact_for(&types) };
        Ok(insert_for(&types).map(table))
    }

    /// Writes notifications. Returns how many were written: none for a user who is gone.
    pub async fn notify(&self, table: &NotificationTable, all: &[Notification]) -> DbResult<u64> {
        // Not tried again here: the others must not wait for one whose user's row is locked.
        let mut lease = self.pool().acquire().await?;
        let done = sqlx::query(AssertSqlSafe(table.insert.clone()))
            .bind(all.iter().map(|n| n.user_id.0).collect::<Vec<Uuid>>())
            .bind(all.iter().map(|n| n.title).collect::<Vec<&str>>())
            .bind(all.iter().map(|n| n.message.as_str()).collect::<Vec<&str>>())
            .bind(all.iter().map(|n| &n.metadata).collect::<Vec<&Value>>())
            .bind(all.iter().map(|n| n.action_url.as_str()).collect::<Vec<&str>>())
            .bind(all.iter().map(|n| n.action_text).collect::<Vec<&str>>())
            .bind(all.iter().map(|n| n.id).collect::<Vec<Uuid>>())
            .bind(all.iter().map(|n| n.message_id.0).collect::<Vec<Uuid>>())
            .execute(&mut *lease)
            .await;
        Ok(lease.done_if_ok(done).map_err(DbError::from)?.rows_affected())
    }

    /// Takes the text out of notifications whose message was deleted for everyone: those that are marked so, and those of
    /// `messages`. Returns whether there may be more.
    pub async fn redact_notifications(&self, table: &NotificationTable, messages: &[MessageId]) -> DbResult<bool> {
        let Some(redact) = &table.redact else { return Ok(false) };
        let taken: i64 = sqlx::query_scalar(AssertSqlSafe(redact.clone()))
            .bind(messages.iter().map(|m| m.0).collect::<Vec<Uuid>>())
            .bind(TEXTS_AT_ONCE)
            .fetch_one(&self.pool())
            .await?;
        Ok(taken >= TEXTS_AT_ONCE)
    }

    /// Forgets up to `max` of the oldest notes of which notification tells of which message, once they are 90 days old: by
    /// then the text stays in a notification whose message is deleted. What is to go already is not forgotten.
    pub async fn forget_old_notifications(&self, max: i64) -> DbResult<()> {
        sqlx::query!(
            r#"WITH forgotten AS (
                 DELETE FROM message_notifications r USING (
                     SELECT message_id, notification_id FROM message_notifications
                     WHERE NOT must_go AND created_at < now() - interval '90 days'
                     ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED) old
                 WHERE r.message_id = old.message_id AND r.notification_id = old.notification_id
                 RETURNING 1)
               SELECT count(*) AS "forgotten!" FROM forgotten"#,
            max
        )
        .fetch_one(&self.pool())
        .await?;
        Ok(())
    }
}

/// True if the table takes keys that we make.
fn takes_our_keys(types: &HashMap<String, String>) -> bool {
    types.get("id").is_some_and(|kind| kind == "uuid" || kind == "text" || kind.starts_with("character varying"))
}

/// The statement that takes out texts. It leaves the sender's name, where the table has it.
fn redact_for(types: &HashMap<String, String>) -> Option<String> {
    if !takes_our_keys(types) {
        return None;
    }
    let name = match types.get("metadata").map(String::as_str) {
        Some("json" | "jsonb") => "COALESCE(n.metadata ->> 'sender_name' || ': ', '') || ",
        _ => "",
    };
    Some(format!(
        "WITH gone AS (
             (SELECT message_id, notification_id FROM message_notifications WHERE must_go LIMIT $2)
             UNION
             (SELECT r.message_id, r.notification_id FROM message_notifications r JOIN messages m ON m.id = r.message_id
              WHERE r.message_id = ANY($1) AND m.is_deleted LIMIT $2)
         ), done AS (
             UPDATE notifications n SET message = {name}'This message was deleted'
             FROM gone g WHERE n.id = g.notification_id::{}
         ), forgotten AS (
             DELETE FROM message_notifications r USING gone g
             WHERE r.message_id = g.message_id AND r.notification_id = g.notification_id
             RETURNING 1
         ) SELECT count(*) FROM forgotten",
        types["id"]
    ))
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
    if takes_our_keys(types) {
        put("id", "n.id");
    }
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
    let noted = if takes_our_keys(types) {
        ", noted AS (
             INSERT INTO message_notifications (message_id, notification_id) SELECT message_id, id FROM wanted
             ON CONFLICT DO NOTHING
         )"
    } else {
        ""
    };
    Some(format!(
        "WITH wanted AS (
             SELECT n.* FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::text[], $6::text[], $7::uuid[], $8::uuid[])
                  AS n (user_id, title, message, metadata, action_url, action_text, id, message_id)
             JOIN users u ON u.id = n.user_id
         ){noted}
         INSERT INTO notifications ({}) SELECT {} FROM wanted n",
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

    #[test]
    fn keys_are_given_and_noted_where_the_table_takes_ours() {
        let of = |kind| {
            let columns = [("id", kind), ("user_id", "uuid"), ("type", "text"), ("message", "text")];
            columns.map(|(c, t)| (c.to_owned(), t.to_owned())).into_iter().collect::<HashMap<_, _>>()
        };
        for kind in ["uuid", "text", "character varying(36)"] {
            assert!(insert_for(&of(kind)).unwrap().contains("INTO message_notifications"), "{kind}");
            assert!(redact_for(&of(kind)).unwrap().contains(&format!("g.notification_id::{kind}")), "{kind}");
        }
        let numbered = insert_for(&of("bigint")).unwrap();
        assert!(!numbered.contains("message_notifications") && !numbered.contains("(id"), "{numbered}");
        assert!(redact_for(&of("bigint")).is_none());
    }
}
