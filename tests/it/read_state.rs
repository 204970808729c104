//! Watermarks: read_by, status and unread counts are derived from them.

use souk::{domain::Role, error::Error};

use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn reading_moves_every_message_to_read_at_once() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    for _ in 0..3 {
        world.send(&a, id, "x").await.unwrap();
    }
    world.send(&b, id, "own").await.unwrap();
    assert_eq!(world.chat.reading.unread_count(&b).await.unwrap(), 3);
    assert_eq!(world.chat.reading.mark_read(&b, id, None).await.unwrap(), 3);
    assert_eq!(world.chat.reading.mark_read(&b, id, None).await.unwrap(), 0, "a second time changes nothing");
    assert_eq!(world.chat.reading.unread_count(&b).await.unwrap(), 0);
    let messages = world.messages(&a, id).await.unwrap();
    for m in &messages[..3] {
        assert_eq!(m.read_by, [a.id, b.id]);
        assert_eq!(m.delivered_to, [b.id]);
        assert!(m.read_at.is_some());
    }
    assert_eq!(messages[3].read_by, [b.id]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_part_reads_nothing() {
    let world = World::new().await;
    let (a, b, stranger) =
        (world.user(Role::Customer).await, world.user(Role::Seller).await, world.user(Role::Admin).await);
    let id = world.open(&a, &b).await.unwrap();
    world.send(&a, id, "secret").await.unwrap();
    assert_eq!(world.messages(&stranger, id).await.unwrap_err(), Error::NotAuthorized);
    assert_eq!(world.chat.reading.mark_read(&stranger, id, None).await.unwrap_err(), Error::NotAuthorized);
    let nowhere = souk::domain::ConversationId(uuid::Uuid::new_v4());
    assert_eq!(world.messages(&stranger, nowhere).await.unwrap_err(), Error::ConversationNotFound);
    assert!(world.conversations(&stranger, serde_json::json!({})).await.is_empty());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_racing_with_reads_never_count_as_ones_own_unread() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    let sends = async {
        for n in 0..60 {
            world.send(&a, id, &n.to_string()).await.unwrap();
        }
    };
    let reads = async {
        for _ in 0..60 {
            world.chat.reading.mark_read(&a, id, None).await.unwrap();
        }
    };
    futures::future::join(sends, reads).await;
    assert_eq!(world.chat.reading.unread_count(&a).await.unwrap(), 0);
    assert_eq!(world.chat.reading.unread_count(&b).await.unwrap(), 60);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_removed_by_sql_is_out_at_once() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    sqlx::query("UPDATE conversations SET participant_ids = jsonb_build_array($1::text) WHERE id = $2")
        .bind(a.id.to_string())
        .bind(id.0)
        .execute(&world.pool())
        .await
        .unwrap();
    assert_eq!(world.messages(&b, id).await.unwrap_err(), Error::NotAuthorized);
    assert_eq!(world.send(&b, id, "x").await.unwrap_err(), Error::NotAuthorized);
    world.close().await;
}
