//! Where the database opens every new table to everyone, ours stay closed, and the shop's stay as they are.

use souk::app::Store;
use sqlx::raw_sql;

use crate::support::{World, fresh_config};

/// A database whose owner gives every role access to each table that is made from now on.
async fn open_handed() -> souk::config::Config {
    let config = fresh_config().await;
    let store = Store::connect(&config).await.unwrap();
    raw_sql("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC").execute(&store.db.pool()).await.unwrap();
    store.close().await;
    config
}

/// Relations of this schema on which everyone has some privilege.
async fn open_to_all(world: &World) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT DISTINCT c.relname::text FROM pg_class c, aclexplode(c.relacl) a
         WHERE c.relnamespace = 'public'::regnamespace AND a.grantee = 0 ORDER BY 1",
    )
    .fetch_all(&world.pool())
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_has_no_table_that_strangers_may_read_or_write() {
    let world = World::on(open_handed().await).await;
    assert_eq!(open_to_all(&world).await, Vec::<String>::new());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_database_keeps_its_own_grants_and_gets_closed_tables() {
    let config = open_handed().await;
    let store = Store::connect(&config).await.unwrap();
    raw_sql(include_str!("fixtures/legacy_schema.sql")).execute(&store.db.pool()).await.unwrap();
    raw_sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC").execute(&store.db.pool()).await.unwrap();
    store.close().await;
    let world = World::on(config).await;
    let open = open_to_all(&world).await;
    for own in [
        "conversation_members",
        "message_deletions",
        "user_blocks",
        "chat_servers",
        "chat_server_users",
        "chat_returning_sockets",
    ] {
        assert!(!open.iter().any(|name| name == own), "{own} is open to everyone");
    }
    for shops in ["conversations", "messages", "users"] {
        assert!(open.iter().any(|name| name == shops), "{shops} was open before, and its grants are the shop's");
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_knows_where_its_tables_are() {
    let world = World::new().await;
    let wandering: Vec<String> = sqlx::query_scalar(
        "SELECT p.proname::text FROM pg_proc p
         WHERE p.pronamespace = 'public'::regnamespace
           AND NOT EXISTS (SELECT 1 FROM unnest(p.proconfig) s (setting) WHERE s.setting LIKE 'search_path=%')
           AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY 1",
    )
    .fetch_all(&world.pool())
    .await
    .unwrap();
    // These two name nothing but what is built in, and must be inlined: migration 0002.
    assert_eq!(wandering, ["souk_minute", "souk_participants"]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_write_only_to_the_shops_tables_still_sends_by_sql() {
    let world = World::new().await;
    let (a, b) = (world.user(souk::domain::Role::Customer).await, world.user(souk::domain::Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    let role = format!("writer_{}", uuid::Uuid::new_v4().simple());
    let sql = format!(
        "CREATE ROLE {role}; GRANT SELECT, INSERT ON messages TO {role}; GRANT SELECT, UPDATE ON conversations TO {role};
         BEGIN; SET LOCAL ROLE {role};
         INSERT INTO messages (conversation_id, sender_id, message_text) VALUES ('{id}', '{}', 'by SQL');
         UPDATE conversations SET participant_ids = participant_ids WHERE id = '{id}';
         COMMIT",
        a.id
    );
    let outcome = raw_sql(sqlx::AssertSqlSafe(sql)).execute(&world.pool()).await;
    let dropped = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    raw_sql(sqlx::AssertSqlSafe(dropped)).execute(&world.pool()).await.unwrap();
    outcome.unwrap();
    let stored = world.messages(&b, id).await.unwrap();
    assert_eq!(stored.iter().map(|m| (m.seq, m.text.as_str())).collect::<Vec<_>>(), [(1, "by SQL")]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_grants_later_outlives_the_next_migration() {
    let world = World::new().await;
    raw_sql("GRANT SELECT ON conversation_members TO PUBLIC").execute(&world.pool()).await.unwrap();
    raw_sql("DO $$ BEGIN PERFORM souk_close_new_tables(ARRAY (SELECT oid FROM pg_class)); END $$")
        .execute(&world.pool())
        .await
        .unwrap();
    assert_eq!(open_to_all(&world).await, ["conversation_members"]);
    world.close().await;
}
