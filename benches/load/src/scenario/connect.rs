//! Many sockets connect, with authentication, as fast as they can: what follows a restart.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::{connect_all, customers};
use crate::{
    client::Target,
    ids,
    measure::{Latencies, per_second},
    usage::Watched,
};

/// Options of the scenario.
#[derive(clap::Args)]
pub struct Args {
    /// How many sockets, each of another user
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=i64::from(ids::CUSTOMERS)))]
    sockets: u32,
    /// Handshakes at once
    #[arg(long, default_value_t = 256)]
    at_once: u32,
}

/// Runs it.
///
/// # Errors
/// None of its own.
pub async fn run(target: &Target, watched: Watched, args: &Args) -> Result<Value> {
    let tokens = customers(target, args.sockets);
    let meter = watched.start();
    let start = Instant::now();
    let connected = connect_all(target, tokens, args.at_once).await;
    let length = start.elapsed();
    let cpu = meter.json();

    let latencies = Latencies::default();
    let mut failed = 0;
    for one in connected {
        match one {
            Ok((_, took)) => latencies.note(u64::try_from(took.as_nanos())?),
            Err(e) => {
                if failed == 0 {
                    eprintln!("a handshake failed: {e:#}");
                }
                failed += 1;
            }
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(json!({
        "scenario": format!("connect-{}", args.sockets),
        "connections_per_s": per_second(latencies.len(), length),
        "handshake_ms": latencies.json(),
        "failed": failed,
        "cpu": cpu,
        "server_bytes": watched.server_memory(),
    }))
}
