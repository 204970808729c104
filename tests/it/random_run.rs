//! A thousand random operations; then the views and functions that the contract names, the API, and a model that
//! knows nothing of watermarks must agree.

use std::{collections::BTreeMap, sync::Arc};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use souk::domain::{ConversationId, Role, User, UserId};

use crate::support::World;

const OPERATIONS: usize = 1000;

/// What a conversation is, told the slow way: each message with everyone who has read it.
#[derive(Default)]
struct Modelled {
    members: Vec<UserId>,
    messages: Vec<(UserId, Vec<UserId>)>,
}

impl Modelled {
    fn unread(&self, user: UserId) -> i64 {
        let unread = self.messages.iter().filter(|(sender, read_by)| *sender != user && !read_by.contains(&user));
        i64::try_from(unread.count()).unwrap()
    }

    fn read(&mut self, user: UserId) -> i64 {
        let unread = self.unread(user);
        for (_, read_by) in self.messages.iter_mut().filter(|(_, r)| !r.contains(&user)) {
            read_by.push(user);
        }
        unread
    }
}

type Model = BTreeMap<ConversationId, Modelled>;

#[tokio::test(flavor = "multi_thread")]
async fn views_functions_and_api_agree_after_a_random_run() {
    let seed = std::env::var("SOUK_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("SOUK_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::new().await;
    let mut users = Vec::new();
    for role in [Role::Customer, Role::Customer, Role::Seller, Role::Seller, Role::Admin, Role::Manager] {
        users.push(world.user(role).await);
    }
    let mut model = Model::new();
    for _ in 0..OPERATIONS {
        operate(&world, &mut rng, &users, &mut model).await;
    }
    for user in &users {
        compare(&world, user, &users, &model).await;
    }
    world.close().await;
}

async fn operate(world: &World, rng: &mut StdRng, users: &[Arc<User>], model: &mut Model) {
    let user = &users[rng.random_range(0..users.len())];
    let known: Vec<ConversationId> = model.keys().copied().collect();
    let any = (!known.is_empty()).then(|| known[rng.random_range(0..known.len())]);
    match (rng.random_range(0..20), any) {
        (0..2, _) | (_, None) => {
            let other = &users[rng.random_range(0..users.len())];
            if let Ok(id) = world.open(user, other).await {
                let entry = model.entry(id).or_default();
                if entry.members.is_empty() {
                    entry.members = vec![user.id, other.id];
                }
            }
        }
        (2..12, Some(id)) => {
            let sent = world.send(user, id, "x").await;
            let modelled = model.get_mut(&id).unwrap();
            assert_eq!(sent.is_ok(), modelled.members.contains(&user.id));
            if let Ok(m) = sent {
                modelled.messages.push((user.id, vec![user.id]));
                assert_eq!(m.seq, i64::try_from(modelled.messages.len()).unwrap());
            }
        }
        (12..17, Some(id)) => {
            let marked = world.chat.reading.mark_read(user, id, None).await;
            let modelled = model.get_mut(&id).unwrap();
            assert_eq!(marked.is_ok(), modelled.members.contains(&user.id));
            if let Ok(n) = marked {
                assert_eq!(n, modelled.read(user.id));
            }
        }
        (_, Some(id)) => {
            let n: i32 = sqlx::query_scalar("SELECT mark_messages_as_read($1, $2)")
                .bind(id.0)
                .bind(user.id.0)
                .fetch_one(&world.pool())
                .await
                .unwrap();
            let modelled = model.get_mut(&id).unwrap();
            let expected = if modelled.members.contains(&user.id) { modelled.read(user.id) } else { 0 };
            assert_eq!(i64::from(n), expected);
        }
    }
}

async fn compare(world: &World, user: &User, users: &[Arc<User>], model: &Model) {
    let mine: Vec<_> = model.iter().filter(|(_, m)| m.members.contains(&user.id)).collect();
    let total: i64 = mine.iter().map(|(_, m)| m.unread(user.id)).sum();
    assert_eq!(world.chat.reading.unread_count(user).await.unwrap(), total);
    let function: i32 = sqlx::query_scalar("SELECT get_unread_message_count($1)")
        .bind(user.id.0)
        .fetch_one(&world.pool())
        .await
        .unwrap();
    assert_eq!(i64::from(function), total);
    let viewed: BTreeMap<uuid::Uuid, i64> =
        sqlx::query_as("SELECT conversation_id, unread_count FROM unread_message_counts WHERE user_id = $1")
            .bind(user.id.0)
            .fetch_all(&world.pool())
            .await
            .unwrap()
            .into_iter()
            .collect();
    let listed = world.conversations(user, serde_json::json!({ "limit": 200 })).await;
    assert_eq!(listed.len(), mine.len());
    for (id, modelled) in &mine {
        let unread = modelled.unread(user.id);
        assert_eq!(viewed[&id.0], unread);
        let view = listed.iter().find(|c| c["id"] == id.to_string()).unwrap();
        assert_eq!(view["unread_count"], unread);
        let messages = world.page(user, **id, serde_json::json!({ "limit": 200 })).await.unwrap();
        for m in messages {
            let (sender, read_by) = &modelled.messages[usize::try_from(m.seq - 1).unwrap()];
            assert_eq!(m.sender_id, *sender);
            let sorted = |mut ids: Vec<UserId>| {
                ids.sort();
                ids
            };
            assert_eq!(sorted(m.read_by), sorted(read_by.clone()));
        }
    }
    for (id, modelled) in model {
        let participants: Vec<uuid::Uuid> =
            sqlx::query_scalar("SELECT user_id FROM conversation_participants WHERE conversation_id = $1")
                .bind(id.0)
                .fetch_all(&world.pool())
                .await
                .unwrap();
        assert_eq!(participants.len(), modelled.members.len());
        for other in users {
            let is: bool = sqlx::query_scalar("SELECT is_conversation_participant($1, $2)")
                .bind(id.0)
                .bind(other.id.0)
                .fetch_one(&world.pool())
                .await
                .unwrap();
            assert_eq!(is, modelled.members.contains(&other.id));
            assert_eq!(is, participants.contains(&other.id.0));
        }
    }
}
