//! What the list of conversations shows of each: the newest message that the viewer still sees.

use std::sync::Arc;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use souk::domain::{Attachment, ConversationId, Draft, Message, MessageId, Role, User};

use crate::support::World;

struct Talk {
    world: World,
    a: Arc<User>,
    b: Arc<User>,
    id: ConversationId,
}

impl Talk {
    async fn new() -> Self {
        let world = World::new().await;
        let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
        let id = world.open(&a, &b).await.unwrap();
        Self { world, a, b, id }
    }

    async fn say(&self, text: &str) -> Message {
        self.world.send(&self.a, self.id, text).await.unwrap()
    }

    async fn delete(&self, message: MessageId, for_everyone: bool) {
        self.world.chat.messages.delete(&self.a, message, for_everyone).await.unwrap();
    }

    /// What this user's list shows.
    async fn shown(&self, user: &User) -> Value {
        self.world.conversations(user, json!({})).await[0]["last_message_text"].clone()
    }

    /// What SQL users read.
    async fn stored(&self) -> Option<String> {
        sqlx::query_scalar("SELECT last_message_text FROM conversations WHERE id = $1")
            .bind(self.id.0)
            .fetch_one(&self.world.pool())
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_last_message_was_deleted_for_everyone_it_is_the_one_before() {
    let talk = Talk::new().await;
    talk.say("one").await;
    let two = talk.say("two").await;
    let three = talk.say("three").await;
    talk.delete(two.id, true).await;
    assert_eq!(talk.shown(&talk.b).await, "three");
    talk.delete(three.id, true).await;
    assert_eq!(talk.shown(&talk.a).await, "one");
    assert_eq!(talk.shown(&talk.b).await, "one");
    assert_eq!(talk.stored().await.as_deref(), Some("one"));
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_last_message_was_deleted_for_one_user_only_that_one_sees_the_one_before() {
    let talk = Talk::new().await;
    let one = talk.say("one").await;
    let two = talk.say("two").await;
    let three = talk.say("three").await;
    // The newest for everyone, the next for one user: that one sees the first.
    talk.delete(three.id, true).await;
    talk.delete(two.id, false).await;
    assert_eq!(talk.shown(&talk.a).await, "one");
    assert_eq!(talk.shown(&talk.b).await, "two");
    talk.delete(one.id, false).await;
    assert_eq!(talk.shown(&talk.a).await, Value::Null);
    assert_eq!(talk.stored().await.as_deref(), Some("two"));
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_message_was_deleted_it_is_empty_until_the_next() {
    let talk = Talk::new().await;
    for text in ["one", "two"] {
        let message = talk.say(text).await;
        talk.delete(message.id, true).await;
        assert_eq!(talk.stored().await.as_deref(), Some(""));
    }
    talk.say("three").await;
    assert_eq!(talk.shown(&talk.b).await, "three");
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_file_without_text_it_is_the_name() {
    let talk = Talk::new().await;
    let file = |name: &str| Attachment {
        name: name.into(),
        kind: "image/png".into(),
        size: 1,
        url: "https://files.example/a".into(),
        path: String::new(),
    };
    let draft = Draft { attachments: vec![file("lamp.png"), file("desk.png")], ..Draft::default() };
    let sent = talk.world.send_draft(&talk.a, talk.id, draft).await.unwrap();
    assert_eq!(talk.shown(&talk.b).await, "lamp.png");
    assert_eq!(talk.stored().await.as_deref(), Some("lamp.png"));
    let last = talk.say("and a text").await;
    talk.delete(last.id, true).await;
    assert_eq!(talk.shown(&talk.b).await, "lamp.png", "also when it becomes the preview again");
    let named = Draft { text: "look".into(), attachments: vec![file("lamp.png")], ..Draft::default() };
    talk.world.send_draft(&talk.a, talk.id, named).await.unwrap();
    assert_eq!(talk.shown(&talk.b).await, "look");
    talk.world.chat.messages.delete(&talk.a, sent.id, true).await.unwrap();
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_message_that_it_shows_changes_it() {
    let talk = Talk::new().await;
    let one = talk.say("one").await;
    let two = talk.say("two").await;
    talk.world.chat.messages.edit(&talk.a, one.id, "first".into()).await.unwrap();
    assert_eq!(talk.shown(&talk.b).await, "two", "an older one is not what it shows");
    talk.delete(two.id, true).await;
    assert_eq!(talk.shown(&talk.b).await, "first");
    talk.world.chat.messages.edit(&talk.a, one.id, "the first".into()).await.unwrap();
    assert_eq!(talk.shown(&talk.b).await, "the first");
    assert_eq!(talk.stored().await.as_deref(), Some("the first"));
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_inserted_by_sql_is_shown() {
    let talk = Talk::new().await;
    let insert = "INSERT INTO messages (conversation_id, sender_id, message_text, attachments) VALUES ($1, $2, $3, $4)";
    for (text, files, shown) in [("by hand", json!([]), "by hand"), ("", json!([{ "name": "a.pdf" }]), "a.pdf")] {
        sqlx::query(insert)
            .bind(talk.id.0)
            .bind(talk.a.id.0)
            .bind(text)
            .bind(files)
            .execute(&talk.world.pool())
            .await
            .unwrap();
        assert_eq!(talk.shown(&talk.b).await, shown);
    }
    talk.world.close().await;
}

/// One message after the other, the newest first: each deletion looks at the message before it, not at all before.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn deleting_many_messages_stays_cheap() {
    let talk = Talk::new().await;
    let fill = format!(
        "INSERT INTO messages (conversation_id, sender_id, message_text)
         SELECT '{}', '{}', 'no ' || n FROM generate_series(1, 500) n",
        talk.id, talk.a.id
    );
    let mut connection = talk.world.pool().acquire().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(&mut *connection).await.unwrap();
    let delete = format!(
        "BEGIN; SET LOCAL enable_seqscan = off;
         SELECT souk_delete_message(id, '{}', 'for_everyone') FROM messages WHERE conversation_id = '{}' ORDER BY seq DESC",
        talk.a.id, talk.id
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(delete)).execute(&mut *connection).await.unwrap();
    let read: i64 = sqlx::query_scalar("SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'messages'")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    sqlx::raw_sql("COMMIT").execute(&mut *connection).await.unwrap();
    drop(connection);
    // 500 deletions that each looked at all those before them would be 125,000.
    assert!(read < 500 * 20, "{read} rows looked at for 500 deletions");
    assert_eq!(talk.stored().await.as_deref(), Some(""));
    talk.world.close().await;
}

/// Random sends, edits and deletions; after each the list shows what the slow way finds.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_right_after_whatever_happens() {
    let seed = std::env::var("SOUK_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("SOUK_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let talk = Talk::new().await;
    let users = [talk.a.clone(), talk.b.clone()];
    // Of each message: its id, its sender, its text, whether it is gone, and for whom it is hidden.
    let mut model: Vec<(MessageId, usize, String, bool, [bool; 2])> = Vec::new();
    for n in 0..150 {
        let who = rng.random_range(0..2);
        let any = (!model.is_empty()).then(|| model.len() - 1 - rng.random_range(0..model.len().min(4)));
        match (rng.random_range(0..6), any) {
            (0..2, _) | (_, None) => {
                let text = format!("no {n}");
                let sent = talk.world.send(&users[who], talk.id, &text).await.unwrap();
                model.push((sent.id, who, text, false, [false; 2]));
            }
            (2, Some(m)) => {
                let text = format!("edited {n}");
                if talk.world.chat.messages.edit(&users[who], model[m].0, text.clone()).await.is_ok() {
                    model[m].2 = text;
                }
            }
            (3, Some(m)) => {
                talk.world.chat.messages.delete(&users[who], model[m].0, false).await.unwrap();
                model[m].4[who] = true;
            }
            (_, Some(m)) => {
                model[m].3 |= talk.world.chat.messages.delete(&users[who], model[m].0, true).await.is_ok();
            }
        }
        let there: Vec<_> = model.iter().filter(|m| !m.3).collect();
        let stored = there.last().map_or("", |m| &m.2);
        assert_eq!(talk.stored().await.unwrap_or_default(), stored, "after {n}");
        for (user, seen) in users.iter().zip([0, 1]) {
            let shown = talk.shown(user).await;
            let wanted = there.iter().rev().find(|m| !m.4[seen]).map_or("", |m| &m.2);
            assert_eq!(shown.as_str().unwrap_or_default(), wanted, "after {n}");
        }
    }
    talk.world.close().await;
}
