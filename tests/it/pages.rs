//! Pages of messages.

use std::time::Duration;

use serde_json::{Value, json};
use souk::{domain::Role, protocol::MessageView};

use crate::support::{WAITING, World, fresh_config, until};

/// What the Node server or the shop's SQL left in a row, with no trigger of ours having seen it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_unusual_in_a_row_is_shown_whichever_column_it_is_in() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    let time = "2030-05-06T07:08:09.123Z";
    let columns = [
        ("is_edited", "true", json!(true)),
        ("edit_count", "3", json!(3)),
        ("edited_at", "$time", json!(time)),
        ("last_edited_at", "$time", json!(time)),
        ("is_deleted", "true", json!(true)),
        ("deleted_at", "$time", json!(time)),
        ("deletion_type", "'for_me'", json!("for_me")),
        ("deleted_by", "$user", json!(a.id)),
        ("message_type", "'system'", json!("system")),
        ("status", "'delivered'", json!("delivered")),
        ("read_at", "$time", json!(time)),
        ("delivered_at", "$time", json!(time)),
        ("updated_at", "$time", json!(time)),
        ("attachments", "'[{}]'", json!([{}])),
        ("client_message_id", "'mine'", json!("mine")),
    ];
    for (column, value, _) in &columns {
        let value = value.replace("$time", &format!("'{time}'")).replace("$user", &format!("'{}'", a.id));
        let insert = format!(
            "INSERT INTO messages (id, conversation_id, sender_id, message_text, {column})
             VALUES (gen_random_uuid(), '{id}', '{}', '{column}', {value})",
            a.id
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(&world.pool()).await.unwrap();
    }
    let messages = world.messages(&b, id).await.unwrap();
    assert_eq!(messages.len(), columns.len());
    for (message, (column, _, expected)) in messages.iter().zip(&columns) {
        let view: Value = serde_json::to_value(MessageView::from(message)).unwrap();
        assert_eq!(&view[column], expected, "{column}");
        assert_eq!(view["message_text"], if *column == "is_deleted" { "" } else { *column });
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn pages_that_get_no_answer_keep_nobody_else_from_asking() {
    // Statements that wait for a lock longer than this test takes.
    let config = souk::config::Config { database_lock_timeout_ms: 4000, ..fresh_config().await };
    let world = World::on(config).await;
    let turns = world.chat.core.db.reads_at_once();
    let seller = world.user(Role::Seller).await;
    let mut readers = Vec::new();
    for _ in 0..=turns {
        let reader = world.user(Role::Customer).await;
        let id = world.open(&reader, &seller).await.unwrap();
        world.send(&reader, id, "hello").await.unwrap();
        readers.push((reader, id));
    }
    let mut holder = world.pool().acquire().await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE").execute(&mut *holder).await.unwrap();
    let pages: Vec<_> = readers
        .into_iter()
        .map(|(user, id)| {
            let chat = world.chat.clone();
            tokio::spawn(async move {
                let list = souk::protocol::ListMessages::from(&souk::protocol::Payload::from(json!({})));
                chat.messages.page(&user, id, &list).await.map(|list| list.messages.len())
            })
        })
        .collect();
    // The last one has no turn until one of the others loses its own.
    until(&world, WAITING, i64::try_from(turns).unwrap() + 1, Duration::from_secs(10)).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut *holder).await.unwrap();
    holder.done();
    for page in pages {
        assert_eq!(page.await.unwrap().unwrap(), 1);
    }
    world.close().await;
}
