//! A trigger of the shop's that takes long for each message.

use std::time::{Duration, Instant};

use souk::{
    config::Config,
    domain::{Draft, Role},
    error::Error,
};

use crate::support::{World, fresh_config};

const TRIGGER: &str = "
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION slow()";

const TALKS: usize = 30;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn with_a_slow_trigger_every_sender_hears_within_about_ten_seconds() {
    let world = World::on(Config { writer_lanes: 1, ..fresh_config().await }).await;
    let seller = world.user(Role::Seller).await;
    let mut talks = Vec::new();
    for _ in 0..TALKS {
        let customer = world.user(Role::Customer).await;
        let id = world.open(&customer, &seller).await.unwrap();
        talks.push((customer, id));
    }
    sqlx::raw_sql(TRIGGER).execute(&world.pool()).await.unwrap();
    let mut senders = tokio::task::JoinSet::new();
    for wave in 0..4 {
        for (customer, id) in &talks {
            let draft = Draft { text: format!("wave {wave}"), ..Draft::default() };
            let (begun, sent) = (Instant::now(), world.begin_send(customer, *id, draft));
            senders.spawn(async move { (sent.await.unwrap(), begun.elapsed()) });
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let (mut stored, mut slowest) = (0, Duration::ZERO);
    while let Some(answered) = senders.join_next().await {
        let (sent, took) = answered.unwrap();
        slowest = slowest.max(took);
        match sent {
            Ok(_) => stored += 1,
            Err(e) => assert_eq!(e, Error::Busy),
        }
    }
    // One a second, but for the first statement, which the server ends.
    assert!(stored >= 10, "only {stored} were stored");
    assert!(slowest < Duration::from_millis(11_500), "one heard after {slowest:?}");
    let found: i64 = sqlx::query_scalar("SELECT count(*) FROM messages").fetch_one(&world.pool()).await.unwrap();
    assert_eq!(found, stored, "who is refused has nothing stored");
    world.close().await;
}
