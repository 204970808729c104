//! Presence over several servers on one database.

use souk::domain::Role;
use uuid::Uuid;

use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_online_while_any_server_holds_them() {
    let world = World::new().await;
    let user = world.user(Role::Customer).await.id;
    let db = world.chat.db();
    for server in ["one", "two"] {
        db.heartbeat(server).await.unwrap();
    }
    assert_eq!(db.set_online("one", &[(user, Uuid::new_v4())]).await.unwrap(), [user]);
    assert!(db.set_online("two", &[(user, Uuid::new_v4())]).await.unwrap().is_empty(), "came already");
    assert!(db.set_offline("one", &[user]).await.unwrap().is_empty(), "the other still holds them");
    assert!(db.online_status(user).await.unwrap().unwrap().is_online);
    assert_eq!(db.set_offline("two", &[user]).await.unwrap().len(), 1);
    assert!(!db.online_status(user).await.unwrap().unwrap().is_online);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_servers_users_go_offline_when_it_is_swept() {
    let world = World::new().await;
    let (dead, held) = (world.user(Role::Customer).await.id, world.user(Role::Customer).await.id);
    let db = world.chat.db();
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
    world.chat.db().set_online("test", &[(user, Uuid::new_v4())]).await.unwrap();
    let config = world.stop_without_goodbye().await;
    let world = World::on(config).await;
    assert!(!world.chat.db().online_status(user).await.unwrap().unwrap().is_online);
    world.close().await;
}
