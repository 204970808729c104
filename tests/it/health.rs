//! What `GET /api/v1/health` says of the database while every connection is in use.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use souk::{chat::DatabaseHealth, config::Config};
use tokio::task::JoinSet;

use crate::support::{Line, World, fresh_config};

/// As many statements as make a probe wait for its turn for longer than it may take.
const ASKERS: usize = 4;

/// Keeps the only connection of the pool in use, by statements that are answered.
fn keep_busy(world: &World) -> JoinSet<()> {
    let mut askers = JoinSet::new();
    for _ in 0..ASKERS {
        let pool = world.pool();
        askers.spawn(async move {
            loop {
                sqlx::query("SELECT pg_sleep(0.7)").execute(&pool).await.ok();
            }
        });
    }
    askers
}

async fn world_with_one_connection(config: Config) -> World {
    World::on(Config { database_max_connections: 1, ..config }).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_pool_that_is_in_use_is_no_database_that_does_not_answer() {
    let world = world_with_one_connection(fresh_config().await).await;
    let mut askers = keep_busy(&world);
    let started = Instant::now();
    let mut was_busy = false;
    while !was_busy || started.elapsed() < Duration::from_secs(4) {
        let health = world.chat.health.database().await;
        assert_ne!(health, DatabaseHealth::Unavailable, "after {:?}", started.elapsed());
        was_busy |= health == DatabaseHealth::Busy;
        assert!(started.elapsed() < Duration::from_secs(30), "nobody notices that the pool is in use");
    }
    askers.shutdown().await;
    while world.chat.health.database().await != DatabaseHealth::Healthy {
        assert!(started.elapsed() < Duration::from_secs(60), "the pool is free again");
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_database_that_stops_answering_while_the_pool_is_in_use_is_noticed_within_two_seconds() {
    let (config, line) = Line::before(fresh_config().await).await;
    let world = Arc::new(world_with_one_connection(config).await);
    let mut askers = keep_busy(&world);
    while world.chat.health.database().await != DatabaseHealth::Busy {}
    line.answers_held.send_replace(true);
    let stopped = Instant::now();
    while world.chat.health.database().await != DatabaseHealth::Unavailable {
        assert!(stopped.elapsed() < Duration::from_secs(4), "not noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = stopped.elapsed();
    assert!(took < Duration::from_millis(2500), "noticed after {took:?}");
    line.answers_held.send_replace(false);
    askers.shutdown().await;
    while world.chat.health.database().await != DatabaseHealth::Healthy {
        assert!(stopped.elapsed() < Duration::from_secs(60), "it answers again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Arc::into_inner(world).unwrap().close().await;
}
