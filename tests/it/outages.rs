//! Servers that are promoted, crash, start up, end sessions or refuse a password: once they are well, so are we.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use souk::{
    config::Config,
    db::{Lease, Pool, PoolOptions},
    domain::{ConversationId, Draft, Message, Role, User},
    error::Error,
};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::oneshot;

use crate::{
    own_cluster::Cluster,
    support::{World, fresh_config},
};

/// How soon everything works again.
const HEALED: Duration = Duration::from_secs(2);
/// How long a message is tried to be stored at most, and a little.
const GIVEN_UP: Duration = Duration::from_secs(15);

/// A chat on a cluster of its own.
struct Scene {
    world: World,
    cluster: Cluster,
    a: Arc<User>,
    b: Arc<User>,
    id: ConversationId,
    first: Message,
    sent: i64,
}

impl Scene {
    async fn on(cluster: Cluster, user: &str) -> Self {
        let url = cluster.url(user);
        let world = World::on(Config { database_url: Some(url.as_str().into()), ..fresh_config().await }).await;
        let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
        let id = world.open(&a, &b).await.unwrap();
        let first = world.send(&a, id, "before").await.unwrap();
        Self { world, cluster, a, b, id, first, sent: 1 }
    }

    /// Has the pool open all of its sessions, so that none is being opened later on.
    async fn connects_no_more(&self) {
        let pool = self.world.pool();
        let sessions = (0..self.world.config.database_max_connections).map(|_| pool.acquire());
        futures::future::try_join_all(sessions).await.unwrap().into_iter().for_each(Lease::done);
    }

    fn begin(&mut self, text: &str) -> oneshot::Receiver<Result<Message, Error>> {
        self.sent += 1;
        self.world.begin_send(&self.a, self.id, Draft { text: text.into(), ..Draft::default() })
    }

    /// Now the server is well: a message that waits, a call and new messages all come through soon, in their order, and no message twice.
    async fn heals(mut self, waiting: oneshot::Receiver<Result<Message, Error>>) {
        let well = Instant::now();
        let stored = waiting.await.unwrap().unwrap();
        assert!(well.elapsed() < HEALED, "the message that waited took {:?}", well.elapsed());
        assert_eq!(stored.seq, 2);
        self.works_soon(well).await;
        self.world.close().await;
    }

    async fn works_soon(&mut self, well: Instant) {
        self.world.chat.reading.mark_read(&self.b, self.id, None).await.unwrap();
        assert!(well.elapsed() < HEALED, "a call took {:?}", well.elapsed());
        for n in 0..20 {
            let sent = self.begin(&format!("after {n}")).await.unwrap().unwrap();
            assert_eq!(sent.seq, self.sent);
        }
        assert_eq!(self.world.messages(&self.b, self.id).await.unwrap().len(), usize::try_from(self.sent).unwrap());
    }
}

async fn run(session: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(session).await.unwrap();
}

/// A session of somebody else's.
async fn stranger(cluster: &Cluster) -> PgConnection {
    PgConnection::connect(&cluster.url("postgres")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn sessions_that_were_opened_on_a_standby_write_once_it_is_promoted() {
    let mut s = Scene::on(Cluster::start(), "postgres").await;
    s.cluster.stop();
    s.cluster.will_be_standby();
    s.cluster.start_again(&[]);
    let mut sessions = Vec::new();
    while sessions.len() < 10 {
        let mut session = s.world.pool().acquire().await.unwrap();
        let in_recovery = sqlx::query_scalar::<_, bool>("SELECT pg_is_in_recovery()").fetch_one(&mut *session).await;
        match in_recovery {
            Ok(in_recovery) => {
                assert!(in_recovery);
                sessions.push(session);
            }
            // Of before the restart.
            Err(_) => drop(session),
        }
    }
    sessions.into_iter().for_each(Lease::done);
    let waiting = s.begin("meanwhile");
    s.cluster.logged("read-only transaction").await;
    s.cluster.promote();
    s.heals(waiting).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_read_that_conflicts_with_a_standbys_replay_is_answered_all_the_same() {
    let primary = Cluster::start();
    let mut shop = stranger(&primary).await;
    run(&mut shop, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n").await;
    let standby = primary.standby();
    let pool = Pool::new(PoolOptions {
        connect: standby.url("postgres").parse().unwrap(),
        max_connections: 2,
        acquire_timeout: Duration::from_secs(5),
        keeps_statements: true,
        limits: fresh_config().await.session_limits(),
    });
    let reading = {
        let pool = pool.clone();
        tokio::spawn(async move {
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM t, pg_sleep(1)").fetch_one(&pool).await
        })
    };
    let mut watcher = stranger(&standby).await;
    count(&mut watcher, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", 1).await;
    run(&mut shop, "DELETE FROM t").await;
    run(&mut shop, "VACUUM t").await;
    let rows = tokio::time::timeout(Duration::from_secs(4), reading).await.unwrap().unwrap().unwrap();
    assert_eq!(rows, 0, "read anew");
    standby.logged("canceling statement due to conflict with recovery").await;
    pool.close().await;
}

async fn count(session: &mut PgConnection, sql: &'static str, wanted: i64) {
    let started = Instant::now();
    loop {
        let found: i64 = sqlx::query_scalar(sql).fetch_one(&mut *session).await.unwrap();
        if found == wanted {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{sql}: {found} instead of {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn messages_go_through_soon_after_the_password_is_right_again() {
    let cluster = Cluster::start();
    let mut admin = stranger(&cluster).await;
    run(&mut admin, "CREATE ROLE chat SUPERUSER LOGIN PASSWORD 'right'").await;
    cluster.ask_for_password_of("chat");
    let mut s = Scene::on(cluster, "chat:right").await;
    s.connects_no_more().await;
    run(&mut admin, "ALTER ROLE chat PASSWORD 'other'").await;
    run(&mut admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'chat'").await;
    count(&mut admin, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'chat'", 0).await;
    let refused = tokio::time::timeout(GIVEN_UP, s.begin("meanwhile")).await.unwrap().unwrap();
    assert_eq!(refused.unwrap_err(), Error::Busy, "it may be sent again");
    s.cluster.logged("password authentication failed").await;
    s.sent -= 1;
    run(&mut admin, "ALTER ROLE chat PASSWORD 'right'").await;
    let well = Instant::now();
    let sent = s.begin("again").await.unwrap().unwrap();
    assert!(well.elapsed() < HEALED, "it took {:?}", well.elapsed());
    assert_eq!(sent.seq, 2, "the refused one is not there");
    s.works_soon(well).await;
    s.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_server_that_is_starting_up_is_waited_for() {
    let mut s = Scene::on(Cluster::start(), "postgres").await;
    s.cluster.stop();
    s.cluster.will_be_standby();
    // It lets nobody in before it is promoted (57P03).
    s.cluster.start_again(&["hot_standby=off"]);
    let waiting = s.begin("meanwhile");
    s.cluster.logged("not accepting connections").await;
    s.cluster.promote();
    s.heals(waiting).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_crash_of_the_server_loses_no_message() {
    let mut s = Scene::on(Cluster::start(), "postgres").await;
    let mut victim = stranger(&s.cluster).await;
    let process: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut victim).await.unwrap();
    // All sessions end (57P02), and none begins before the server has recovered (57P03).
    s.cluster.crash(process);
    let waiting = s.begin("meanwhile");
    s.cluster.logged("database system was not properly shut down").await;
    let url = s.cluster.url("postgres");
    while PgConnection::connect(&url).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    s.heals(waiting).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn sessions_that_are_ended_again_and_again_lose_no_message() {
    let mut s = Scene::on(Cluster::start(), "postgres").await;
    let mut admin = stranger(&s.cluster).await;
    for round in 0..5 {
        let waiting: Vec<_> = (0..20).map(|n| s.begin(&format!("{round} {n}"))).collect();
        run(&mut admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'souk'").await;
        let ended = Instant::now();
        for sent in waiting {
            sent.await.unwrap().unwrap();
        }
        assert!(ended.elapsed() < HEALED, "it took {:?}", ended.elapsed());
    }
    s.works_soon(Instant::now()).await;
    s.world.close().await;
}

/// The server ends an edit's statement, or its session: the edit did nothing.
async fn an_edit_that_is_ended_by(function: &str) {
    let s = Scene::on(Cluster::start(), "postgres").await;
    let mut admin = stranger(&s.cluster).await;
    run(
        &mut admin,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    .await;
    let (chat, a, message) = (s.world.chat.clone(), s.a.clone(), s.first.id);
    let edited = tokio::spawn(async move { chat.messages.edit(&a, message, "changed".into()).await });
    count(&mut admin, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", 1).await;
    run(&mut admin, &format!("SELECT {function}(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")).await;
    assert_eq!(edited.await.unwrap().unwrap_err(), Error::Busy, "it may be tried again");
    run(&mut admin, "DROP TRIGGER slow ON messages").await;
    assert_eq!(s.world.messages(&s.b, s.id).await.unwrap()[0].text, "before");
    s.world.chat.messages.edit(&s.a, message, "changed".into()).await.unwrap();
    s.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_call_whose_statement_is_cancelled_may_be_tried_again() {
    an_edit_that_is_ended_by("pg_cancel_backend").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_call_whose_session_is_ended_may_be_tried_again() {
    an_edit_that_is_ended_by("pg_terminate_backend").await;
}
