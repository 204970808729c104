//! Opening and listing conversations (contract §REST).

use serde_json::json;
use souk::{domain::Role, error::Error};

use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_racing_calls_open_one_conversation() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let calls = (0..50).map(|n| {
        let (from, with) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
        world.open(from, with)
    });
    let ids: Vec<_> = futures::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM conversations").fetch_one(&world.pool()).await.unwrap();
    assert_eq!(stored, 1);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_related_entity_makes_another_conversation_and_none_finds_any() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let about = |id: &str| json!({ "participantId": b.id, "relatedEntityType": "product", "relatedEntityId": id });
    let one = "11111111-1111-4111-8111-111111111111";
    let two = "22222222-2222-4222-8222-222222222222";
    let first = world.open_with(&a, about(one)).await.unwrap();
    let second = world.open_with(&a, about(two)).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(world.open_with(&a, about(one)).await.unwrap(), first);
    assert!([first, second].contains(&world.open(&a, &b).await.unwrap()));
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_may_not_talk_are_refused_whatever_type_they_ask_for() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Customer).await);
    let seller = world.user(Role::Seller).await;
    for kind in [json!(null), json!("internal"), json!("customer_support")] {
        let asked = world.open_with(&a, json!({ "participantId": b.id, "type": kind })).await;
        assert!(matches!(asked, Err(Error::RolesMayNotTalk(_))), "{kind}");
    }
    let asked = world.open_with(&a, json!({ "participantId": seller.id, "type": "internal" })).await;
    assert!(matches!(asked, Err(Error::RolesMayNotTalk(_))));
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_or_unknown_participant_is_not_found() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    sqlx::query("UPDATE users SET status = 'suspended' WHERE id = $1")
        .bind(b.id.0)
        .execute(&world.pool())
        .await
        .unwrap();
    assert_eq!(world.open(&a, &b).await, Err(Error::ParticipantNotFound));
    let nobody = json!({ "participantId": uuid::Uuid::new_v4() });
    assert_eq!(world.open_with(&a, nobody).await, Err(Error::ParticipantNotFound));
    assert!(matches!(world.open(&a, &a).await, Err(Error::InvalidParticipant(_))));
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_pages_by_conversation_without_a_gap() {
    let world = World::new().await;
    let staff = world.user(Role::Admin).await;
    let mut opened = Vec::new();
    for _ in 0..7 {
        let customer = world.user(Role::Customer).await;
        let id = world.open(&customer, &staff).await.unwrap();
        world.send(&customer, id, "hello").await.unwrap();
        opened.insert(0, id.to_string());
    }
    // Equal times must not hide a conversation between two pages.
    sqlx::query("UPDATE conversations SET last_message_at = '2026-01-01T00:00:00Z'")
        .execute(&world.pool())
        .await
        .unwrap();
    let mut seen: Vec<String> = Vec::new();
    loop {
        let before = seen.last().map_or(json!(null), |id| json!(id));
        let page = world.conversations(&staff, json!({ "limit": 3, "before": before })).await;
        if page.is_empty() {
            break;
        }
        seen.extend(page.iter().map(|c| c["id"].as_str().unwrap().to_owned()));
    }
    seen.sort();
    opened.sort();
    assert_eq!(seen, opened);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_may_begin_at_any_time_that_can_be_written() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    world.open(&a, &b).await.unwrap();
    for (before, found) in [("0000-01-01T00:00:00Z", 0), ("6053-01-23T02:08:00Z", 1), ("9999-12-31T23:59:60Z", 1)] {
        assert_eq!(world.conversations(&a, json!({ "before": before })).await.len(), found, "{before}");
    }
    world.close().await;
}
