//! Presence over several servers on one database.

use std::time::Duration;

use souk::domain::{Role, UserId};
use uuid::Uuid;

use crate::support::World;

/// How long ago a user's last socket went.
const JUST_NOW: Duration = Duration::ZERO;

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_online_while_any_server_holds_them() {
    let world = World::new().await;
    let user = world.user(Role::Customer).await.id;
    let db = &world.chat.core.db;
    for server in ["one", "two"] {
        db.heartbeat(server).await.unwrap();
    }
    assert_eq!(db.set_online("one", &[(user, Uuid::new_v4())]).await.unwrap(), [user]);
    assert!(db.set_online("two", &[(user, Uuid::new_v4())]).await.unwrap().is_empty(), "came already");
    assert!(db.set_offline("one", &[(user, JUST_NOW)]).await.unwrap().is_empty(), "the other still holds them");
    assert!(db.online_status(user).await.unwrap().unwrap().is_online);
    assert_eq!(db.set_offline("two", &[(user, JUST_NOW)]).await.unwrap().len(), 1);
    assert!(!db.online_status(user).await.unwrap().unwrap().is_online);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_was_last_seen_when_their_own_last_socket_went() {
    let world = World::new().await;
    let db = &world.chat.core.db;
    db.heartbeat("one").await.unwrap();
    let mut gone = Vec::new();
    for seconds in [300, 100, 200] {
        let user = world.user(Role::Customer).await.id;
        db.set_online("one", &[(user, Uuid::new_v4())]).await.unwrap();
        gone.push((user, Duration::from_secs(seconds)));
    }
    db.set_offline("one", &gone).await.unwrap();
    for (user, ago) in gone {
        let seen = db.online_status(user).await.unwrap().unwrap().last_seen_at.unwrap();
        let seconds = (chrono::Utc::now() - seen).as_seconds_f64() - ago.as_secs_f64();
        assert!((-5.0..30.0).contains(&seconds), "{seconds}");
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_servers_users_go_offline_when_it_is_swept() {
    let world = World::new().await;
    let (dead, held) = (world.user(Role::Customer).await.id, world.user(Role::Customer).await.id);
    let db = &world.chat.core.db;
    for server in ["dead", "alive"] {
        db.heartbeat(server).await.unwrap();
    }
    db.set_online("dead", &[(dead, Uuid::new_v4()), (held, Uuid::new_v4())]).await.unwrap();
    db.set_online("alive", &[(held, Uuid::new_v4())]).await.unwrap();
    sqlx::query("UPDATE chat_servers SET heartbeat_at = now() - interval '2 minutes' WHERE name = 'dead'")
        .execute(&world.pool())
        .await
        .unwrap();
    let gone = db.sweep_servers(None, 45).await.unwrap();
    assert_eq!(gone.iter().map(|g| g.0).collect::<Vec<_>>(), [dead]);
    let status = db.online_status(dead).await.unwrap().unwrap();
    assert!(!status.is_online);
    assert!(chrono::Utc::now() - status.last_seen_at.unwrap() > chrono::Duration::seconds(100), "last heartbeat");
    assert!(db.online_status(held).await.unwrap().unwrap().is_online);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_lets_go_of_its_earlier_life() {
    let world = World::new().await;
    let user = world.user(Role::Customer).await.id;
    // The chat of this test is called "test": as if it had been killed with a user connected.
    world.chat.core.db.set_online("test", &[(user, Uuid::new_v4())]).await.unwrap();
    let config = world.stop_without_goodbye().await;
    let world = World::on(config).await;
    assert!(!world.chat.core.db.online_status(user).await.unwrap().unwrap().is_online);
    world.close().await;
}

/// Statements are planned once per connection, and the first who come find empty tables.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn thousands_who_come_after_a_few_are_online_soon() {
    let world = World::new().await;
    let ids: Vec<Uuid> = (0..8000).map(|_| Uuid::new_v4()).collect();
    sqlx::query(
        "INSERT INTO users (id, email, password_hash, role)
         SELECT id, id || '@test.example', '!', 'customer' FROM unnest($1::uuid[]) AS u (id)",
    )
    .bind(&ids)
    .execute(&world.pool())
    .await
    .unwrap();
    let db = &world.chat.core.db;
    let users: Vec<(UserId, Uuid)> = ids.iter().map(|id| (UserId(*id), Uuid::new_v4())).collect();
    let gone: Vec<(UserId, Duration)> = users.iter().map(|(id, _)| (*id, JUST_NOW)).collect();
    // Known to be empty, as after a night.
    for table in ["user_online_status", "chat_server_users"] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("VACUUM ANALYZE {table}"))).execute(&world.pool()).await.unwrap();
    }
    db.sweep_servers(None, 45).await.unwrap();
    db.set_online("test", &users[..1]).await.unwrap();
    db.set_offline("test", &gone[..1]).await.unwrap();
    // As long as the server waits for it. It takes a tenth of a second; with all compared to all, many.
    let limit = Duration::from_secs(5);
    let came = tokio::time::timeout(limit, db.set_online("test", &users)).await.unwrap().unwrap();
    assert_eq!(came.len(), users.len());
    let swept = tokio::time::timeout(limit, db.sweep_servers(None, 45)).await.unwrap().unwrap();
    assert!(swept.is_empty());
    let gone = tokio::time::timeout(limit, db.set_offline("test", &gone)).await.unwrap().unwrap();
    assert_eq!(gone.len(), users.len());
    world.close().await;
}
