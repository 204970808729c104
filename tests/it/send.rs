//! Sending: order, gaps, repeats, refusals (contract §Sending).

use souk::{
    db::{NewMessage, Outcome, Written},
    domain::{ConversationId, Draft, MessageId, Role, User},
    error::Error,
};

use crate::support::World;

fn draft(text: &str) -> Draft {
    Draft { text: text.into(), ..Draft::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_sent_at_once_are_numbered_without_gaps_in_the_order_they_were_queued() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    let waiting: Vec<_> = (1..=300).map(|n| world.begin_send(&a, id, draft(&n.to_string()))).collect();
    for (n, outcome) in (1..).zip(waiting) {
        let message = outcome.await.unwrap().unwrap();
        assert_eq!((message.seq, message.text), (n, n.to_string()));
    }
    let newest = world.messages(&b, id).await.unwrap();
    assert_eq!(newest.iter().map(|m| m.seq).collect::<Vec<_>>(), (101..=300).collect::<Vec<_>>());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_with_the_same_client_message_id_is_the_same_message() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    let with_id = |text: &str| Draft { client_message_id: Some("m-1".into()), ..draft(text) };
    // Side by side, so that repeats meet in one batch, and afterwards.
    let waiting: Vec<_> = (0..20).map(|_| world.begin_send(&a, id, with_id("once"))).collect();
    let mut ids = Vec::new();
    for outcome in waiting {
        ids.push(outcome.await.unwrap().unwrap().id);
    }
    ids.push(world.send_draft(&a, id, with_id("even with another text")).await.unwrap().id);
    assert!(ids.iter().all(|m| *m == ids[0]));
    assert_eq!(world.messages(&b, id).await.unwrap().len(), 1);
    // It is the sender's own: another's message of the same id is another message.
    world.send_draft(&b, id, with_id("mine")).await.unwrap();
    assert_eq!(world.messages(&b, id).await.unwrap().len(), 2);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temp_id_is_a_retry_only_with_the_same_content_and_soon() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    let temp = |text: &str| Draft { temp_id: Some("temp_1".into()), ..draft(text) };
    let first = world.send_draft(&a, id, temp("hello")).await.unwrap();
    assert_eq!(world.send_draft(&a, id, temp("hello")).await.unwrap().id, first.id);
    assert_ne!(world.send_draft(&a, id, temp("other")).await.unwrap().id, first.id);
    sqlx::query("UPDATE messages SET created_at = created_at - interval '11 minutes'")
        .execute(&world.pool())
        .await
        .unwrap();
    assert_ne!(world.send_draft(&a, id, temp("hello")).await.unwrap().id, first.id);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_store_nothing() {
    let world = World::new().await;
    let (a, b, stranger) =
        (world.user(Role::Customer).await, world.user(Role::Seller).await, world.user(Role::Manager).await);
    let id = world.open(&a, &b).await.unwrap();
    let nowhere = ConversationId(uuid::Uuid::new_v4());
    assert_eq!(world.send(&a, id, " ").await.unwrap_err(), Error::MessageRequired);
    assert_eq!(world.send(&a, id, &"x".repeat(5001)).await.unwrap_err(), Error::MessageTooLong);
    assert_eq!(world.send(&a, nowhere, "x").await.unwrap_err(), Error::ConversationNotFound);
    assert_eq!(world.send(&stranger, id, "x").await.unwrap_err(), Error::NotAuthorized);
    for status in ["closed", "archived"] {
        sqlx::query("UPDATE conversations SET status = $1").bind(status).execute(&world.pool()).await.unwrap();
        assert_eq!(world.send(&a, id, "x").await.unwrap_err(), Error::ConversationClosed);
    }
    sqlx::query("UPDATE conversations SET status = 'active'").execute(&world.pool()).await.unwrap();
    assert_eq!(world.send(&a, id, "x").await.unwrap().seq, 1);
    world.close().await;
}

/// A conversation between `a` and `b` that is closed.
async fn insert_closed(world: &World, id: ConversationId, a: &User, b: &User) {
    sqlx::query(
        "INSERT INTO conversations (id, type, participant_ids, status)
         VALUES ($1, 'customer_seller', jsonb_build_array($2::text, $3::text), 'closed')",
    )
    .bind(id.0)
    .bind(a.id.to_string())
    .bind(b.id.to_string())
    .execute(&world.pool())
    .await
    .unwrap();
}

fn message(to: ConversationId, from: &User, text: &str) -> NewMessage {
    NewMessage {
        id: MessageId::new(),
        conversation_id: to,
        sender_id: from.id,
        text: text.into(),
        kind: "text",
        attachments: serde_json::json!([]),
        client_message_id: None,
        temp_id: None,
        temp_id_again: false,
        reply_to: None,
    }
}

/// What became of each message: its number, how many members, what it quotes; or the refusal.
fn outcomes(written: &[Written]) -> Vec<String> {
    let outcome = |w: &Written| match &w.outcome {
        Outcome::Stored { seq, reply_to, .. } => {
            format!("{seq} {} {}", w.members.len(), reply_to.as_ref().map_or("", |q| &q.message_text))
        }
        other => format!("{other:?} {}", w.members.len()),
    };
    written.iter().map(outcome).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_within_a_batch_leaves_no_gap_and_counts_for_nothing() {
    let world = World::new().await;
    let (a, b, c) = (world.user(Role::Customer).await, world.user(Role::Seller).await, world.user(Role::Seller).await);
    let (x, y, closed) =
        (world.open(&a, &b).await.unwrap(), world.open(&a, &c).await.unwrap(), ConversationId(uuid::Uuid::new_v4()));
    insert_closed(&world, closed, &a, &b).await;
    let first = Draft { client_message_id: Some("m-1".into()), ..draft("first") };
    let first = world.send_draft(&a, x, first).await.unwrap();
    let batch = [
        message(x, &a, "second"),
        message(x, &c, "no participant"),
        NewMessage { reply_to: Some(MessageId::new()), ..message(x, &b, "to nothing") },
        message(x, &b, "third"),
        message(ConversationId(uuid::Uuid::new_v4()), &a, "nowhere"),
        message(closed, &a, "closed"),
        NewMessage { client_message_id: Some("m-1".into()), ..message(x, &a, "first again") },
        NewMessage { reply_to: Some(first.id), ..message(x, &a, "fourth") },
        message(y, &a, "elsewhere"),
    ];
    let batch: Vec<&NewMessage> = batch.iter().collect();
    let first_time = outcomes(&world.chat.core.db.write_messages(&batch, false).await.unwrap());
    let expected = [
        "2 2 ",
        "NotMember 0",
        "ReplyNotFound 0",
        "3 2 ",
        "NotFound 0",
        "Closed 0",
        "Repeat { seq: 1 } 2",
        "4 2 first",
        "1 2 ",
    ];
    assert_eq!(first_time, expected);
    // Tried again after its answer was lost, it is the same.
    assert_eq!(outcomes(&world.chat.core.db.write_messages(&batch, true).await.unwrap()), expected);
    let texts: Vec<_> = world.messages(&b, x).await.unwrap().into_iter().map(|m| (m.seq, m.text)).collect();
    assert_eq!(texts, [(1, "first".into()), (2, "second".into()), (3, "third".into()), (4, "fourth".into())]);
    let list = world.conversations(&a, serde_json::json!({})).await;
    let last =
        |id: ConversationId| list.iter().find(|c| c["id"] == id.to_string()).unwrap()["last_message_text"].clone();
    assert_eq!([last(x), last(y)], ["fourth", "elsewhere"]);
    for (user, unread) in [(&a, 1), (&b, 3), (&c, 1)] {
        assert_eq!(world.chat.reading.unread_count(user).await.unwrap(), unread);
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_message_of_a_batch_fails_alone() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    // What breaks a rule of the shop's breaks the whole statement.
    sqlx::query("ALTER TABLE messages ADD CONSTRAINT shop_rule CHECK (message_text <> 'boo')")
        .execute(&world.pool())
        .await
        .unwrap();
    let mut waiting = Vec::new();
    for n in 0..30 {
        waiting.push(world.begin_send(&a, id, draft(&n.to_string())));
        if n % 10 == 5 {
            waiting.push(world.begin_send(&b, id, draft("boo")));
        }
    }
    let mut stored = Vec::new();
    for outcome in waiting {
        match outcome.await.unwrap() {
            Ok(m) => stored.push(m.seq),
            Err(e) => assert_eq!(e, Error::Internal),
        }
    }
    assert_eq!(stored, (1..=30).collect::<Vec<_>>());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_inserted_by_sql_gets_the_next_number_and_counts_as_unread() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    world.send(&a, id, "one").await.unwrap();
    world.chat.reading.mark_read(&b, id, None).await.unwrap();
    sqlx::query("INSERT INTO messages (conversation_id, sender_id, message_text) VALUES ($1, $2, 'two')")
        .bind(id.0)
        .bind(a.id.0)
        .execute(&world.pool())
        .await
        .unwrap();
    assert_eq!(world.chat.reading.unread_count(&b).await.unwrap(), 1);
    world.send(&a, id, "three").await.unwrap();
    let texts: Vec<_> = world.messages(&b, id).await.unwrap().into_iter().map(|m| (m.seq, m.text)).collect();
    assert_eq!(texts, [(1, "one".into()), (2, "two".into()), (3, "three".into())]);
    assert_eq!(world.chat.reading.unread_count(&b).await.unwrap(), 2);
    assert_eq!(world.chat.reading.unread_count(&a).await.unwrap(), 0);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_count_from_the_newest_and_read_forward() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    for n in 1..=12 {
        world.send(&a, id, &n.to_string()).await.unwrap();
    }
    let seqs = async |q: serde_json::Value| -> Vec<i64> {
        world.page(&b, id, q).await.unwrap().iter().map(|m| m.seq).collect()
    };
    use serde_json::json;
    assert_eq!(seqs(json!({ "limit": 3 })).await, [10, 11, 12]);
    assert_eq!(seqs(json!({ "limit": 3, "offset": 3 })).await, [7, 8, 9]);
    assert_eq!(seqs(json!({ "limit": 3, "before": 4 })).await, [1, 2, 3]);
    assert_eq!(seqs(json!({ "limit": 3, "after": 4 })).await, [5, 6, 7]);
    assert_eq!(seqs(json!({ "after": 10, "before": 12 })).await, [11]);
    assert_eq!(seqs(json!({ "offset": 100 })).await, Vec::<i64>::new());
    world.close().await;
}

/// The answer to an attempt may be lost; it is written again then.
#[tokio::test(flavor = "multi_thread")]
async fn a_stored_message_counts_as_stored_though_its_sender_was_removed_meanwhile() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    let message = NewMessage {
        id: MessageId::new(),
        conversation_id: id,
        sender_id: a.id,
        text: "unheard".into(),
        kind: "text",
        attachments: serde_json::json!([]),
        client_message_id: None,
        temp_id: None,
        temp_id_again: false,
        reply_to: None,
    };
    let db = &world.chat.core.db;
    db.write_messages(&[&message], false).await.unwrap();
    sqlx::query("UPDATE conversations SET participant_ids = jsonb_build_array($1::text)")
        .bind(b.id.to_string())
        .execute(&world.pool())
        .await
        .unwrap();
    let again = db.write_messages(&[&message], true).await.unwrap();
    let settled = db.settle_messages(&[&message]).await.unwrap();
    for written in again.iter().chain(&settled) {
        assert!(matches!(written.outcome, Outcome::Stored { seq: 1, .. }), "{:?}", written.outcome);
        assert_eq!(*written.members, [b.id]);
    }
    let late = NewMessage { id: MessageId::new(), ..message };
    let refused = db.write_messages(&[&late], true).await.unwrap();
    assert!(matches!(refused[0].outcome, Outcome::NotMember), "{:?}", refused[0].outcome);
    world.close().await;
}
