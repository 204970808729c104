//! Messages of which nobody knows for a while whether they are stored: the database took them and then said nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use souk::{
    db::GOOD_FOR,
    domain::{ConversationId, Draft, Role, User},
    error::Error,
};

use crate::support::{Line, World, fresh_config, until};

fn draft(text: &str) -> Draft {
    Draft { text: text.into(), client_message_id: Some(text.into()), ..Draft::default() }
}

/// Two conversations in one lane, with the database at the other end of a line.
struct Scene {
    world: World,
    line: Line,
    /// Past the line.
    direct: sqlx::PgPool,
    a: Arc<User>,
    b: Arc<User>,
    id: ConversationId,
    other: ConversationId,
}

impl Scene {
    /// `None` on the embedded database, which listens on no port of its own.
    async fn new() -> Self {
        // One connection: it has prepared the statement by the time that matters, and sends it as a whole.
        let config = souk::config::Config { writer_lanes: 1, database_max_connections: 1, ..fresh_config().await };
        let direct = sqlx::PgPool::connect(config.database_url.as_ref().unwrap().expose()).await.unwrap();
        let (config, line) = Line::before(config).await;
        let world = World::on(config).await;
        let (a, b, c) =
            (world.user(Role::Customer).await, world.user(Role::Seller).await, world.user(Role::Seller).await);
        let (id, other) = (world.open(&a, &b).await.unwrap(), world.open(&a, &c).await.unwrap());
        Self { world, line, direct, a, b, id, other }
    }

    /// Prepares what sending needs, and waits until nothing more is on its way.
    async fn warm_up(&self) {
        assert_eq!(self.world.send_draft(&self.a, self.id, draft("first")).await.unwrap().seq, 1);
        until(&self.world, "SELECT count(*) FROM notifications", 1, GOOD_FOR).await;
    }

    /// Sends a message that is stored, but whose sender gets no answer while the line is held. Returns its text and `seq`.
    /// What else the server asks at that moment may have the only connection, and the message wait for it: then another.
    async fn send_unheard(&self) -> (String, i64) {
        for n in 0..10 {
            let text = format!("unheard {n}");
            self.line.answers_held.send_replace(true);
            let sent = self.world.begin_send(&self.a, self.id, draft(&text));
            if let Some(seq) = self.stored(&text).await {
                let started = Instant::now();
                assert_eq!(
                    sent.await.unwrap().unwrap_err(),
                    Error::Internal,
                    "`Busy` would say that nothing was stored"
                );
                assert!(started.elapsed() < Duration::from_secs(14), "the sender hears of it in time");
                return (text, seq);
            }
            self.line.answers_held.send_replace(false);
            // What is done for this one would have the connection while the next is tried.
            if sent.await.unwrap().is_ok() {
                self.told(&text).await;
            }
        }
        panic!("the only connection is never free");
    }

    /// Waits until the message of this text was published: whoever is told of one while offline gets a notification.
    async fn told(&self, text: &str) {
        let begun = Instant::now();
        let told = "SELECT count(*) FROM notifications WHERE message LIKE '%' || $1 || '%'";
        while sqlx::query_scalar::<_, i64>(told).bind(text).fetch_one(&self.direct).await.unwrap() == 0 {
            assert!(begun.elapsed() < GOOD_FOR * 3, "nobody was told of the message");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The number of the message of this text, once it is stored.
    async fn stored(&self, text: &str) -> Option<i64> {
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            let seq = sqlx::query_scalar("SELECT seq FROM messages WHERE message_text = $1").bind(text);
            if let Some(seq) = seq.fetch_optional(&self.direct).await.unwrap() {
                return Some(seq);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_message_that_was_committed_without_an_answer_is_told_later_and_not_doubled() {
    let s = Scene::new().await;
    s.warm_up().await;
    let (text, seq) = s.send_unheard().await;
    s.line.answers_held.send_replace(false);
    // Only its own conversation waits until it is known: long before that the other one is written in.
    let elsewhere = s.world.begin_send(&s.a, s.other, draft("elsewhere"));
    let sent = tokio::time::timeout(GOOD_FOR / 2, elsewhere).await.expect("the other conversation waits");
    assert_eq!(sent.unwrap().unwrap().seq, 1);
    s.told(&text).await;
    let retried = s.world.send_draft(&s.a, s.id, draft(&text)).await.unwrap();
    let next = s.world.send_draft(&s.a, s.id, draft("next")).await.unwrap();
    assert_eq!((retried.seq, next.seq), (seq, seq + 1), "the retry is the same message, and the order holds");
    s.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_statement_that_reaches_the_database_after_its_time_stores_nothing() {
    let s = Scene::new().await;
    s.warm_up().await;
    s.line.requests_held.send_replace(true);
    assert!(s.world.send_draft(&s.a, s.id, draft("late")).await.is_err());
    // It is the passing of that time that is tested.
    tokio::time::sleep(GOOD_FOR).await;
    s.line.requests_held.send_replace(false);
    let deadline = Instant::now() + GOOD_FOR * 3;
    let next = loop {
        match s.world.send_draft(&s.a, s.id, draft("next")).await {
            Ok(next) => break next,
            Err(e) => assert!(e == Error::Busy && Instant::now() < deadline, "{e}"),
        }
    };
    let texts: Vec<String> = s.world.messages(&s.b, s.id).await.unwrap().into_iter().map(|m| m.text).collect();
    assert_eq!((next.seq, texts), (2, vec!["first".to_owned(), "next".to_owned()]));
    s.world.close().await;
}

/// What takes too long is ended by the server, and so nobody has to find out what became of it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_message_that_takes_the_database_too_long_fails_alone_and_for_certain() {
    let s = Scene::new().await;
    sqlx::raw_sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
         CREATE TRIGGER slow AFTER INSERT ON messages FOR EACH ROW WHEN (NEW.message_text = 'slow') EXECUTE FUNCTION slow()",
    )
    .execute(&s.world.pool())
    .await
    .unwrap();
    let started = Instant::now();
    assert_eq!(s.world.send_draft(&s.a, s.id, draft("slow")).await.unwrap_err(), Error::Busy);
    assert!(started.elapsed() < Duration::from_secs(8));
    let running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    until(&s.world, running, 0, Duration::from_secs(1)).await;
    assert_eq!(s.world.send_draft(&s.a, s.id, draft("next")).await.unwrap().seq, 1);
    s.world.close().await;
}
