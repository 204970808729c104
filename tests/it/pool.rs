//! The pool of database connections.

use std::time::{Duration, Instant};

use futures::FutureExt as _;
use souk::{
    db::{Pool, PoolOptions},
    domain::{Emoji, Role},
    error::Error,
    protocol::{ListConversations, Payload, SearchUsers},
};
use sqlx::PgPool;

use crate::support::{Line, World, fresh_config, until};

async fn pool_of(max_connections: u32) -> Pool {
    let url = fresh_config().await.database_url.unwrap();
    Pool::new(PoolOptions {
        connect: url.expose().parse().unwrap(),
        max_connections,
        acquire_timeout: Duration::from_secs(5),
        keeps_statements: true,
        limits: None,
    })
}

/// This process's resident memory, in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// A connection of one's own to the database of `pool`.
async fn pool_of_same(pool: &Pool) -> PgPool {
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(pool).await.unwrap();
    let server = std::env::var("TEST_DATABASE_URL").unwrap();
    let options: sqlx::postgres::PgConnectOptions = server.parse().unwrap();
    PgPool::connect_with(options.database(&name)).await.unwrap()
}

async fn backend(pool: &Pool) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(pool).await.unwrap()
}

#[tokio::test]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn statements_that_follow_each_other_share_a_connection() {
    let pool = pool_of(5).await;
    let first = backend(&pool).await;
    for _ in 0..10 {
        assert_eq!(backend(&pool).await, first);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn an_unused_connection_gives_the_memory_of_a_large_statement_back() {
    const LARGE: usize = 128 << 20;
    let pool = pool_of(2).await;
    let large = "x".repeat(LARGE);
    let length: i32 = sqlx::query_scalar("SELECT length($1)").bind(&large).fetch_one(&pool).await.unwrap();
    assert_eq!(usize::try_from(length).unwrap(), LARGE);
    drop(large);
    let (before, started) = (resident(), Instant::now());
    while resident() + LARGE / 2 > before {
        assert!(started.elapsed() < Duration::from_secs(20), "{} bytes are kept", resident());
        tokio::time::sleep(Duration::from_millis(100)).await;
        pool.shrink_unused();
    }
    assert_eq!(sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&pool).await.unwrap(), 1, "it is as good as before");
}

#[tokio::test]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_transaction_that_is_given_up_leaves_no_lock() {
    let pool = pool_of(2).await;
    // The pool's own next statement would take the rollback along.
    let other = pool_of_same(&pool).await;
    sqlx::query("CREATE TABLE t (n integer)").execute(&pool).await.unwrap();
    sqlx::query("INSERT INTO t VALUES (1)").execute(&pool).await.unwrap();
    let mut lease = pool.acquire().await.unwrap();
    let mut tx = lease.begin().await.unwrap();
    sqlx::query("UPDATE t SET n = 2").execute(&mut *tx).await.unwrap();
    drop(tx);
    drop(lease);
    let update = sqlx::query("UPDATE t SET n = n + 10").execute(&other);
    tokio::time::timeout(Duration::from_secs(5), update).await.unwrap().unwrap();
    let n: i32 = sqlx::query_scalar("SELECT n FROM t").fetch_one(&pool).await.unwrap();
    assert_eq!(n, 11);
}

#[tokio::test]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_transaction_that_is_given_up_while_it_begins_is_over() {
    let url = fresh_config().await.database_url.unwrap();
    let direct: sqlx::postgres::PgConnectOptions = url.expose().parse().unwrap();
    let line = Line::to(direct.get_host(), direct.get_port()).await;
    let pool = Pool::new(PoolOptions {
        connect: direct.host("127.0.0.1").port(line.port),
        max_connections: 1,
        acquire_timeout: Duration::from_secs(5),
        keeps_statements: true,
        limits: None,
    });
    let other = pool_of_same(&pool).await;
    sqlx::query("CREATE TABLE t (n integer)").execute(&pool).await.unwrap();
    let mut lease = pool.acquire().await.unwrap();
    line.answers_held.send_replace(true);
    // Sent, and given up before it is answered.
    assert!(lease.begin().now_or_never().is_none());
    drop(lease);
    line.answers_held.send_replace(false);
    sqlx::query("INSERT INTO t VALUES (1)").execute(&pool).await.unwrap();
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&other).await.unwrap();
    assert_eq!(stored, 1, "committed, and not part of that transaction");
}

#[tokio::test]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn who_asks_while_the_database_has_no_room_waits_for_it() {
    let pool = pool_of(2).await;
    let (name, other): (String, _) = (
        sqlx::query_scalar("SELECT current_database()").fetch_one(&pool).await.unwrap(),
        PgPool::connect(&std::env::var("TEST_DATABASE_URL").unwrap()).await.unwrap(),
    );
    // A superuser is let in all the same; another is not while there is no room.
    let role = format!("role_{name}");
    let make = format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 1");
    sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&other).await.unwrap();
    let url = fresh_config().await.database_url.unwrap();
    let connect: sqlx::postgres::PgConnectOptions = url.expose().parse().unwrap();
    let options = |limit| PoolOptions {
        connect: connect.clone().username(&role),
        max_connections: 1,
        acquire_timeout: limit,
        keeps_statements: true,
        limits: None,
    };
    let (first, second) = (Pool::new(options(Duration::from_secs(5))), Pool::new(options(Duration::from_secs(5))));
    let taken = first.acquire().await.unwrap();
    let waiting = tokio::spawn(async move { backend(&second).await });
    let hurried = Pool::new(options(Duration::from_millis(100)));
    assert!(matches!(hurried.acquire().await, Err(sqlx::Error::PoolTimedOut)));
    assert!(!waiting.is_finished());
    taken.done();
    first.close().await;
    waiting.await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP ROLE {role}"))).execute(&other).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn nobody_gets_the_answer_of_a_statement_that_was_given_up() {
    let pool = pool_of(1).await;
    backend(&pool).await;
    let given_up = sqlx::query_scalar::<_, i32>("SELECT 1 FROM pg_sleep(0.3)").fetch_one(&pool);
    assert!(tokio::time::timeout(Duration::from_millis(50), given_up).await.is_err());
    let two: i32 = sqlx::query_scalar("SELECT 2").fetch_one(&pool).await.unwrap();
    assert_eq!(two, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_refused_leaves_its_connection_usable() {
    let world = World::new().await;
    for _ in 0..3 {
        assert!(sqlx::query("SELECT 1 / 0").execute(&world.pool()).await.is_err());
        let two: i32 = sqlx::query_scalar("SELECT 2").fetch_one(&world.pool()).await.unwrap();
        assert_eq!(two, 2);
    }
    world.close().await;
}

#[tokio::test]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn after_one_connection_was_lost_the_others_are_asked_before_they_are_used() {
    let world = World::new().await;
    let pool = world.pool();
    // Several that are open and idle.
    let (a, b, c) = (pool.acquire().await, pool.acquire().await, pool.acquire().await);
    for lease in [a, b, c] {
        lease.unwrap().done();
    }
    let other = PgPool::connect(world.config.database_url.as_ref().unwrap().expose()).await.unwrap();
    let ended: Vec<bool> = sqlx::query_scalar(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'souk'",
    )
    .fetch_all(&other)
    .await
    .unwrap();
    assert!(ended.len() >= 3);
    // At most one statement meets a dead connection.
    let mut failed = 0;
    for _ in 0..10 {
        failed += i32::from(sqlx::query("SELECT 1").execute(&pool).await.is_err());
    }
    assert!(failed <= 1, "{failed} statements failed");
    world.close().await;
}

#[tokio::test]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn who_waits_too_long_for_a_connection_is_told() {
    let _ = pool_of(1).await;
    let url = fresh_config().await.database_url.unwrap();
    let pool = Pool::new(PoolOptions {
        connect: url.expose().parse().unwrap(),
        max_connections: 1,
        acquire_timeout: Duration::from_millis(100),
        keeps_statements: true,
        limits: None,
    });
    let taken = pool.acquire().await.unwrap();
    assert!(matches!(pool.acquire().await, Err(sqlx::Error::PoolTimedOut)));
    taken.done();
    assert!(pool.acquire().await.is_ok());
}

#[tokio::test]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_pool_that_closes_waits_for_what_is_out_and_ends_every_session() {
    let world = World::new().await;
    let url = world.config.database_url.as_ref().unwrap().expose().to_owned();
    let pool = Pool::new(PoolOptions {
        connect: url.parse::<sqlx::postgres::PgConnectOptions>().unwrap().application_name("closing"),
        max_connections: 3,
        acquire_timeout: Duration::from_secs(5),
        keeps_statements: true,
        limits: None,
    });
    let out = pool.acquire().await.unwrap();
    pool.acquire().await.unwrap().done();
    let closing = pool.clone();
    let closed = tokio::spawn(async move { closing.close().await });
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'closing'";
    until(&world, sessions, 1, Duration::from_secs(5)).await;
    assert!(!closed.is_finished());
    assert!(matches!(pool.acquire().await, Err(sqlx::Error::PoolClosed)));
    out.done();
    closed.await.unwrap();
    until(&world, sessions, 0, Duration::from_secs(5)).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_connection_is_free_every_use_case_answers_busy() {
    let mut config = fresh_config().await;
    (config.database_max_connections, config.database_acquire_timeout_ms) = (1, 200);
    let world = World::on(config).await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    let sent = world.send(&a, id, "before").await.unwrap();
    let lease = world.pool().acquire().await.unwrap();
    let chat = &world.chat;
    let list = ListConversations::try_from(&Payload::default()).unwrap();
    let thumb = Emoji::parse("👍").unwrap();
    let refusals = [
        ("conversations", chat.conversations.list(&a, list).await.err()),
        ("open", world.open(&a, &b).await.err()),
        ("messages", world.messages(&a, id).await.err()),
        ("unread", chat.reading.unread_count(&a).await.err()),
        ("read", chat.reading.mark_read(&a, id, None).await.err()),
        ("edit", chat.messages.edit(&a, sent.id, "after".into()).await.err()),
        ("delete", chat.messages.delete(&a, sent.id, true).await.err()),
        ("react", chat.messages.react(&a, sent.id, &thumb, true).await.err()),
        ("details", chat.messages.details(&a, sent.id).await.err()),
        ("search", chat.users.search(&a, &SearchUsers::from(&Payload::default())).await.err()),
        ("available", chat.users.available(&a).await.err()),
        ("support", chat.users.support(&a).await.err()),
        ("account", chat.users.get(b.id).await.err()),
    ];
    for (what, refusal) in refusals {
        let refusal = refusal.unwrap_or_else(|| panic!("{what} was done without a connection"));
        assert_eq!(refusal, Error::Busy, "{what}");
        assert_eq!((refusal.status(), refusal.code()), (503, "busy"));
        assert!(refusal.retry_after_ms().is_some());
    }
    lease.done();
    assert_eq!(world.messages(&a, id).await.unwrap().len(), 1, "nothing was done in the meantime");
    world.close().await;
}
