//! Pairs of users, one sending to the other: send, store, acknowledge, deliver.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    time::Duration,
};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_local};

use super::{drain, each, send_message};
use crate::{
    client::{Client, Packet, Target, is_success},
    ids::{self, Pair},
    measure::{Latencies, Span, per_second},
    order::{Faults, Order},
    scan::Stamp,
    usage::Watched,
};

/// Options of the scenario.
#[derive(clap::Args)]
pub struct Args {
    /// How many senders, each with a receiver of its own
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(ids::PAIRS)))]
    pairs: u32,
    /// Messages of one sender that may wait for their acknowledgement
    #[arg(long, default_value_t = 1)]
    in_flight: u64,
    /// How long to measure
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How long to send before that
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
}

#[derive(Default)]
struct Shared {
    span: Span,
    acks: Latencies,
    deliveries: Latencies,
    stamp: Stamp,
    refused: Cell<u64>,
    broken: Cell<u64>,
}

/// One pair's books.
#[derive(Default)]
struct Books {
    sent: Cell<u64>,
    acked: RefCell<Order>,
    delivered: RefCell<Order>,
    /// Messages whose `seq` was not the one after the last one's.
    gaps: Cell<u64>,
}

/// Runs it.
///
/// # Errors
/// When the sockets do not connect.
pub async fn run(target: &Target, watched: Watched, args: &Args) -> Result<Value> {
    let shared = Rc::new(Shared::default());
    let sockets = {
        let target = target.clone();
        each(args.pairs, 32, move |number| {
            let target = target.clone();
            async move { connect(&target, ids::pair(number)).await }
        })
        .await
    };
    let mut books = Vec::new();
    let mut senders: Vec<JoinHandle<()>> = Vec::new();
    for sockets in sockets {
        let (pair, sender, receiver) = sockets?;
        let own = Rc::new(Books::default());
        books.push(own.clone());
        let reading = receive(receiver, shared.clone(), own.clone());
        spawn_local(watch(reading, shared.clone()));
        senders.push(spawn_local(watch(send(sender, pair, args.in_flight, shared.clone(), own), shared.clone())));
    }

    shared.span.begin(Duration::from_secs(args.warm_up)).await;
    let meter = watched.start();
    let length = shared.span.end(Duration::from_secs(args.seconds)).await;
    let cpu = meter.json();
    drain(|| senders.iter().all(JoinHandle::is_finished)).await;
    drain(|| books.iter().all(|b| b.delivered.borrow().seen() >= b.acked.borrow().seen())).await;

    let mut faults = Faults::default();
    for b in &books {
        faults.add(b.acked.borrow().faults(b.sent.get()));
        faults.add(b.delivered.borrow().faults(b.acked.borrow().seen()));
        faults.out_of_order += b.gaps.get();
    }
    Ok(json!({
        "scenario": format!("pairs-{}x{}", args.pairs, args.in_flight),
        "acked_per_s": per_second(shared.acks.len(), length),
        "delivered_per_s": per_second(shared.deliveries.len(), length),
        "ack_ms": shared.acks.json(),
        "delivery_ms": shared.deliveries.json(),
        "faults": faults.json(),
        "refused": shared.refused.get(),
        "broken": shared.broken.get(),
        "cpu": cpu,
        "server_bytes": watched.server_memory(),
    }))
}

async fn connect(target: &Target, pair: Pair) -> Result<(Pair, Client, Client)> {
    let sender = Client::connect(target, pair.customer, 0).await?;
    let mut receiver = Client::connect(target, pair.seller, 0).await?;
    receiver.call("chat:join", format_args!(r#"{{"conversationId":"{}"}}"#, pair.conversation)).await?;
    Ok((pair, sender, receiver))
}

/// A connection that breaks is counted, not the end of the run.
async fn watch(task: impl Future<Output = io::Result<()>>, shared: Rc<Shared>) {
    if let Err(e) = task.await
        && shared.broken.replace(shared.broken.get() + 1) == 0
    {
        eprintln!("a connection broke: {e}");
    }
}

async fn send(mut client: Client, pair: Pair, window: u64, shared: Rc<Shared>, books: Rc<Books>) -> io::Result<()> {
    let mut sent_at: Vec<u64> = Vec::new();
    let mut in_flight = 0;
    loop {
        let now = shared.span.now();
        while let Some(packet) = client.next()? {
            let Packet::Ack(number, body) = packet else { continue };
            in_flight -= 1;
            books.acked.borrow_mut().note(number);
            if !is_success(body) {
                shared.refused.set(shared.refused.get() + 1);
            } else if shared.span.counts(now)
                && let Some(at) = usize::try_from(number).ok().and_then(|n| sent_at.get(n))
            {
                shared.acks.note(now - at);
            }
        }
        if shared.span.is_over() {
            if in_flight == 0 {
                return Ok(());
            }
        } else {
            while in_flight < window {
                let number = send_message(&mut client, pair.conversation, books.sent.get(), now);
                debug_assert_eq!(number, books.sent.get(), "this socket sends nothing else");
                sent_at.push(now);
                books.sent.set(number + 1);
                in_flight += 1;
            }
        }
        client.receive().await?;
    }
}

async fn receive(mut client: Client, shared: Rc<Shared>, books: Rc<Books>) -> io::Result<()> {
    let mut before_first = None;
    loop {
        let now = shared.span.now();
        while let Some(packet) = client.next()? {
            let Packet::Event(body) = packet else { continue };
            if !body.starts_with(br#""chat:new_message""#) {
                continue;
            }
            let Some(message) = shared.stamp.read(body) else { continue };
            books.delivered.borrow_mut().note(message.number);
            let before = message.seq.wrapping_sub(message.number);
            if *before_first.get_or_insert(before) != before {
                books.gaps.set(books.gaps.get() + 1);
            }
            if shared.span.counts(now) {
                shared.deliveries.note(now.saturating_sub(message.sent));
            }
        }
        client.receive().await?;
    }
}
