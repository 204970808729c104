//! Behind a transaction-mode pooler, a real PgBouncer: `scripts/test` starts one and names it in `TEST_POOLER_URL`.

use std::sync::Arc;

use souk::{
    config::Pooler,
    domain::{Role, User},
};

use crate::support::{World, fresh_config};

const NEEDS: &str = "TEST_POOLER_URL names a PgBouncer in transaction mode in front of TEST_DATABASE_URL";

/// A chat on a fresh database behind the pooler.
async fn world_behind_pooler(pooler: Pooler) -> World {
    let server = std::env::var("TEST_POOLER_URL").expect(NEEDS);
    let mut config = fresh_config().await;
    let direct = config.database_url.take().expect(NEEDS);
    let name = direct.expose().rsplit_once('/').unwrap().1;
    config.database_url = Some(format!("{server}/{name}").as_str().into());
    config.database_pooler = pooler;
    World::on(config).await
}

/// Sends, pages, lists and opens on many tasks at once, so that statements of all kinds meet on few backends.
async fn work_hard(world: &Arc<World>) {
    let mut people: Vec<(Arc<User>, Arc<User>)> = Vec::new();
    for _ in 0..8 {
        people.push((world.user(Role::Customer).await, world.user(Role::Seller).await));
    }
    let tasks = people.into_iter().map(|(a, b)| {
        let world = world.clone();
        tokio::spawn(async move {
            for n in 0..20 {
                let id = world.open(&a, &b).await.unwrap();
                let sent = world.send(&a, id, &format!("message {n}")).await.unwrap();
                world.chat.messages.react(&b, sent.id, &souk::domain::Emoji::parse("👍").unwrap(), true).await.unwrap();
                let page = world.messages(&b, id).await.unwrap();
                assert_eq!(page.last().unwrap().id, sent.id);
                assert_eq!(world.conversations(&b, serde_json::json!({})).await.len(), 1);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

async fn named_statements(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM pg_prepared_statements").fetch_one(&world.pool()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PgBouncer: scripts/test starts one and runs it"]
async fn statements_of_two_servers_that_share_backends_never_meet() {
    let one = Arc::new(world_behind_pooler(Pooler::Transaction).await);
    let two = Arc::new(World::on(one.config.clone()).await);
    tokio::join!(work_hard(&one), work_hard(&two));
    // Also none of the migrations'.
    assert_eq!(named_statements(&one).await, 0, "statements left on a backend that is everybody's");
    for world in [one, two] {
        Arc::into_inner(world).unwrap().close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PgBouncer: scripts/test starts one and runs it"]
async fn a_pooler_that_nobody_told_of_is_noticed_at_start() {
    let world = Arc::new(world_behind_pooler(Pooler::Auto).await);
    assert!(world.chat.core.db.pool().is_behind_pooler());
    work_hard(&world).await;
    assert_eq!(named_statements(&world).await, 0);
    Arc::into_inner(world).unwrap().close().await;
}

#[tokio::test]
async fn where_there_is_no_pooler_none_is_seen_and_statements_stay_prepared() {
    let world = World::new().await;
    assert!(!world.chat.core.db.pool().is_behind_pooler());
    assert!(named_statements(&world).await > 0);
    world.close().await;
}
