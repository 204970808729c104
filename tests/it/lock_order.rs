//! Locks are taken in one order, so that neither side is ever a deadlock's victim.

use souk::db::Delivery;

use crate::{
    locks::{SOON, Scene, run},
    support::{WAITING, until},
};

/// What the shop does to the participants of a conversation.
fn without_customer(s: &Scene, talk: usize) -> String {
    let (_, id) = &s.talks[talk];
    format!("UPDATE conversations SET participant_ids = '[\"{}\"]' WHERE id = '{id}'", s.seller.id)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn the_shop_is_no_deadlocks_victim_for_delivery_marks() {
    let s = Scene::new().await;
    let mut order = [0, 1];
    order.sort_by_key(|talk| s.talks[*talk].1);
    let [first, second] = order;
    let mut shop = s.stranger().await;
    // The members of the second one, while we take those of the first and then wait for these.
    run(&mut shop, &format!("BEGIN; {}", without_customer(&s, second))).await;
    let deliveries = [first, second].map(|talk| Delivery {
        message_id: souk::domain::MessageId::new(),
        conversation_id: s.talks[talk].1,
        seq: 1,
        recipients: vec![s.talks[talk].0.id],
    });
    let db = s.world.chat.core.db.clone();
    let marked = tokio::spawn(async move { db.mark_delivered(&deliveries).await });
    let mut watcher = s.stranger().await;
    loop {
        let waiting: i64 = sqlx::query_scalar(WAITING).fetch_one(&mut watcher).await.unwrap();
        if waiting > 0 || marked.is_finished() {
            break;
        }
    }
    run(&mut shop, &without_customer(&s, first)).await;
    run(&mut shop, "COMMIT").await;
    let (_, left) = marked.await.unwrap().unwrap();
    assert!(left.len() <= 2, "and our side says what it has to try again");
    s.world.close().await;
}

/// Two members of the locked conversation, of whom the one with the higher id lies first in the table. Somebody holds the lower one's
/// row while `statement` runs: it waits for that, and has not locked the higher one yet.
async fn locks_the_lower_member_first(statement: impl FnOnce(&Scene) -> String) {
    let s = Scene::new().await;
    let (low, high) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
    let id = s.locked().1;
    let mut shop = s.stranger().await;
    for list in [format!("[\"{high}\"]"), format!("[\"{high}\", \"{low}\"]")] {
        run(&mut shop, &format!("UPDATE conversations SET participant_ids = '{list}' WHERE id = '{id}'")).await;
    }
    let member =
        |user| format!("SELECT FROM conversation_members WHERE conversation_id = '{id}' AND user_id = '{user}'");
    let mut holder = s.stranger().await;
    run(&mut holder, &format!("BEGIN; {} FOR UPDATE", member(low))).await;
    let statement = statement(&s);
    let done = tokio::spawn(async move { run(&mut shop, &statement).await });
    until(&s.world, WAITING, 1, SOON).await;
    run(&mut s.stranger().await, &format!("{} FOR UPDATE NOWAIT", member(high))).await;
    run(&mut holder, "COMMIT").await;
    done.await.unwrap();
    s.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_change_of_participants_locks_the_members_in_the_order_of_their_ids() {
    locks_the_lower_member_first(|s| {
        format!("UPDATE conversations SET participant_ids = '[]' WHERE id = '{}'", s.locked().1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_message_inserted_by_sql_locks_the_members_in_the_order_of_their_ids() {
    locks_the_lower_member_first(|s| {
        let (id, sender) = (s.locked().1, s.seller.id);
        format!("INSERT INTO messages (conversation_id, sender_id, message_text) VALUES ('{id}', '{sender}', 'by SQL')")
    })
    .await;
}
