//! Marking thousands of messages read with one call.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::task::spawn_local;
use tokio_postgres::{Client as Postgres, NoTls};

use crate::{client::Target, http::Http, ids, measure::Latencies, scan::Field, token};

/// Options of the scenario.
#[derive(clap::Args)]
pub struct Args {
    /// How many messages are unread each time
    #[arg(long, default_value_t = 10_000)]
    messages: i64,
    /// How often
    #[arg(long, default_value_t = 50)]
    times: u32,
}

/// Runs it.
///
/// # Errors
/// The database's, the connection's, and a count that is not the number of unread messages.
pub async fn run(target: &Target, database_url: &str, args: &Args) -> Result<Value> {
    let postgres = connect(database_url).await?;
    // A pair that no other scenario uses.
    let pair = ids::pair(ids::PAIRS - 1);
    postgres
        .execute(
            "WITH last AS (
                 UPDATE conversations SET last_seq = last_seq + $2, last_message_at = now() WHERE id = $1
                 RETURNING last_seq - $2 AS seq
             )
             INSERT INTO messages (conversation_id, sender_id, seq, message_text)
             SELECT $1, $3, last.seq + n, 'Unread ' || n FROM last, generate_series(1, $2) AS n",
            &[&pair.conversation, &args.messages, &pair.customer],
        )
        .await?;
    let mut http = Http::connect(target.address, token::issue(pair.seller, &target.secret)).await?;
    let path = format!("/conversations/{}/read", pair.conversation);
    let count = Field::new(r#""count":"#);
    let latencies = Latencies::default();
    // The first two are not measured: statements are prepared and caches filled.
    for time in 0..args.times + 2 {
        postgres
            .execute(
                "UPDATE conversation_members m SET last_read_seq = c.last_seq - $3, skipped = 0
                 FROM conversations c WHERE c.id = m.conversation_id AND c.id = $1 AND m.user_id = $2",
                &[&pair.conversation, &pair.seller, &args.messages],
            )
            .await?;
        let start = Instant::now();
        let answer = http.call("POST", &path).await?;
        let took = start.elapsed();
        let marked = count.number(&answer).context("an answer without a count")?;
        ensure!(i64::try_from(marked)? == args.messages, "{marked} messages were marked, not {}", args.messages);
        if time >= 2 {
            latencies.note(u64::try_from(took.as_nanos())?);
        }
    }
    Ok(json!({ "scenario": "mark-read", "messages": args.messages, "call_ms": latencies.json() }))
}

/// A connection to the database, driven in a task of its own.
pub async fn connect(url: &str) -> Result<Postgres> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("DATABASE_URL")?;
    spawn_local(async move {
        if let Err(e) = connection.await {
            eprintln!("database: {e}");
        }
    });
    Ok(client)
}
