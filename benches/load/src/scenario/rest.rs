//! REST calls: lists and counts of a user with 10,000 conversations, pages of messages of the users in them.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_local};

use super::drain;
use crate::{
    client::Target,
    http::Http,
    ids,
    measure::{Latencies, Span, per_second},
    token,
    usage::Watched,
};

/// What is called.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Call {
    /// The newest 50 conversations
    List,
    /// Unread messages over all conversations
    Unread,
    /// The newest 50 messages of a conversation
    Messages,
}

/// Options of the scenario.
#[derive(clap::Args)]
pub struct Args {
    #[arg(long, value_enum)]
    call: Call,
    /// Callers, each with a call on its way
    #[arg(long, default_value_t = 16)]
    callers: u32,
    /// Milliseconds between an answer and its caller's next call, on average
    #[arg(long, default_value_t = 0)]
    think: u64,
    /// For messages: the conversations 1 … N are asked for
    #[arg(long, default_value_t = 100)]
    conversations: u32,
    /// How long to measure
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How long to call before that
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
}

#[derive(Default)]
struct Shared {
    span: Span,
    calls: Latencies,
    bytes: Cell<u64>,
}

/// Runs it.
///
/// # Errors
/// A caller's: the connection's, or any status but 200.
pub async fn run(target: &Target, watched: Watched, args: &Args) -> Result<Value> {
    let shared = Rc::new(Shared::default());
    let mut callers: Vec<JoinHandle<Result<()>>> = Vec::new();
    for number in 0..args.callers {
        let http = Http::connect(target.address, token::issue(ids::user(ids::BUSY_SELLER), &target.secret)).await?;
        let secret = target.secret.clone();
        callers.push(spawn_local(call(
            http,
            secret,
            number,
            args.call,
            args.conversations,
            args.think,
            shared.clone(),
        )));
    }
    shared.span.begin(Duration::from_secs(args.warm_up)).await;
    let meter = watched.start();
    let length = shared.span.end(Duration::from_secs(args.seconds)).await;
    let cpu = meter.json();
    drain(|| callers.iter().all(JoinHandle::is_finished)).await;
    for caller in callers {
        caller.await??;
    }
    Ok(json!({
        "scenario": format!("rest-{:?}", args.call).to_ascii_lowercase(),
        "calls_per_s": per_second(shared.calls.len(), length),
        "call_ms": shared.calls.json(),
        "bytes_per_answer": shared.bytes.get() / shared.calls.len().max(1),
        "cpu": cpu,
        "server_bytes": watched.server_memory(),
    }))
}

async fn call(
    mut http: Http,
    secret: String,
    number: u32,
    call: Call,
    conversations: u32,
    think: u64,
    shared: Rc<Shared>,
) -> Result<()> {
    // Each caller walks through the conversations on a way of its own, with a step that is prime to their number.
    let mut place = number.wrapping_mul(7919);
    let mut pause = Pause { mean: think, state: number };
    pause.take().await;
    while !shared.span.is_over() {
        let path = match call {
            Call::List => "/conversations".to_owned(),
            Call::Unread => "/unread-count".to_owned(),
            Call::Messages => {
                place = place.wrapping_add(4973) % conversations;
                // The customer of that conversation: a server may have a user wait for their own last page.
                http.call_as(token::issue(ids::user(1 + place), &secret));
                format!("/conversations/{}/messages", ids::conversation(1 + place))
            }
        };
        let start = shared.span.now();
        let body = http.call("GET", &path).await?;
        let now = shared.span.now();
        if shared.span.counts(now) {
            shared.calls.note(now - start);
            shared.bytes.set(shared.bytes.get() + body.len() as u64);
        }
        pause.take().await;
    }
    Ok(())
}

/// From nothing to twice its mean, so that callers who began together do not go on calling together.
struct Pause {
    mean: u64,
    state: u32,
}

impl Pause {
    async fn take(&mut self) {
        if self.mean == 0 {
            return;
        }
        // Numerical Recipes' generator: even enough for this, and the same in every run.
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let micros = (self.mean * 2000 * u64::from(self.state)) >> 32;
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }
}
