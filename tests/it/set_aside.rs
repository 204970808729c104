//! The order of a conversation's messages, where one of them has to wait.

use std::time::Duration;

use souk::{
    config::Config,
    domain::{Draft, Role},
    error::Error,
};

use crate::support::{World, fresh_config};

/// A trigger of the shop's: one text takes long, one is refused, and one waits for a lock that nobody finds, three times, once
/// the other was refused. Sequences keep what a transaction that failed did to them.
const TRIGGER: &str = "
    CREATE SEQUENCE refusals;
    CREATE SEQUENCE attempts;
    CREATE FUNCTION shop() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.message_text = 'long' THEN
            PERFORM pg_sleep(1);
        ELSIF NEW.message_text = 'bad' THEN
            PERFORM nextval('refusals');
            RAISE EXCEPTION 'not in this shop' USING ERRCODE = '22000';
        ELSIF NEW.message_text = 'waits' AND (SELECT is_called FROM refusals) AND nextval('attempts') <= 3 THEN
            RAISE EXCEPTION 'somebody is in the way' USING ERRCODE = '55P03';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER shop BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION shop()";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_conversation_passes_a_message_that_was_set_aside() {
    let world = World::on(Config { writer_lanes: 1, ..fresh_config().await }).await;
    let (customer, seller, other) =
        (world.user(Role::Customer).await, world.user(Role::Seller).await, world.user(Role::Seller).await);
    let (id, elsewhere) = (world.open(&customer, &seller).await.unwrap(), world.open(&customer, &other).await.unwrap());
    sqlx::raw_sql(TRIGGER).execute(&world.pool()).await.unwrap();
    let draft = |text: &str| Draft { text: text.into(), ..Draft::default() };
    // While it is written, the others queue up: they are one batch, which is refused because of the second one.
    let long = world.begin_send(&customer, elsewhere, draft("long"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let batch = ["first", "bad", "waits", "next", "last"].map(|text| world.begin_send(&customer, id, draft(text)));
    let mut seqs = Vec::new();
    for sent in batch {
        seqs.push(sent.await.unwrap().map(|message| message.seq));
    }
    long.await.unwrap().unwrap();
    assert_eq!(seqs, [Ok(1), Err(Error::Internal), Ok(2), Ok(3), Ok(4)]);
    world.close().await;
}
