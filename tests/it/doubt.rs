//! Messages of which nobody knows for a while whether they are stored: the database took them and then said nothing.

use std::time::{Duration, Instant};

use souk::{
    db::GOOD_FOR,
    domain::{Draft, Role},
    error::Error,
};

use sqlx::Connection as _;

use crate::support::{WAITING, World, is_native, until};

fn draft(text: &str) -> Draft {
    Draft { text: text.into(), client_message_id: Some(text.into()), ..Draft::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_committed_after_its_sender_was_given_up_is_told_and_not_doubled() {
    // The embedded database has one connection, which the slow statement would take.
    if !is_native() {
        return;
    }
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    // The statement takes the row, and then longer than anyone waits.
    sqlx::raw_sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(13); RETURN NULL; END $$;
         CREATE TRIGGER slow AFTER INSERT ON messages FOR EACH ROW WHEN (NEW.message_text = 'slow') EXECUTE FUNCTION slow()",
    )
    .execute(&world.pool())
    .await
    .unwrap();
    let started = Instant::now();
    assert_eq!(world.send_draft(&a, id, draft("slow")).await.unwrap_err(), Error::Internal);
    assert!(started.elapsed() < Duration::from_secs(13), "the sender hears of it in time");
    // Whoever is told of a message while offline gets a notification: it was published.
    until(&world, "SELECT count(*) FROM notifications", 1, GOOD_FOR * 3).await;
    let retried = world.send_draft(&a, id, draft("slow")).await.unwrap();
    let next = world.send_draft(&a, id, draft("next")).await.unwrap();
    assert_eq!((retried.seq, next.seq), (1, 2), "the retry is the same message, and the order holds");
    until(&world, "SELECT count(*) FROM notifications", 2, GOOD_FOR).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_runs_after_its_time_stores_nothing() {
    if !is_native() {
        return;
    }
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    // Whoever holds the conversation's row makes every attempt wait until it is too late.
    let mut connection = world.pool().acquire().await.unwrap();
    let mut holder = connection.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM conversations WHERE id = $1 FOR UPDATE").bind(id.0).execute(&mut *holder).await.unwrap();
    let sent = world.begin_send(&a, id, draft("late"));
    let behind = world.begin_send(&b, id, draft("behind"));
    assert_eq!(sent.await.unwrap().unwrap_err(), Error::Internal);
    let stuck: i64 = sqlx::query_scalar(WAITING).fetch_one(&world.pool()).await.unwrap();
    assert!(stuck > 0, "the attempts still wait for the row");
    // It is the passing of that time that is tested.
    tokio::time::sleep(GOOD_FOR).await;
    holder.commit().await.unwrap();
    connection.done();
    // What waited behind it is answered, stored or not, but within its limit.
    drop(tokio::time::timeout(GOOD_FOR * 3, behind).await.unwrap().unwrap());
    until(&world, WAITING, 0, GOOD_FOR).await;
    let next = world.send_draft(&a, id, draft("next")).await.unwrap();
    let texts: Vec<String> = world.messages(&b, id).await.unwrap().into_iter().map(|m| m.text).collect();
    assert!(!texts.contains(&"late".to_owned()), "{texts:?}");
    assert_eq!(next.seq, i64::try_from(texts.len()).unwrap(), "without gaps");
    world.close().await;
}
