//! What a socket costs that does nothing but answer pings.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{connect_all, customers};
use crate::{client::Target, ids, usage::Watched};

/// Sockets that come and go before the first look, so that what a server needs only once is there.
const WARM_UP: u32 = 200;
const AT_ONCE: u32 = 64;
/// Until those are gone again.
const PAUSE: Duration = Duration::from_secs(3);

/// Options of the scenario.
#[derive(clap::Args)]
pub struct Args {
    /// How many sockets, each of another user
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=i64::from(ids::CUSTOMERS)))]
    sockets: u32,
    /// Seconds between the last handshake and the look at the memory
    #[arg(long, default_value_t = 30)]
    settle: u64,
}

/// Runs it.
///
/// # Errors
/// When sockets do not connect, or the server's memory cannot be read.
pub async fn run(target: &Target, watched: Watched, args: &Args) -> Result<Value> {
    let memory = || watched.server_memory().context("--server-pid is needed to see its memory");
    for one in connect_all(target, customers(target, WARM_UP), AT_ONCE).await {
        one?.0.abort();
    }
    tokio::time::sleep(PAUSE).await;
    let before = memory()?;

    let connected = connect_all(target, customers(target, args.sockets), AT_ONCE).await;
    let held: Vec<JoinHandle<()>> = connected.into_iter().map(|one| Ok(one?.0)).collect::<Result<_>>()?;
    let at_first = memory()?;
    let meter = watched.start();
    tokio::time::sleep(Duration::from_secs(args.settle)).await;
    let after = memory()?;
    Ok(json!({
        "scenario": format!("idle-{}", args.sockets),
        "bytes_per_socket": after.saturating_sub(before) / u64::from(args.sockets),
        "bytes_per_socket_at_first": at_first.saturating_sub(before) / u64::from(args.sockets),
        "server_bytes_before": before,
        "server_bytes": after,
        "lost": held.iter().filter(|h| h.is_finished()).count(),
        "cpu": meter.json(),
    }))
}
