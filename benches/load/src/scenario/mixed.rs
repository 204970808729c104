//! A mixed day: pairs of users who type, send, read and look at their conversations.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_local};
use uuid::Uuid;

use super::{drain, each, send_message};
use crate::{
    client::{Client, Packet, Target, is_success},
    ids,
    measure::{Latencies, Span, per_second},
    usage::Watched,
};

/// Options of the scenario.
#[derive(clap::Args)]
pub struct Args {
    /// Pairs of users; each of the two does one thing after the other
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(ids::PAIRS)))]
    pairs: u32,
    /// Milliseconds between an answer and the same user's next action
    #[arg(long, default_value_t = 0)]
    think: u64,
    /// How long to measure
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How long to act before that
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
}

/// What a user does.
#[derive(Clone, Copy)]
enum Action {
    Type,
    Send,
    Read,
    List,
}

impl Action {
    /// Of a hundred things that a user does 45 are typing, 30 sending, 15 reading and 10 looking at the list.
    fn choose(random: u64) -> Self {
        match random % 100 {
            0..45 => Self::Type,
            45..75 => Self::Send,
            75..90 => Self::Read,
            _ => Self::List,
        }
    }
}

#[derive(Default)]
struct Shared {
    span: Span,
    typing: Latencies,
    sends: Latencies,
    reads: Latencies,
    lists: Latencies,
    refused: Cell<u64>,
}

/// Runs it.
///
/// # Errors
/// When a socket does not connect, or breaks.
pub async fn run(target: &Target, watched: Watched, args: &Args) -> Result<Value> {
    let shared = Rc::new(Shared::default());
    let sockets = {
        let target = target.clone();
        each(2 * args.pairs, 32, move |number| {
            let target = target.clone();
            async move { join(&target, number).await }
        })
        .await
    };
    let mut users: Vec<JoinHandle<Result<()>>> = Vec::new();
    for socket in sockets {
        let (client, conversation, number) = socket?;
        let think = Duration::from_millis(args.think);
        users.push(spawn_local(act(client, conversation, number, think, shared.clone())));
    }
    shared.span.begin(Duration::from_secs(args.warm_up)).await;
    let meter = watched.start();
    let length = shared.span.end(Duration::from_secs(args.seconds)).await;
    let cpu = meter.json();
    drain(|| users.iter().all(JoinHandle::is_finished)).await;
    for user in users.extract_if(.., |u| u.is_finished()) {
        user.await??;
    }
    let actions = [&shared.typing, &shared.sends, &shared.reads, &shared.lists];
    Ok(json!({
        "scenario": format!("mixed-{}", args.pairs),
        "actions_per_s": per_second(actions.iter().map(|a| a.len()).sum(), length),
        "typing_ms": shared.typing.json(),
        "send_ms": shared.sends.json(),
        "read_ms": shared.reads.json(),
        "list_ms": shared.lists.json(),
        "refused": shared.refused.get(),
        "unanswered": users.len(),
        "cpu": cpu,
        "server_bytes": watched.server_memory(),
    }))
}

async fn join(target: &Target, number: u32) -> Result<(Client, Uuid, u32)> {
    let pair = ids::pair(number / 2);
    let user = if number.is_multiple_of(2) { pair.customer } else { pair.seller };
    let mut client = Client::connect(target, user, number).await?;
    client.call("chat:join", format_args!(r#"{{"conversationId":"{}"}}"#, pair.conversation)).await?;
    Ok((client, pair.conversation, number))
}

async fn act(mut client: Client, conversation: Uuid, number: u32, think: Duration, shared: Rc<Shared>) -> Result<()> {
    // The same actions in the same order for every server.
    let mut random = u64::from(number) + 1;
    let mut sent = 0;
    while !shared.span.is_over() {
        random = next_random(random);
        let action = Action::choose(random >> 32);
        let start = shared.span.now();
        let id = match action {
            Action::Type => {
                let is_typing = random & 1 == 0;
                let payload = format_args!(r#"{{"conversationId":"{conversation}","isTyping":{is_typing}}}"#);
                Some(client.emit("chat:typing", payload))
            }
            Action::Send => {
                sent += 1;
                Some(send_message(&mut client, conversation, sent, start))
            }
            Action::Read => {
                Some(client.emit("chat:mark_read", format_args!(r#"{{"conversationId":"{conversation}"}}"#)))
            }
            Action::List => {
                client.emit_unanswered("chat:get_conversations");
                None
            }
        };
        answer(&mut client, id, &shared).await?;
        let now = shared.span.now();
        if shared.span.counts(now) {
            match action {
                Action::Type => shared.typing.note(now - start),
                Action::Send => shared.sends.note(now - start),
                Action::Read => shared.reads.note(now - start),
                Action::List => shared.lists.note(now - start),
            }
        }
        if !think.is_zero() {
            pause(&mut client, think).await?;
        }
    }
    Ok(())
}

/// Waits for the acknowledgement with this number, or for the list.
async fn answer(client: &mut Client, id: Option<u64>, shared: &Shared) -> Result<()> {
    loop {
        while let Some(packet) = client.next()? {
            match packet {
                Packet::Ack(n, body) if Some(n) == id => {
                    if !is_success(body) {
                        shared.refused.set(shared.refused.get() + 1);
                    }
                    return Ok(());
                }
                Packet::Event(body) if id.is_none() && body.starts_with(br#""chat:conversations""#) => return Ok(()),
                _ => {}
            }
        }
        client.receive().await?;
    }
}

/// Thinks, and reads meanwhile what comes.
async fn pause(client: &mut Client, think: Duration) -> Result<()> {
    let until = tokio::time::Instant::now() + think;
    loop {
        match tokio::time::timeout_at(until, client.receive()).await {
            Ok(received) => received?,
            Err(_) => return Ok(()),
        }
        while client.next()?.is_some() {}
    }
}

/// Xorshift: enough to mix actions.
fn next_random(mut x: u64) -> u64 {
    x ^= x << 13;
    x ^= x >> 7;
    x ^ x << 17
}
