//! Catching up, held against what happened: whatever a client missed, what it is told makes it whole.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use souk::{
    domain::{ConversationId, Emoji, Role, User},
    protocol::{ListMessages, Payload, SyncRequest},
};

use crate::support::World;

async fn sync(world: &World, user: &User, body: Value) -> Value {
    let request = SyncRequest::try_from(&Payload::from(body)).unwrap();
    serde_json::to_value(world.chat.sync.catch_up(user, request).await.unwrap().view()).unwrap()
}

async fn missed(world: &World, user: &User, id: ConversationId, last_seq: usize) -> Value {
    let answer = sync(world, user, json!({ "conversations": { id.to_string(): last_seq } })).await;
    answer["conversations"][id.to_string()].clone()
}

/// What a client has of a conversation: its messages by number, as the wire carries them.
type History = std::collections::BTreeMap<i64, Value>;

/// Takes an answer in, as a client would.
fn absorb(history: &mut History, answer: &Value) {
    if answer["reset"] == true {
        history.clear();
    }
    for message in ["changes", "messages"].iter().flat_map(|list| answer[*list].as_array().unwrap()) {
        history.insert(message["seq"].as_i64().unwrap(), message.clone());
    }
    for hidden in answer["deleted_for_me"].as_array().unwrap() {
        history.remove(&hidden["seq"].as_i64().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happened_a_client_that_catches_up_has_what_the_server_has() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    let seed = rand::random();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut history = History::new();
    let mut known = 0;
    let mut sent = Vec::new();
    for round in 0..12 {
        for _ in 0..rng.random_range(0..25) {
            let actor = if rng.random() { &a } else { &b };
            let target = (!sent.is_empty()).then(|| sent[rng.random_range(0..sent.len())]);
            match (rng.random_range(0..10), target) {
                (0, Some(message)) => drop(world.chat.messages.delete(actor, message, rng.random()).await),
                (1, Some(message)) => {
                    drop(world.chat.messages.edit(actor, message, format!("edited in {round}")).await)
                }
                (2, Some(message)) => {
                    drop(world.chat.messages.react(actor, message, &Emoji::parse("👍").unwrap(), rng.random()).await);
                }
                (3, _) => drop(world.chat.reading.mark_read(actor, id, None).await.unwrap()),
                _ => sent.push(world.send(actor, id, &format!("message {}", sent.len() + 1)).await.unwrap().id),
            }
        }
        loop {
            let limit = rng.random_range(1..=20);
            let answer = sync(&world, &a, json!({ "conversations": { id.to_string(): known }, "limit": limit })).await;
            let answer = &answer["conversations"][id.to_string()];
            absorb(&mut history, answer);
            known = answer["up_to"].as_i64().unwrap();
            if answer["has_more"] == false {
                break;
            }
        }
        let all = ListMessages::from(&Payload::from(json!({ "after": 0, "limit": 200 })));
        let stored = world.chat.messages.page(&a, id, &all).await.unwrap();
        let mut wanted: Vec<Value> = stored.view().iter().map(|m| serde_json::to_value(m).unwrap()).collect();
        let mut got: Vec<Value> = history.values().cloned().collect();
        for message in wanted.iter_mut().chain(&mut got) {
            // Read state is told by watermarks, not by message.
            for field in ["read_by", "delivered_to", "status", "read_at", "delivered_at"] {
                message.as_object_mut().unwrap().remove(field);
            }
        }
        assert_eq!(got, wanted, "seed {seed}, round {round}");
        assert_eq!(known, i64::try_from(sent.len()).unwrap());
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_too_little_or_what_is_not_there_starts_anew() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    for n in 1..=3 {
        world.send(&a, id, &n.to_string()).await.unwrap();
    }
    let ahead = missed(&world, &b, id, 4).await;
    assert_eq!((&ahead["reset"], ahead["messages"].as_array().unwrap().len()), (&json!(true), 3));
    sqlx::query("UPDATE conversations SET last_seq = 6000 WHERE id = $1")
        .bind(id.0)
        .execute(&world.pool())
        .await
        .unwrap();
    assert_eq!(missed(&world, &b, id, 1).await["reset"], true);
    assert_eq!(missed(&world, &b, id, 1500).await["reset"], true, "the message that it knows is not there");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_which_the_caller_deleted_everything_still_leads_on() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    for n in 1..=4 {
        let message = world.send(&a, id, &n.to_string()).await.unwrap();
        if n <= 2 {
            world.chat.messages.delete(&b, message.id, false).await.unwrap();
        }
    }
    let answer = sync(&world, &b, json!({ "conversations": { id.to_string(): 0 }, "limit": 2 })).await;
    let answer = &answer["conversations"][id.to_string()];
    assert_eq!((&answer["up_to"], &answer["has_more"], &answer["messages"]), (&json!(2), &json!(true), &json!([])));
    assert_eq!(answer["deleted_for_me"].as_array().unwrap().len(), 2);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn since_a_time_brings_every_conversation_in_which_something_happened() {
    let world = World::new().await;
    let (a, b, c) = (world.user(Role::Customer).await, world.user(Role::Seller).await, world.user(Role::Admin).await);
    let (with_b, with_c) = (world.open(&a, &b).await.unwrap(), world.open(&a, &c).await.unwrap());
    let old = world.send(&b, with_b, "old").await.unwrap();
    world.send(&c, with_c, "older").await.unwrap();
    // As if all that was long ago.
    for table in ["messages SET created_at = created_at", "conversations SET created_at = created_at"] {
        let sql = format!("UPDATE {table} - interval '1 day'");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&world.pool()).await.unwrap();
    }
    sqlx::raw_sql(
        "UPDATE conversations SET last_message_at = last_message_at - interval '1 day';
         UPDATE conversation_members SET last_delivered_at = NULL, last_read_at = NULL",
    )
    .execute(&world.pool())
    .await
    .unwrap();
    let first = sync(&world, &a, json!({ "since": "2000-01-01T00:00:00Z" })).await;
    assert_eq!(first["conversations"].as_object().unwrap().len(), 2);
    let since = first["server_time"].clone();
    assert_eq!(sync(&world, &a, json!({ "since": since })).await["conversations"], json!({}), "nothing happened");
    world.chat.messages.edit(&b, old.id, "edited".into()).await.unwrap();
    let second = sync(&world, &a, json!({ "since": since })).await;
    let only = &second["conversations"][with_b.to_string()];
    assert_eq!(second["conversations"].as_object().unwrap().len(), 1);
    assert_eq!((&only["messages"], &only["changes"][0]["message_text"]), (&json!([]), &json!("edited")));
    world.close().await;
}
