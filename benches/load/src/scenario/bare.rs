//! What the same Postgres takes of the same rows with no server in front of it: the measure for group commit.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_local};
use uuid::Uuid;

use super::{SAYING, drain, mark_read::connect};
use crate::{
    ids,
    measure::{Latencies, Span, per_second},
    usage::Watched,
};

const INSERT: &str = "INSERT INTO messages (id, conversation_id, sender_id, seq, message_text, temp_id)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[])";

/// Options of the scenario.
#[derive(clap::Args)]
pub struct Args {
    /// Connections, each with a statement on its way
    #[arg(long, default_value_t = 4)]
    connections: u32,
    /// Rows of a statement
    #[arg(long, default_value_t = 256)]
    batch: u32,
    /// Conversations that the rows belong to
    #[arg(long, default_value_t = 200)]
    conversations: u32,
    /// How long to measure
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How long to insert before that
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
}

#[derive(Default)]
struct Shared {
    span: Span,
    statements: Latencies,
    rows: Cell<u64>,
}

/// Runs it.
///
/// # Errors
/// The database's.
pub async fn run(database_url: &str, watched: Watched, args: &Args) -> Result<Value> {
    let shared = Rc::new(Shared::default());
    let mut writers: Vec<JoinHandle<Result<()>>> = Vec::new();
    let each = args.conversations / args.connections;
    for number in 0..args.connections {
        let first = number * each;
        writers.push(spawn_local(insert(database_url.to_owned(), first..first + each, args.batch, shared.clone())));
    }
    shared.span.begin(Duration::from_secs(args.warm_up)).await;
    let meter = watched.start();
    let length = shared.span.end(Duration::from_secs(args.seconds)).await;
    let cpu = meter.json();
    drain(|| writers.iter().all(JoinHandle::is_finished)).await;
    for writer in writers {
        writer.await??;
    }
    Ok(json!({
        "scenario": "bare",
        "connections": args.connections,
        "rows_per_s": per_second(shared.rows.get(), length),
        "statement_ms": shared.statements.json(),
        "cpu": cpu,
    }))
}

/// Inserts into these pairs' conversations in turn. Each connection has its own, so that no two give one number.
async fn insert(url: String, pairs: std::ops::Range<u32>, batch: u32, shared: Rc<Shared>) -> Result<()> {
    let postgres = connect(&url).await?;
    let statement = postgres.prepare(INSERT).await?;
    let mut turns = (1i64..).flat_map(|seq| pairs.clone().map(move |number| (seq, ids::pair(number))));
    while !shared.span.is_over() {
        let rows: Vec<_> = turns.by_ref().take(batch as usize).collect();
        let new_ids: Vec<Uuid> = rows.iter().map(|_| Uuid::now_v7()).collect();
        let conversations: Vec<Uuid> = rows.iter().map(|(_, p)| p.conversation).collect();
        let senders: Vec<Uuid> = rows.iter().map(|(_, p)| p.customer).collect();
        let seqs: Vec<i64> = rows.iter().map(|(seq, _)| *seq).collect();
        let texts: Vec<String> = rows.iter().map(|(seq, _)| format!("{seq} {} {SAYING}", shared.span.now())).collect();
        let temp_ids: Vec<String> = rows.iter().map(|(seq, _)| format!("temp_{}{seq}", shared.span.now())).collect();
        let start = shared.span.now();
        postgres.execute(&statement, &[&new_ids, &conversations, &senders, &seqs, &texts, &temp_ids]).await?;
        let now = shared.span.now();
        if shared.span.counts(now) {
            shared.statements.note(now - start);
            shared.rows.set(shared.rows.get() + u64::from(batch));
        }
    }
    Ok(())
}
