//! What a socket costs that does nothing but answer pings.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinHandle};

use super::{connect_all, connect_each, customers};
use crate::{
    client::{Client, Target},
    ids,
    usage::Watched,
};

/// Sockets that come and go before the first look, so that what a server needs only once is there.
const WARM_UP: u32 = 200;
const AT_ONCE: u32 = 64;
/// Until those are gone again.
const PAUSE: Duration = Duration::from_secs(3);
/// Characters of a message that a socket stores before it reads it again and again.
const LENGTH: usize = 4000;

/// Options of the scenario.
#[derive(clap::Args)]
pub struct Args {
    /// How many sockets, each of another user
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=i64::from(ids::CUSTOMERS)))]
    sockets: u32,
    /// Seconds between the last handshake and the look at the memory
    #[arg(long, default_value_t = 30)]
    settle: u64,
    /// Bytes that each socket then receives before it falls silent again, for another look (at most 10,000 sockets)
    #[arg(long, default_value_t = 0)]
    receive: usize,
    /// Messages of 4,000 characters that each socket stores before
    #[arg(long, default_value_t = 3)]
    store: usize,
}

/// The sockets' turn to receive.
struct Traffic {
    /// As many permits as may receive at a time; none before.
    turns: Semaphore,
    bytes: usize,
    store: usize,
    done: Cell<u32>,
}

/// Runs it.
///
/// # Errors
/// When sockets do not connect, or the server's memory cannot be read.
pub async fn run(target: &Target, watched: Watched, args: &Args) -> Result<Value> {
    ensure!(args.receive == 0 || args.sockets <= ids::WITH_CONVERSATION, "--receive needs a conversation of each");
    let memory = || watched.server_memory().context("--server-pid is needed to see its memory");
    let settle = || tokio::time::sleep(Duration::from_secs(args.settle));
    for one in connect_all(target, customers(target, WARM_UP), AT_ONCE).await {
        one?.0.abort();
    }
    tokio::time::sleep(PAUSE).await;
    let before = memory()?;

    let traffic =
        Rc::new(Traffic { turns: Semaphore::new(0), bytes: args.receive, store: args.store, done: Cell::new(0) });
    let of_each = traffic.clone();
    let task = move |number, client| live(client, number + 1, of_each.clone());
    let connected = connect_each(target, customers(target, args.sockets), AT_ONCE, task).await;
    let held: Vec<JoinHandle<()>> = connected.into_iter().map(|one| Ok(one?.0)).collect::<Result<_>>()?;
    let at_first = memory()?;
    let meter = watched.start();
    settle().await;
    let after = memory()?;
    let cpu = meter.json();
    let after_traffic = if args.receive > 0 {
        traffic.turns.add_permits(AT_ONCE as usize);
        while traffic.done.get() < args.sockets {
            tokio::time::sleep(Duration::from_millis(100)).await;
            ensure!(!held.iter().any(JoinHandle::is_finished), "a socket was lost");
        }
        let at_once = memory()?;
        settle().await;
        Some(json!({ "server_bytes_at_first": at_once, "server_bytes": memory()? }))
    } else {
        None
    };
    Ok(json!({
        "scenario": format!("idle-{}", args.sockets),
        "bytes_per_socket": after.saturating_sub(before) / u64::from(args.sockets),
        "bytes_per_socket_at_first": at_first.saturating_sub(before) / u64::from(args.sockets),
        "server_bytes_before": before,
        "server_bytes": after,
        "after_traffic": after_traffic,
        "lost": held.iter().filter(|h| h.is_finished()).count(),
        "cpu": cpu,
    }))
}

/// Answers pings; in its turn the socket receives.
async fn live(mut client: Client, customer: u32, traffic: Rc<Traffic>) {
    let turn = tokio::select! {
        turn = traffic.turns.acquire() => turn,
        () = client.hold() => return,
    };
    if let Err(e) = receive(&mut client, customer, &traffic).await {
        eprintln!("customer {customer}: {e:#}");
        return;
    }
    drop(turn);
    traffic.done.set(traffic.done.get() + 1);
    client.hold().await;
}

/// Stores messages and reads them until so many bytes have come.
async fn receive(client: &mut Client, customer: u32, traffic: &Traffic) -> Result<()> {
    let conversation = ids::conversation(customer);
    let text = "x".repeat(LENGTH);
    for number in 0..traffic.store {
        let message = format_args!(r#"{{"conversationId":"{conversation}","message":"{number} {text}"}}"#);
        client.call("chat:send_message", message).await?;
    }
    client.fetch("chat:get_messages", &format!(r#"{{"conversationId":"{conversation}"}}"#), traffic.bytes).await
}
