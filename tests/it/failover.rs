//! A database that is read-only or lets nobody in for a while, as at a failover: once it is well, so are we.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use souk::domain::{ConversationId, Role, User};
use sqlx::{Connection as _, PgConnection};

use crate::support::{World, fresh_config};

/// How soon everything works again.
const HEALED: Duration = Duration::from_secs(2);

/// A chat whose sessions have a role of their own, so that what is set for it concerns nobody else.
struct Scene {
    world: World,
    admin: PgConnection,
    role: String,
    a: Arc<User>,
    b: Arc<User>,
    id: ConversationId,
}

impl Scene {
    async fn new() -> Self {
        let config = fresh_config().await;
        let url = config.database_url.as_ref().unwrap().expose().to_owned();
        let mut admin = PgConnection::connect(&url).await.unwrap();
        let role = format!("failover_{}", uuid::Uuid::new_v4().simple());
        run(&mut admin, &format!("CREATE ROLE {role} SUPERUSER LOGIN")).await;
        let (_, host) = url.split_once('@').unwrap();
        let own = format!("postgres://{role}@{host}");
        let world = World::on(souk::config::Config { database_url: Some(own.as_str().into()), ..config }).await;
        let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
        let id = world.open(&a, &b).await.unwrap();
        world.send(&a, id, "before").await.unwrap();
        Self { world, admin, role, a, b, id }
    }

    /// Sets something for the sessions that are opened from now on, and ends those that are there.
    async fn set(&mut self, what: &str) {
        let (role, admin) = (self.role.clone(), &mut self.admin);
        run(admin, &format!("ALTER ROLE {role} {what}")).await;
        run(admin, &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")).await;
        let left = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'");
        while sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(left.clone())).fetch_one(&mut *admin).await.unwrap() > 0
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // One statement meets a session that is no more; from then on the pool asks each whether it lives.
        tokio::time::timeout(HEALED, sqlx::query("SELECT 1").execute(&self.world.pool())).await.ok();
    }

    async fn close(mut self) {
        self.world.close().await;
        let role = self.role;
        run(&mut self.admin, &format!("REASSIGN OWNED BY {role} TO postgres; DROP ROLE {role}")).await;
    }
}

async fn run(session: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(session).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn sessions_that_were_opened_while_the_server_was_read_only_are_replaced() {
    let mut s = Scene::new().await;
    s.set("SET default_transaction_read_only = on").await;
    // All of the pool's sessions are read-only now.
    let mut sessions = Vec::new();
    while sessions.len() < 10 {
        // One that was ended just now may come once more.
        let mut session = s.world.pool().acquire().await.unwrap();
        if sqlx::query("SELECT 1").execute(&mut *session).await.is_ok() {
            sessions.push(session);
        }
    }
    for mut session in sessions {
        let is_read_only: String =
            sqlx::query_scalar("SHOW transaction_read_only").fetch_one(&mut *session).await.unwrap();
        assert_eq!(is_read_only, "on");
        session.done();
    }
    let sent = s.world.begin_send(&s.a, s.id, souk::domain::Draft { text: "meanwhile".into(), ..Default::default() });
    // Writable again; nobody ends the sessions that are there.
    let role = s.role.clone();
    run(&mut s.admin, &format!("ALTER ROLE {role} RESET default_transaction_read_only")).await;
    let healed = Instant::now();
    // The message of meanwhile may be among them.
    assert!(s.world.chat.reading.mark_read(&s.b, s.id, None).await.unwrap() >= 1);
    assert!(healed.elapsed() < HEALED, "a call took {:?}", healed.elapsed());
    sent.await.unwrap().unwrap();
    assert!(healed.elapsed() < HEALED, "a message took {:?}", healed.elapsed());
    for n in 0..20 {
        s.world.send(&s.a, s.id, &format!("after {n}")).await.unwrap();
    }
    s.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_role_that_is_locked_out_for_a_while_is_served_once_it_is_let_in() {
    let mut s = Scene::new().await;
    // As while its password is being changed: each new session is refused (class 28).
    s.set("NOLOGIN").await;
    let sent = s.world.begin_send(&s.a, s.id, souk::domain::Draft { text: "meanwhile".into(), ..Default::default() });
    let (chat, b, id) = (s.world.chat.clone(), s.b.clone(), s.id);
    let unread = tokio::spawn(async move { chat.reading.mark_read(&b, id, None).await });
    // Both have met the refusal.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let role = s.role.clone();
    run(&mut s.admin, &format!("ALTER ROLE {role} LOGIN")).await;
    let healed = Instant::now();
    sent.await.unwrap().unwrap();
    assert!(unread.await.unwrap().unwrap() >= 1);
    assert!(healed.elapsed() < HEALED, "it took {:?}", healed.elapsed());
    s.close().await;
}
