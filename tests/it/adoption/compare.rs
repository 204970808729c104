//! The adopted database, held against what was there: row by row, as SQL users see it, and as the API shows it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use souk::{
    db::Pool,
    domain::{ConversationId, UserId},
};
use uuid::Uuid;

use super::{
    legacy::{Rows, SHOP},
    model::{Kept, Model, Thread, ids},
};
use crate::support::World;

/// Whether `new` is `old`: the same, or the same time, now saying that it is UTC.
fn same(old: &Value, new: &Value) -> bool {
    old == new || matches!((old, new), (Value::String(o), Value::String(n)) if *n == format!("{o}+00:00"))
}

fn by_key<'a>(rows: &'a [Value], key: &str) -> BTreeMap<String, &'a Value> {
    rows.iter().map(|r| (r[key].to_string(), r)).collect()
}

/// Every old row is there, and each of its columns is as it was; `expect` says what else a column becomes.
fn carried(table: &str, key: &str, before: &Rows, after: &Rows, expect: impl Fn(&Value, &str) -> Option<Value>) {
    let old_rows = before.get(table).map(Vec::as_slice).unwrap_or_default();
    let new_rows = by_key(&after[table], key);
    assert_eq!(new_rows.len(), old_rows.len(), "{table}");
    for old in old_rows {
        let new = new_rows[&old[key].to_string()];
        for (column, was) in old.as_object().unwrap() {
            match expect(old, column) {
                // Any value: the moment of the adoption.
                Some(Value::String(s)) if s == "*" => assert!(!new[column].is_null(), "{table}.{column} of {old}"),
                Some(value) => assert!(same(&value, &new[column]), "{table}.{column} of {old} is {}", new[column]),
                None => assert!(same(was, &new[column]), "{table}.{column} of {old} is {}", new[column]),
            }
        }
    }
}

fn or(first: &Value, second: &Value) -> Option<Value> {
    first.is_null().then(|| if second.is_null() { json!("*") } else { second.clone() })
}

fn message_column(kept: &Kept, old: &Value, column: &str) -> Option<Value> {
    let hidden = !kept.hidden.is_empty();
    let array = |v: &Value| if v.is_array() { v.clone() } else { json!([]) };
    let lower = |v: &Value| serde_json::from_str(&array(v).to_string().to_lowercase()).unwrap();
    match column {
        "attachments" => Some(array(&old[column])),
        "read_by" | "delivered_to" => Some(lower(&old[column])),
        "message_type" => Some(or(&old[column], &json!("text")).unwrap_or(old[column].clone())),
        "status" => Some(if old["status"] == "delivered" || old["status"] == "read" {
            old["status"].clone()
        } else {
            json!("sent")
        }),
        "is_edited" => Some(json!(old["is_edited"] == true)),
        "edit_count" => Some(json!(old["edit_count"].as_i64().unwrap_or(0))),
        "is_deleted" => Some(json!(kept.gone)),
        "deletion_type" if kept.gone => Some(json!("for_everyone")),
        "deletion_type" | "deleted_by" | "deleted_at" if hidden => Some(Value::Null),
        "edited_at" | "last_edited_at" if old[column].is_null() => {
            Some(old[if column == "edited_at" { "last_edited_at" } else { "edited_at" }].clone())
        }
        "created_at" => or(&old["created_at"], &old["updated_at"]),
        "updated_at" => or(&old["updated_at"], &old["created_at"]),
        _ => None,
    }
}

/// Nothing lost, nothing changed but what had to: rows, sequence, deletions.
pub fn rows(before: &Rows, after: &Rows, model: &Model) {
    for table in SHOP {
        assert_eq!(before[table], after[table]);
    }
    let kept: BTreeMap<String, &Kept> =
        model.values().flat_map(|t| &t.messages).map(|m| (json!(m.id).to_string(), m)).collect();
    carried("messages", "id", before, after, |old, column| message_column(kept[&old["id"].to_string()], old, column));
    carried("conversations", "id", before, after, |old, column| {
        let thread = &model[&serde_json::from_value::<Uuid>(old["id"].clone()).unwrap()];
        let last = thread.messages.last();
        match column {
            "last_message_at" if old[column].is_null() => {
                last.map(|m| if m.old["created_at"].is_null() { json!("*") } else { m.old["created_at"].clone() })
            }
            "last_message_text" => Some(preview(thread)),
            "metadata" => or(&old[column], &json!({})),
            "status" => or(&old[column], &json!("active")),
            "created_at" | "updated_at" if old[column].is_null() => Some(json!("*")),
            _ => None,
        }
    });
    carried("message_reactions", "id", before, after, |old, column| or(&old[column], &Value::Null));
    carried("message_edits", "id", before, after, |old, column| match column {
        "old_text" => or(&old[column], &json!("")),
        _ => or(&old[column], &Value::Null),
    });
    carried("typing_indicators", "id", before, after, |old, column| or(&old[column], &Value::Null));
    carried("user_online_status", "user_id", before, after, |old, column| match column {
        "is_online" => Some(json!(false)),
        "socket_id" => Some(Value::Null),
        "updated_at" => or(&old[column], &Value::Null),
        "last_seen_at" if old["is_online"] == true => or(&old[column], &old["updated_at"]),
        _ => None,
    });
    let stored = by_key(&after["messages"], "id");
    let conversations = by_key(&after["conversations"], "id");
    for (id, thread) in model {
        let conversation = conversations[&json!(id).to_string()];
        assert_eq!(conversation["last_seq"], thread.messages.len());
        assert_eq!(conversation["last_message_text"], preview(thread), "also where there was no such column");
        for (place, m) in thread.messages.iter().enumerate() {
            assert_eq!(stored[&json!(m.id).to_string()]["seq"], place + 1, "{}", m.old);
        }
    }
    let deletions: Vec<(Uuid, Uuid)> = after["message_deletions"]
        .iter()
        .map(|d| serde_json::from_value(json!([d["message_id"], d["user_id"]])).unwrap())
        .collect();
    let meant: usize = kept.values().map(|m| m.hidden.len()).sum();
    assert_eq!(deletions.len(), meant);
    assert!(deletions.iter().all(|(m, u)| kept[&json!(m).to_string()].hidden.contains(u)));
}

/// What the list of conversations shows: as it was; the newest message where nothing was; the one before where that was
/// deleted for everyone.
fn preview(thread: &Thread) -> Value {
    match (thread.messages.last(), &thread.old["last_message_text"]) {
        (Some(last), _) if last.gone => json!(thread.messages.iter().rev().find(|m| !m.gone).map_or("", shown)),
        (Some(last), Value::Null) => json!(shown(last)),
        (Some(last), _) if last.text.trim().is_empty() && shown(last) != last.text => json!(shown(last)),
        (_, old) => old.clone(),
    }
}

/// A message's text, or the name of its first file where it has none.
fn shown(m: &Kept) -> &str {
    let name = m.old["attachments"][0]["name"].as_str().filter(|name| !name.is_empty());
    name.filter(|_| m.text.trim().is_empty()).unwrap_or(&m.text)
}

/// The views and functions that SQL users know say what the model says.
pub async fn sql(pool: &Pool, model: &Model) {
    let counts: Vec<(Uuid, Uuid, i64)> =
        sqlx::query_as("SELECT conversation_id, user_id, unread_count FROM unread_message_counts")
            .fetch_all(pool)
            .await
            .unwrap();
    let members: usize = model.values().map(|t| t.members.len()).sum();
    assert_eq!(counts.len(), members);
    let mut totals = BTreeMap::new();
    for (conversation, user, unread) in counts {
        assert_eq!(unread, model[&conversation].unread(user), "{user} in {conversation}");
        *totals.entry(user).or_insert(0) += unread;
    }
    for (user, total) in totals {
        let function: i32 =
            sqlx::query_scalar("SELECT get_unread_message_count($1)").bind(user).fetch_one(pool).await.unwrap();
        assert_eq!(i64::from(function), total);
    }
    // A page asks for reactions only where a message says that it changed.
    let silent: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM messages m WHERE changed_at IS NULL AND id IN (SELECT message_id FROM message_reactions)",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(silent, 0);
    // Reading all of it takes longer than a statement of ours may.
    let mut lease = pool.acquire().await.unwrap();
    sqlx::query("SET statement_timeout = 0").execute(&mut *lease).await.unwrap();
    let views: Vec<Value> =
        sqlx::query_scalar("SELECT to_jsonb(m) FROM messages_with_reactions m").fetch_all(&mut *lease).await.unwrap();
    drop(lease);
    let views = by_key(&views, "id");
    for m in model.values().flat_map(|t| &t.messages) {
        let view = views[&json!(m.id).to_string()].as_object().unwrap();
        message_view(m, view);
    }
}

/// Of one message: its text, who has read it, whom it reached, and what that makes of its status.
fn message_view(m: &Kept, view: &Map<String, Value>) {
    assert_eq!(view["message_text"], if m.gone { "" } else { &m.text });
    assert_eq!(ids(&view["read_by"]), m.read_by, "{}", m.old);
    let mut reached = m.read_by.clone();
    reached.extend(ids(&m.old["delivered_to"]));
    let mut shown = ids(&view["delivered_to"]);
    shown.insert(m.sender);
    assert_eq!(shown, reached, "{}", m.old);
    let status = if m.read_by.len() > 1 || m.old["status"] == "read" {
        "read"
    } else if reached.len() > 1 || m.old["status"] == "delivered" {
        "delivered"
    } else {
        "sent"
    };
    assert_eq!(view["status"], status, "{}", m.old);
}

/// The API shows each user their conversations and messages, and counts what they have not read.
pub async fn api(world: &World, model: &Model) {
    let users: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM users").fetch_all(&world.pool()).await.unwrap();
    for user in users {
        let Some(user) = world.chat.core.db.user(UserId(user)).await.unwrap() else { continue };
        let mine: Vec<_> = model.iter().filter(|(_, t)| t.members.contains(&user.id.0)).collect();
        let listed = world.conversations(&user, json!({ "limit": 100 })).await;
        assert_eq!(listed.len(), mine.len());
        let listed = by_key(&listed, "id");
        let mut total = 0;
        for (id, thread) in mine {
            let view = listed[&json!(id).to_string()];
            assert_eq!(view["unread_count"], thread.unread(user.id.0));
            total += thread.unread(user.id.0);
            let seen: Vec<&Kept> = thread.messages.iter().filter(|m| !m.hidden.contains(&user.id.0)).collect();
            // Who deleted the message that the others are shown for themselves sees the one before it.
            let newest = thread.messages.iter().rev().find(|m| !m.gone);
            let text = match seen.iter().rev().find(|m| !m.gone) {
                _ if newest.is_none_or(|m| !m.hidden.contains(&user.id.0)) => preview(thread),
                Some(m) => json!(shown(m)),
                None => json!(null),
            };
            assert_eq!(view["last_message_text"], text);
            let page = world.page(&user, ConversationId(*id), json!({ "limit": 200 })).await.unwrap();
            assert_eq!(page.iter().map(|m| m.id.0).collect::<Vec<_>>(), seen.iter().map(|m| m.id).collect::<Vec<_>>());
            for (shown, kept) in page.iter().zip(seen) {
                assert_eq!(shown.text, if kept.gone { "" } else { &kept.text });
                assert_eq!(shown.read_by.iter().map(|u| u.0).collect::<std::collections::BTreeSet<_>>(), kept.read_by);
                let files = if kept.gone { 0 } else { kept.old["attachments"].as_array().map_or(0, Vec::len) };
                assert_eq!(shown.attachments.as_array().unwrap().len(), files);
                assert_eq!(shown.is_deleted, kept.gone);
            }
        }
        assert_eq!(world.chat.reading.unread_count(&user).await.unwrap(), total);
    }
}
