//! How much of a long conversation a page looks at: what Postgres plans for the statement as it is prepared.

use serde_json::Value;
use souk::domain::Role;

use crate::support::World;

/// The one statement of the server that has this in it, as it is prepared.
fn statement(part: &str) -> String {
    let queries = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx")).unwrap().map(|file| {
        let query: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        query["query"].as_str().unwrap().to_owned()
    });
    let mut found: Vec<String> = queries.filter(|query| query.contains(part)).collect();
    assert_eq!(found.len(), 1, "statements with {part}");
    found.remove(0)
}

/// Rows of messages, and of what was deleted of them, that a plan's nodes took up, thrown away or not.
fn rows_taken_up(plan: &Value) -> f64 {
    let own = if ["messages", "message_deletions"].iter().any(|table| plan["Relation Name"] == *table) {
        let of = |field: &str| plan[field].as_f64().unwrap_or(0.0);
        (of("Actual Rows") + of("Rows Removed by Filter")) * of("Actual Loops")
    } else {
        0.0
    };
    own + plan["Plans"].as_array().into_iter().flatten().map(rows_taken_up).sum::<f64>()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_page_and_the_changes_of_a_long_conversation_take_up_no_more_than_they_bring() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let stranger = world.user(Role::Seller).await;
    let id = world.open(&a, &b).await.unwrap();
    let fill = format!(
        "INSERT INTO messages (id, conversation_id, sender_id, seq, message_text)
         SELECT gen_random_uuid(), '{id}', '{}', n, 'text' FROM generate_series(1, 20000) n;
         -- All of the reader's own: of these messages few, of others many.
         INSERT INTO message_deletions (message_id, user_id) SELECT id, '{}' FROM messages WHERE seq % 2 = 0 AND seq < 15000;
         ANALYZE messages, message_deletions",
        a.id, b.id
    );
    let mut connection = world.pool().acquire().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(&mut *connection).await.unwrap();
    let prepare = format!(
        "SET plan_cache_mode = force_generic_plan;
         PREPARE slices (uuid, uuid[], bigint[], bigint[], bigint[], bigint[], bool[], timestamptz[]) AS {};
         PREPARE newest (uuid, uuid, bigint, bigint, bigint) AS {}",
        statement("FROM page m"),
        statement("LIMIT CASE WHEN EXISTS"),
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
    // As most conversations are: nothing in them ever changed.
    let slices = |slice: &str| format!("slices ('{}', '{{{id}}}', {slice})", b.id);
    for (what, call) in [
        ("the newest page", format!("newest ('{}', '{id}', 9223372036854775807, 50, 0)", b.id)),
        ("the newest page for a stranger", format!("newest ('{}', '{id}', 9223372036854775807, 50, 0)", stranger.id)),
        ("a page before", format!("newest ('{}', '{id}', 10000, 50, 50)", b.id)),
        ("a page of several", slices("'{0}', '{9223372036854775807}', '{50}', '{0}', '{false}', '{NULL}'")),
        ("a page forward", slices("'{10000}', '{9223372036854775807}', '{50}', '{0}', '{true}', '{NULL}'")),
        ("the changes", slices("'{0}', '{20001}', '{50}', '{0}', '{false}', '{2000-01-01}'")),
    ] {
        if what == "the changes" {
            sqlx::raw_sql("UPDATE messages SET changed_at = now() WHERE seq IN (5, 500, 5000)")
                .execute(&mut *connection)
                .await
                .unwrap();
        }
        let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {call}");
        let plan: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(explain)).fetch_one(&mut *connection).await.unwrap();
        let rows = rows_taken_up(&plan[0]["Plan"]);
        let expected = if what.ends_with("stranger") { 0.0..1.0 } else { 1.0..500.0 };
        assert!(expected.contains(&rows), "{what}: {rows} rows");
    }
    drop(connection);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn sending_reads_no_whole_table() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let fill = format!(
        "INSERT INTO conversations (id, type, participant_ids)
         SELECT gen_random_uuid(), 'customer_seller', jsonb_build_array('{}', '{}') FROM generate_series(1, 5000);
         ANALYZE conversations, conversation_members",
        a.id, b.id
    );
    let mut connection = world.pool().acquire().await.unwrap();
    let prepare = format!(
        "SET plan_cache_mode = force_generic_plan;
         PREPARE send AS {}",
        statement("Stores a batch of messages"),
    );
    for sql in [fill, prepare] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await.unwrap();
    }
    let explain = "EXPLAIN EXECUTE send ('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', false, now())";
    let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(&mut *connection).await.unwrap();
    let whole =
        plan.iter().find(|line| line.contains("Seq Scan on conversation") || line.contains("Seq Scan on messages"));
    assert_eq!(whole, None);
    drop(connection);
    world.close().await;
}
