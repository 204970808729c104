//! Searches share few connections, and what is only noted for later is forgotten in time.

use std::time::Duration;

use futures::{FutureExt as _, future::join_all};
use souk::{config::Config, domain::Role, limits::for_caller};

use crate::support::{World, fresh_config};

#[tokio::test]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn who_waits_for_their_own_connections_keeps_nobody_from_searching() {
    let config = Config { database_max_connections: 8, database_max_connections_per_user: 1, ..fresh_config().await };
    let world = World::on(config).await;
    let (busy, other) = (world.user(Role::Customer).await, world.user(Role::Customer).await);
    let db = &world.chat.core.db;
    let held = for_caller(Some(busy.id), world.pool().acquire()).await.unwrap();
    let search = |id| for_caller(Some(id), db.available_users(id, &[Role::Seller]));
    let mut waiting = Box::pin(join_all((0..8).map(|_| search(busy.id))));
    assert!((&mut waiting).now_or_never().is_none());
    let found = tokio::time::timeout(Duration::from_secs(3), search(other.id)).await;
    assert!(found.is_ok_and(|f| f.is_ok()), "another's search waits for those of the busy one");
    held.done();
    assert!(waiting.await.iter().all(Result::is_ok), "their own go on when they have their turn");
    world.close().await;
}

#[tokio::test]
async fn which_notification_tells_of_which_message_is_forgotten_after_ninety_days_a_few_at_a_time() {
    let world = World::new().await;
    let left = async || {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM message_notifications");
        count.fetch_one(&world.pool()).await.unwrap()
    };
    sqlx::query(
        "INSERT INTO message_notifications (message_id, notification_id, created_at)
         SELECT gen_random_uuid(), gen_random_uuid(), now() - make_interval(days => d) FROM unnest(ARRAY[1, 89, 91, 100]) AS d",
    )
    .execute(&world.pool())
    .await
    .unwrap();
    world.chat.core.db.forget_old_notifications(1).await.unwrap();
    assert_eq!(left().await, 3);
    world.chat.core.db.forget_old_notifications(9).await.unwrap();
    assert_eq!(left().await, 2);
    world.close().await;
}
