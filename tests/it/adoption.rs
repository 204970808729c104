//! The shop's database is taken over as it is (LEGACY_DATABASE.md): nothing lost, nothing of the shop's touched, every
//! conversation, message, unread count and read state as the old rules had it; killed halfway, it is as it was.

mod compare;
pub mod legacy;
mod model;

use std::time::Duration;

use legacy::{CHAT, INSTALLATIONS, Legacy, SHOP, digest, of, rows, schema};
use model::{Model, model};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use souk::{
    db::{Db, Pool},
    domain::{MessageId, UserId},
};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn every_installation_is_adopted_and_a_second_start_changes_nothing() {
    for (name, change) in INSTALLATIONS {
        println!("{name}");
        let legacy = Legacy::build(change).await;
        let (before, schema_before) = (rows(&legacy.pool).await, schema(&legacy.pool).await);
        let model = model(&before);
        let world = World::on(legacy.release().await).await;
        let (after, schema_after) = (rows(&world.pool()).await, schema(&world.pool()).await);
        compare::rows(&before, &after, &model);
        assert_eq!(of(&schema_before, &SHOP), of(&schema_after, &SHOP));
        compare::sql(&world.pool(), &model).await;
        compare::api(&world, &model).await;

        assert_eq!(world.chat.core.db.migrate().await.unwrap(), 0);
        let world = World::on(world.stop().await).await;
        assert_eq!(schema(&world.pool()).await, schema_after);
        assert_eq!(rows(&world.pool()).await, after);
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_database_has_what_a_new_one_has_and_keeps_what_is_the_shops() {
    let legacy = Legacy::build("").await;
    let world = World::on(legacy.release().await).await;
    let adopted = schema(&world.pool()).await;
    let readers: String =
        sqlx::query_scalar("SELECT relacl::text FROM pg_class WHERE relname = 'unread_message_counts'")
            .fetch_one(&world.pool())
            .await
            .unwrap();
    assert!(readers.contains(",=r/"), "who could read a view still can: {readers}");
    world.close().await;
    let world = World::new().await;
    let new = schema(&world.pool()).await;
    world.close().await;
    let shop = of(&new, &SHOP);
    for line in new.iter().filter(|l| !shop.contains(l)) {
        assert!(adopted.contains(line), "{line}");
    }
    for column in of(&adopted, &CHAT).iter().filter(|l| l.starts_with("column")) {
        assert!(new.contains(column), "{column}");
    }
    for kept in
        ["shop_messages_search", "shop_touch_messages", "shop_touch_conversations", "idx_conversations_participants"]
    {
        assert!(adopted.iter().any(|l| l.contains(kept)), "{kept}");
    }
    for gone in ["trigger_", "idx_messages_read_by", "idx_conversations_last_message"] {
        assert!(!adopted.iter().any(|l| l.contains(gone)), "{gone}");
    }
}

/// A pooler may hand out sessions of any time zone; what is stored is UTC all the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_time_zone_does_not_matter() {
    let legacy = Legacy::build("").await;
    let before = rows(&legacy.pool).await;
    let mut connection = legacy.pool.acquire().await.unwrap();
    let mut tx = connection.begin().await.unwrap();
    sqlx::raw_sql("SET timezone = 'America/New_York'").execute(&mut *tx).await.unwrap();
    for migration in sqlx::migrate!("./migrations").iter() {
        sqlx::raw_sql(migration.sql.clone()).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    connection.done();
    sqlx::raw_sql("SET timezone = 'UTC'").execute(&legacy.pool).await.unwrap();
    compare::rows(&before, &rows(&legacy.pool).await, &model(&before));
    let config = legacy.release().await;
    if config.database_url.is_none() {
        std::fs::remove_dir_all(config.data_dir).unwrap();
    }
}

/// What happens on an adopted database, through the functions that SQL users and the server share.
#[tokio::test(flavor = "multi_thread")]
async fn after_adoption_the_legacy_functions_keep_every_count_right() {
    let seed = std::env::var("SOUK_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("SOUK_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let legacy = Legacy::build("").await;
    let mut model = model(&rows(&legacy.pool).await);
    let world = World::on(legacy.release().await).await;
    for _ in 0..1500 {
        operate(&world.pool(), &mut rng, &mut model).await;
    }
    compare::sql(&world.pool(), &model).await;
    world.close().await;
}

/// As in a new database: what they wrote stays, and every count.
#[tokio::test(flavor = "multi_thread")]
async fn after_adoption_a_user_whom_the_shop_deletes_leaves_everything_in_its_place() {
    let legacy = Legacy::build("").await;
    let model = model(&rows(&legacy.pool).await);
    let world = World::on(legacy.release().await).await;
    let deleted =
        sqlx::query("DELETE FROM users WHERE display_name LIKE 'Sami%'").execute(&world.pool()).await.unwrap();
    assert_eq!(deleted.rows_affected(), 1);
    compare::sql(&world.pool(), &model).await;
    compare::api(&world, &model).await;
    let gaps = "SELECT count(*) FROM conversations c WHERE c.last_seq <> (
                    SELECT count(DISTINCT m.seq) FROM messages m
                    WHERE m.conversation_id = c.id AND m.seq BETWEEN 1 AND c.last_seq)";
    assert_eq!(sqlx::query_scalar::<_, i64>(gaps).fetch_one(&world.pool()).await.unwrap(), 0);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_adoption_a_user_whom_the_shop_deletes_is_shown_as_deleted() {
    let world = World::on(Legacy::build("").await.release().await).await;
    let found: (Uuid, Uuid) = sqlx::query_as(
        "WITH gone AS (DELETE FROM users WHERE display_name LIKE 'Sami%' RETURNING id)
         SELECT m.id, r.user_id FROM gone g JOIN messages m ON m.sender_id = g.id AND NOT m.is_deleted
         JOIN conversation_members r ON r.conversation_id = m.conversation_id AND r.user_id <> g.id
         JOIN users u ON u.id = r.user_id AND u.status = 'active'
         WHERE NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = m.id AND d.user_id = r.user_id) LIMIT 1",
    )
    .fetch_one(&world.pool())
    .await
    .unwrap();
    let reader = world.chat.core.db.user(UserId(found.1)).await.unwrap().unwrap();
    let (details, _turn) = world.chat.messages.details(&reader, MessageId(found.0)).await.unwrap();
    let view = serde_json::to_value(souk::protocol::MessageView::from(&details)).unwrap();
    assert_eq!(view["senderName"], "Deleted user");
    let listed = world.conversations(&reader, serde_json::json!({ "limit": 100 })).await;
    let participants = listed.iter().filter_map(|c| c["participantDetails"].as_array()).flatten();
    let is_shown = |p: &serde_json::Value| p["isDeleted"] == true && p["displayName"] == "Deleted user";
    assert!(participants.into_iter().any(is_shown), "{listed:?}");
    drop(_turn);
    world.close().await;
}

async fn operate(pool: &Pool, rng: &mut StdRng, model: &mut Model) {
    let pick = rng.random_range(0..model.len());
    let thread = model.iter_mut().nth(pick).unwrap();
    let (conversation, thread) = thread;
    let users = ["1", "2", "3", "4", "5", "6", "9"];
    let user =
        Uuid::parse_str(&format!("abcdef00-0000-4000-8000-00000000000{}", users[rng.random_range(0..7)])).unwrap();
    let member = thread.members.contains(&user);
    if rng.random_range(0..10) == 0 {
        let marked: i32 = sqlx::query_scalar("SELECT mark_messages_as_read($1, $2)")
            .bind(conversation)
            .bind(user)
            .fetch_one(pool)
            .await
            .unwrap();
        assert_eq!(i64::from(marked), if member { thread.read(user) } else { 0 });
        return;
    }
    if thread.messages.is_empty() {
        return;
    }
    let message = rng.random_range(0..thread.messages.len());
    let m = &mut thread.messages[message];
    let own = m.sender == user;
    let seen = member && !m.hidden.contains(&user);
    let run = async |call: &str| sqlx::query(AssertSqlSafe(call)).execute(pool).await;
    match rng.random_range(0..4) {
        0 => {
            let done = run(&format!("SELECT delete_message('{}', '{user}', 'for_everyone')", m.id)).await;
            assert_eq!(done.is_ok(), member && own);
            m.gone |= done.is_ok();
        }
        1 => {
            let done = run(&format!("SELECT delete_message('{}', '{user}')", m.id)).await;
            assert_eq!(done.is_ok(), member);
            if member {
                m.hidden.insert(user);
            }
        }
        2 => {
            let done = run(&format!("SELECT edit_message('{}', '{user}', 'edited {message}')", m.id)).await;
            assert_eq!(done.is_ok(), seen && own && !m.gone);
            if done.is_ok() {
                m.text = format!("edited {message}");
            }
        }
        _ => {
            let call = ["add", "remove"][rng.random_range(0..2)];
            // A user who is gone cannot have a reaction.
            if user.as_bytes()[15] != 9 {
                let done = run(&format!("SELECT {call}_message_reaction('{}', '{user}', '👍')", m.id)).await;
                assert_eq!(done.is_ok(), seen && !m.gone);
            }
        }
    }
}

/// Twenty thousand messages more, so that adoption takes long enough to be killed in the middle of it.
const BULK: &str = "
    ALTER TABLE messages DISABLE TRIGGER USER;
    INSERT INTO messages (conversation_id, sender_id, message_text, read_by, created_at)
    SELECT c.id, u.id, 'bulk ' || g, jsonb_build_array(u.id), timestamp '2025-01-01' + g * interval '1 minute'
    FROM generate_series(1, 20000) g
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM conversations) c ON c.n = 1 + g % 40
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM users) u ON u.n = 1 + g % 6;
    ALTER TABLE messages ENABLE TRIGGER USER;";

#[tokio::test(flavor = "multi_thread")]
async fn killed_halfway_the_database_is_as_it_was_and_the_next_run_completes() {
    if std::env::var("TEST_DATABASE_URL").is_err() {
        println!("skipped: the embedded database has no second connection to kill the first with");
        return;
    }
    let legacy = Legacy::build(BULK).await;
    let before = (digest(&legacy.pool).await, schema(&legacy.pool).await);
    // Before the last attempt, which a fast machine completes.
    let rows_before = rows(&legacy.pool).await;
    let url = legacy.config.database_url.as_ref().unwrap().expose().to_owned();
    let mut killed = 0;
    for wait in [0, 100, 300, 600, 1000] {
        let db = Db::connect(&url, &legacy.config, 1).await.unwrap();
        let migration = tokio::spawn({
            let db = db.clone();
            async move { db.migrate().await }
        });
        wait_for_adoption(&legacy.pool).await;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let busy: bool =
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(pg_terminate_backend(pid)) > 0 FROM ({HOLDER}) h")))
                .fetch_one(&legacy.pool)
                .await
                .unwrap();
        let result = migration.await.unwrap();
        db.close().await;
        if !busy || result.is_ok() {
            break;
        }
        killed += 1;
        assert_eq!((digest(&legacy.pool).await, schema(&legacy.pool).await), before, "killed after {wait} ms");
    }
    println!("killed {killed} times");
    assert!(killed >= 2);
    let model = model(&rows_before);
    let world = World::on(legacy.release().await).await;
    compare::rows(&rows_before, &rows(&world.pool()).await, &model);
    compare::sql(&world.pool(), &model).await;
    world.close().await;
}

/// The session that adopts: it alone holds this lock.
const HOLDER: &str = "SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE d.datname = current_database() AND l.relation = 'messages'::regclass AND l.mode = 'AccessExclusiveLock' AND l.granted";

async fn wait_for_adoption(pool: &Pool) {
    loop {
        let busy: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM ({HOLDER}) h")))
            .fetch_one(pool)
            .await
            .unwrap();
        if busy > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
