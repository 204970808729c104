//! Tables that somebody else keeps locked: what needs them waits or is refused in time, and what does not goes on.

use std::time::{Duration, Instant};

use souk::error::Error;
use sqlx::PgConnection;

use crate::{
    locks::{CONNECTIONS, Pending, SOON, Scene, run},
    support::{fresh_config, until},
};

const EXCLUSIVE_WAITING: &str = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND \
     database = (SELECT oid FROM pg_database WHERE datname = current_database())";
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_table_that_is_altered_makes_everyone_wait_and_nobody_lose() {
    let s = Scene::new().await;
    let (mut reader, mut shop, mut watcher) = (s.stranger().await, s.stranger().await, s.stranger().await);
    run(&mut reader, "BEGIN; SELECT count(*) FROM messages").await;
    // Waits for the reader, and whoever comes waits behind it.
    let altered = tokio::spawn(async move { run(&mut shop, "ALTER TABLE messages ADD COLUMN shop_note text").await });
    until(&s.world, EXCLUSIVE_WAITING, 1, SOON).await;
    let waiting: Vec<Pending> = (0..s.talks.len()).map(|talk| s.begin(talk, "meanwhile")).collect();
    for _ in 0..20 {
        assert!(s.backends(&mut watcher).await <= CONNECTIONS);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    run(&mut reader, "COMMIT").await;
    altered.await.unwrap();
    for sent in waiting {
        tokio::time::timeout(SOON, sent).await.unwrap().unwrap().unwrap();
    }
    s.world.close().await;
}

/// What needs a table that stays locked is refused as busy, and is not there afterwards; what does not need it goes on.
async fn a_table_that_stays_locked(s: &Scene, watcher: &mut PgConnection) {
    let waiting: Vec<Pending> = (0..s.talks.len()).map(|talk| s.begin(talk, "lost")).collect();
    let read = async {
        let refused = s.world.messages(&s.seller, s.locked().1).await;
        assert_eq!(refused.unwrap_err(), Error::Busy, "a page may be asked for again");
    };
    tokio::join!(read, refused_while_others_go_on(s, waiting, watcher));
}

async fn refused_while_others_go_on(s: &Scene, waiting: Vec<Pending>, watcher: &mut PgConnection) {
    for sent in waiting {
        let mut sent = std::pin::pin!(sent);
        let refused = loop {
            let asked = Instant::now();
            s.world.chat.users.available(&s.seller).await.unwrap();
            assert!(asked.elapsed() < SOON, "who needs other tables waited {:?}", asked.elapsed());
            assert!(s.backends(watcher).await <= CONNECTIONS);
            if let Ok(refused) = tokio::time::timeout(Duration::from_millis(100), &mut sent).await {
                break refused.unwrap();
            }
        };
        assert_eq!(refused.unwrap_err(), Error::Busy, "it may be sent again");
    }
}

/// Each conversation has its first message and none of those that were refused.
async fn goes_on_after(s: Scene) {
    for (customer, id) in &s.talks {
        let sent = tokio::time::timeout(SOON, s.world.send(customer, *id, "next")).await.unwrap().unwrap();
        assert_eq!(sent.seq, 2);
    }
    s.world.close().await;
}

/// `VACUUM FULL` that waits for a reader: whoever comes waits behind it.
async fn while_vacuum_full_waits(table: &str) {
    let s = Scene::new().await;
    let (mut reader, mut shop, mut watcher) = (s.stranger().await, s.stranger().await, s.stranger().await);
    run(&mut reader, &format!("BEGIN; SELECT count(*) FROM {table}")).await;
    let vacuum = format!("VACUUM FULL {table}");
    let vacuumed = tokio::spawn(async move { run(&mut shop, &vacuum).await });
    until(&s.world, EXCLUSIVE_WAITING, 1, SOON).await;
    a_table_that_stays_locked(&s, &mut watcher).await;
    run(&mut reader, "COMMIT").await;
    vacuumed.await.unwrap();
    goes_on_after(s).await;
}

/// `VACUUM FULL` that takes long: the same work under the same lock, in a transaction that stays open.
async fn while_vacuum_full_runs(table: &str, key: &str) {
    let s = Scene::new().await;
    let (mut shop, mut watcher) = (s.stranger().await, s.stranger().await);
    run(&mut shop, &format!("BEGIN; CLUSTER {table} USING {key}")).await;
    a_table_that_stays_locked(&s, &mut watcher).await;
    run(&mut shop, "COMMIT").await;
    goes_on_after(s).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn vacuum_full_of_messages_that_waits_holds_up_only_what_needs_them() {
    while_vacuum_full_waits("messages").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn vacuum_full_of_members_that_waits_holds_up_only_what_needs_them() {
    while_vacuum_full_waits("conversation_members").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn vacuum_full_of_messages_that_runs_holds_up_only_what_needs_them() {
    while_vacuum_full_runs("messages", "messages_pkey").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn vacuum_full_of_members_that_runs_holds_up_only_what_needs_them() {
    while_vacuum_full_runs("conversation_members", "conversation_members_pkey").await;
}

/// As building an index does: rows can be locked meanwhile, but none inserted.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_table_that_takes_no_rows_for_long_has_every_sender_answered_in_time() {
    let config = souk::config::Config { writer_lanes: 1, ..fresh_config().await };
    let s = Scene::on(config, 60).await;
    let mut shop = s.stranger().await;
    run(&mut shop, "BEGIN; LOCK TABLE messages IN SHARE MODE").await;
    let started = Instant::now();
    let waiting: Vec<Pending> = (0..s.talks.len()).map(|talk| s.begin(talk, "meanwhile")).collect();
    for sent in waiting {
        assert_eq!(sent.await.unwrap().unwrap_err(), Error::Busy);
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(14), "the last sender was answered after {took:?}");
    run(&mut shop, "COMMIT").await;
    let (customer, id) = s.locked();
    assert_eq!(s.world.send(customer, *id, "next").await.unwrap().seq, 2);
    s.world.close().await;
}
