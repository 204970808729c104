//! Values that Postgres can hold and we would not write: whatever stands in the shop's tables and in ours, reading it ends in
//! an answer.

use std::sync::Arc;

use souk::{
    domain::{ConversationId, MessageId, Role, User},
    error::Error,
    protocol::{MessageView, Payload, SyncRequest},
};
use sqlx::AssertSqlSafe;

use crate::support::World;

const TABLES: &str = "('users', 'conversations', 'messages', 'conversation_members', 'message_edits', 'message_reactions',
                       'message_deletions', 'user_online_status', 'user_blocks', 'typing_indicators', 'chat_server_users')";

struct Scene {
    world: World,
    a: Arc<User>,
    b: Arc<User>,
    id: ConversationId,
    message: MessageId,
}

impl Scene {
    /// A conversation in which something of each kind happened.
    async fn new() -> Self {
        let world = World::new().await;
        let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
        let id = world.open(&a, &b).await.unwrap();
        let first = world.send(&a, id, "one").await.unwrap();
        let reply = souk::domain::Draft { text: "two".into(), reply_to: Some(first.id), ..Default::default() };
        let message = world.send_draft(&b, id, reply).await.unwrap().id;
        let chat = &world.chat;
        chat.messages.edit(&b, message, "two, again".into()).await.unwrap();
        chat.reading.mark_read(&a, id, None).await.unwrap();
        let hidden = world.send(&a, id, "three").await.unwrap();
        chat.messages.delete(&a, hidden.id, false).await.unwrap();
        let gone = world.send(&a, id, "four").await.unwrap();
        chat.messages.delete(&a, gone.id, true).await.unwrap();
        sqlx::query("INSERT INTO user_online_status (user_id, last_seen_at) SELECT id, now() FROM users")
            .execute(&world.pool())
            .await
            .unwrap();
        Self { world, a, b, id, message }
    }

    async fn columns(&self, which: &str) -> Vec<(String, String)> {
        let sql = format!(
            "SELECT table_name::text, column_name::text FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name IN {TABLES} AND {which} ORDER BY 1, 2"
        );
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&self.world.pool()).await.unwrap()
    }

    async fn set(&self, table: &str, column: &str, value: &str) {
        let sql = format!("UPDATE {table} SET {column} = {value}");
        sqlx::query(AssertSqlSafe(sql)).execute(&self.world.pool()).await.unwrap();
    }

    /// Everything that reads; and that it can be written to the wire.
    async fn read_everything(&self) -> Result<(), Error> {
        let (chat, a) = (&self.world.chat, &self.a);
        let listed = self.world.conversations(a, serde_json::json!({})).await;
        assert_eq!(listed.len(), 1);
        for query in [serde_json::json!({}), serde_json::json!({ "after": 0 })] {
            let found = self.world.page(a, self.id, query).await?;
            assert_eq!(found.len(), 3);
            let view = |m| serde_json::to_string(&MessageView::from(m)).unwrap();
            assert!(found.iter().map(view).all(|text| !text.contains("infinity")));
        }
        let (details, _turn) = chat.messages.details(a, self.message).await?;
        assert_eq!(details.edit_history.len(), 1);
        serde_json::to_string(&MessageView::from(&details)).unwrap();
        chat.presence.status(a.id, self.b.id).await?;
        chat.reading.mark_read(a, self.id, None).await?;
        chat.reading.unread_count(a).await?;
        chat.users.get(a.id).await?.expect("the user is there");
        let known = serde_json::json!({ "conversations": { self.id.to_string(): 1 }, "since": "2020-01-01T00:00:00Z" });
        let synced = chat.sync.catch_up(a, SyncRequest::try_from(&Payload::from(known))?).await?;
        serde_json::to_string(&synced.view()).unwrap();
        self.world.send(&self.b, self.id, "and on it goes").await?;
        sqlx::query("DELETE FROM messages WHERE message_text = 'and on it goes'")
            .execute(&self.world.pool())
            .await
            .unwrap();
        sqlx::query("UPDATE conversations SET last_seq = 4").execute(&self.world.pool()).await.unwrap();
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_time_that_postgres_can_hold_is_too_much() {
    let s = Scene::new().await;
    s.read_everything().await.unwrap();
    for (table, column) in s.columns("data_type LIKE 'timestamp%'").await {
        for value in ["infinity", "-infinity", "294276-12-31 23:59:59", "4714-11-24 00:00:00 BC", "10000-01-01"] {
            s.set(&table, &column, &format!("'{value}'")).await;
            s.read_everything().await.unwrap_or_else(|e| panic!("{table}.{column} = {value}: {e}"));
        }
        s.set(&table, &column, "now()").await;
    }
    s.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_null_may_be_null() {
    let s = Scene::new().await;
    sqlx::query("ALTER TABLE users ALTER COLUMN email DROP NOT NULL").execute(&s.world.pool()).await.unwrap();
    for (table, column) in s.columns("is_nullable = 'YES'").await {
        s.set(&table, &column, "NULL").await;
        s.read_everything().await.unwrap_or_else(|e| panic!("{table}.{column} is null: {e}"));
    }
    s.world.close().await;
}
