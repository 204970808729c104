//! The schema: reached once, and left alone after that.

use std::time::Duration;

use souk::{
    app::Store,
    config::Config,
    domain::{MessageId, UserId},
};
use uuid::Uuid;

use crate::{
    adoption::legacy::Legacy,
    support::{World, fresh_config, is_native, until},
};

async fn schema(world: &World) -> Vec<(String, String, String)> {
    sqlx::query_as(
        "SELECT table_name::text, column_name::text, data_type || is_nullable || COALESCE(column_default, '')
         FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
    )
    .fetch_all(&world.pool())
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_changes_nothing() {
    let world = World::new().await;
    let before = schema(&world).await;
    assert_eq!(world.chat.core.db.migrate().await.unwrap(), 0);
    let world = World::on(world.stop().await).await;
    assert_eq!(schema(&world).await, before);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_seed_names_exists() {
    let world = World::new().await;
    for relation in [
        "conversations",
        "messages",
        "typing_indicators",
        "user_online_status",
        "conversation_participants",
        "unread_message_counts",
    ] {
        let found: Option<String> =
            sqlx::query_scalar("SELECT to_regclass($1)::text").bind(relation).fetch_one(&world.pool()).await.unwrap();
        assert_eq!(found.as_deref(), Some(relation));
    }
    for function in [
        "is_conversation_participant(uuid, uuid)",
        "mark_messages_as_read(uuid, uuid)",
        "get_unread_message_count(uuid)",
    ] {
        let found: Option<String> = sqlx::query_scalar("SELECT to_regprocedure($1)::text")
            .bind(function)
            .fetch_one(&world.pool())
            .await
            .unwrap();
        assert!(found.is_some(), "{function}");
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_would_be_done_and_changes_nothing() {
    let config = fresh_config().await;
    let store = Store::connect(&config).await.unwrap();
    let tables = || async {
        let count = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
        sqlx::query_scalar::<_, i64>(count).fetch_one(&store.db.pool()).await.unwrap()
    };
    let before = tables().await;
    let report = store.db.migration_report().await.unwrap();
    assert!(report[0].starts_with("would apply 0001"), "{report:?}");
    assert_eq!(tables().await, before);
    store.db.migrate().await.unwrap();
    assert!(store.db.migration_report().await.unwrap().is_empty());
    store.close().await;
}

const USER_INDEXES: [&str; 3] = ["souk_users_staff", "souk_users_by_name", "souk_users_by_text"];

#[tokio::test(flavor = "multi_thread")]
async fn a_check_lists_the_indexes_on_users_and_the_extension_until_they_are_made() {
    let config = fresh_config().await;
    let store = Store::connect(&config).await.unwrap();
    let wanted = if is_native() { &USER_INDEXES[..] } else { &USER_INDEXES[..2] };
    let report = store.db.user_index_report().await.unwrap();
    for index in wanted {
        let line = format!("would make index {index} on users (CREATE INDEX, under a SHARE lock");
        assert!(report.iter().any(|l| l.starts_with(&line)), "{index}: {report:#?}");
    }
    assert_eq!(report.iter().any(|l| l.starts_with("would make extension pg_trgm")), is_native(), "{report:#?}");
    store.db.migrate().await.unwrap();
    assert_eq!(store.db.user_index_report().await.unwrap(), report, "the migrations make none of them");
    store.db.make_user_indexes(false).await.unwrap();
    assert_eq!(store.db.user_index_report().await.unwrap(), [""; 0]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_check_says_that_the_indexes_of_many_users_are_made_without_a_lock_against_writing() {
    let store = Store::connect(&fresh_config().await).await.unwrap();
    store.db.migrate().await.unwrap();
    sqlx::query(
        "INSERT INTO users (id, email, password_hash, role)
         SELECT gen_random_uuid(), n || '@x.example', repeat('!', 250), 'customer' FROM generate_series(1, 60000) n",
    )
    .execute(&store.db.pool())
    .await
    .unwrap();
    let report = store.db.user_index_report().await.unwrap();
    for index in USER_INDEXES {
        let line =
            format!("would make index {index} on users (CREATE INDEX CONCURRENTLY, under a SHARE UPDATE EXCLUSIVE");
        assert!(report.iter().any(|l| l.starts_with(&line)), "{index}: {report:#?}");
    }
    store.db.make_user_indexes(false).await.unwrap();
    assert_eq!(store.db.user_index_report().await.unwrap(), report, "a start makes none of them");
    store.db.make_user_indexes(true).await.unwrap();
    assert_eq!(store.db.user_index_report().await.unwrap(), [""; 0]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_not_migrate_refuses_an_old_schema_and_changes_nothing() {
    let migrates = fresh_config().await;
    let config = Config { auto_migrate: false, ..migrates.clone() };
    let tables = async |store: Store| {
        let count = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
        let count = sqlx::query_scalar::<_, i64>(count).fetch_one(&store.db.pool()).await.unwrap();
        store.close().await;
        count
    };
    let refusal = async || Store::open(&config).await.err().map(|e| e.to_string());
    let before = tables(Store::connect(&config).await.unwrap()).await;
    let newest = sqlx::migrate!("./migrations").iter().map(|m| m.version).max().unwrap();
    let wanted = format!("{newest:04})");
    let said = refusal().await.unwrap();
    assert!(said.contains("AUTO_MIGRATE is false: run `souk migrate`") && said.ends_with(&wanted), "{said}");
    assert_eq!(tables(Store::connect(&config).await.unwrap()).await, before);

    let store = Store::open(&migrates).await.unwrap();
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = $1")
        .bind(newest)
        .execute(&store.db.pool())
        .await
        .unwrap();
    store.close().await;
    assert!(refusal().await.unwrap().ends_with(&format!("(missing: {wanted}")));
    let store = Store::connect(&config).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, '', true, '', 0)",
    )
    .execute(&store.db.pool())
    .await
    .unwrap();
    store.close().await;
    assert!(refusal().await.unwrap().contains("9999"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_not_migrate_starts_on_a_schema_of_its_own_version() {
    let config = fresh_config().await;
    Store::open(&config).await.unwrap().close().await;
    World::on(Config { auto_migrate: false, ..config }).await.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_earlier_version_of_our_own_reaches_the_same_schema() {
    let new = World::new().await;
    let wanted = schema(&new).await;
    new.close().await;
    let mut migrator = sqlx::migrate!("./migrations");
    // The lock that sqlx would take belongs to a session, which the embedded database does not know.
    migrator.set_locking(false);
    let newest = migrator.iter().map(|m| m.version).max().unwrap();
    for version in 1..newest {
        let config = fresh_config().await;
        let store = Store::connect(&config).await.unwrap();
        let mut connection = store.db.pool().acquire().await.unwrap();
        migrator.run_to(version, connection.connection()).await.unwrap();
        connection.done();
        store.close().await;
        let world = World::on(config).await;
        assert_eq!(schema(&world).await, wanted, "from version {version}");
        world.close().await;
    }
}

/// The last migration before notifications were noted.
const BEFORE_NOTES: i64 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn notifications_from_before_they_were_noted_lose_their_text_with_their_message() {
    let mut migrator = sqlx::migrate!("./migrations");
    migrator.set_locking(false);
    let config = fresh_config().await;
    let store = Store::connect(&config).await.unwrap();
    let mut connection = store.db.pool().acquire().await.unwrap();
    migrator.run_to(BEFORE_NOTES, connection.connection()).await.unwrap();
    let [sender, other, conversation, kept, deleted] = std::array::from_fn(|_| Uuid::new_v4());
    for user in [sender, other] {
        sqlx::query(
            "INSERT INTO users (id, email, password_hash, role) VALUES ($1, $1::uuid || '@x.example', '!', 'admin')",
        )
        .bind(user)
        .execute(&mut *connection)
        .await
        .unwrap();
    }
    sqlx::query("INSERT INTO conversations (id, type, participant_ids) VALUES ($1, 'internal', jsonb_build_array($2::uuid, $3::uuid))")
        .bind(conversation)
        .bind(sender)
        .bind(other)
        .execute(&mut *connection)
        .await
        .unwrap();
    for (message, is_deleted) in [(kept, false), (deleted, true)] {
        sqlx::query("INSERT INTO messages (id, conversation_id, sender_id, message_text, is_deleted) VALUES ($1, $2, $3, 'secret', $4)")
            .bind(message)
            .bind(conversation)
            .bind(sender)
            .bind(is_deleted)
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    let of_messages = [kept, deleted].map(|m| format!(r#"{{"message_id": "{m}", "sender_name": "Ada"}}"#));
    for metadata in of_messages.iter().map(String::as_str).chain(["{}", r#"{"message_id": "none"}"#]) {
        sqlx::query("INSERT INTO notifications (user_id, type, title, message, metadata) VALUES ($1, 'new_message', 'x', 'Ada: secret', $2::jsonb)")
            .bind(other)
            .bind(metadata)
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    connection.done();
    store.close().await;

    let world = World::on(config).await;
    const WITH_TEXT: &str =
        "SELECT count(*) FROM notifications WHERE message LIKE '%secret%' AND metadata ? 'sender_name'";
    until(&world, WITH_TEXT, 1, Duration::from_secs(20)).await;
    let sender = world.chat.core.db.user(UserId(sender)).await.unwrap().unwrap();
    world.chat.messages.delete(&sender, MessageId(kept), true).await.unwrap();
    until(&world, WITH_TEXT, 0, Duration::from_secs(20)).await;
    const OTHERS: &str = "SELECT count(*) FROM notifications WHERE message = 'Ada: secret'";
    until(&world, OTHERS, 2, Duration::from_secs(20)).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_migration_gives_way_to_who_holds_the_users() {
    let legacy = Legacy::build("").await;
    let shop = sqlx::PgPool::connect(legacy.config.database_url.as_ref().unwrap().expose()).await.unwrap();
    let mut report = shop.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM users").execute(&mut *report).await.unwrap();
    let config = legacy.release().await;
    let migrated = tokio::spawn(async move { Store::open(&config).await.map(|store| (store, config)) });
    // The migration waits for the report, and whoever comes after it is let through again and again.
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query NOT LIKE 'SELECT count%'";
    let begun = std::time::Instant::now();
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&shop).await.unwrap() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the migration never waited");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let login = sqlx::query("SELECT id FROM users LIMIT 1").fetch_all(&shop);
    tokio::time::timeout(Duration::from_secs(2), login).await.expect("a login waits for the migration").unwrap();
    report.commit().await.unwrap();
    let (store, _) = migrated.await.unwrap().unwrap();
    store.close().await;
}
