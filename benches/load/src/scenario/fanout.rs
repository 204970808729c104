//! One conversation with many sockets: how fast a message reaches all of them.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::spawn_local};

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
    /// How many sockets sit in the conversation's room: half of them the sender's user's, half of them the other's
    #[arg(long, default_value_t = 500)]
    sockets: u32,
    /// Messages that may be on their way, until each has reached every socket
    #[arg(long, default_value_t = 8)]
    in_flight: usize,
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
    stamp: Stamp,
    /// Sending until the last socket has it.
    complete: Latencies,
    deliveries: Cell<u64>,
    /// How many sockets each message on its way has still to reach; the first is message `completed`.
    on_their_way: RefCell<VecDeque<u32>>,
    completed: Cell<u64>,
    progress: Notify,
    refused: Cell<u64>,
    broken: Cell<u64>,
}

/// Runs it.
///
/// # Errors
/// When the sockets do not connect.
pub async fn run(target: &Target, watched: Watched, args: &Args) -> Result<Value> {
    let pair = ids::pair(0);
    let sender = Client::connect(target, pair.customer, 0).await?;
    let listeners = {
        let target = target.clone();
        each(args.sockets, 32, move |number| {
            let target = target.clone();
            async move { join(&target, pair, number).await }
        })
        .await
    };
    let shared = Rc::new(Shared::default());
    let mut books = Vec::new();
    for listener in listeners {
        let (own, shared) = (Rc::new(RefCell::new(Order::default())), shared.clone());
        books.push(own.clone());
        let client = listener?;
        spawn_local(async move {
            if let Err(e) = listen(client, &shared, &own).await {
                eprintln!("a connection broke: {e}");
                shared.broken.set(shared.broken.get() + 1);
            }
        });
    }
    let sending = spawn_local(send(sender, pair, args.in_flight, args.sockets, shared.clone()));

    shared.span.begin(Duration::from_secs(args.warm_up)).await;
    let meter = watched.start();
    let length = shared.span.end(Duration::from_secs(args.seconds)).await;
    let cpu = meter.json();
    let delivered = shared.deliveries.get();
    shared.progress.notify_one();
    drain(|| sending.is_finished()).await;
    ensure!(sending.is_finished(), "messages did not reach every socket");
    let sent = sending.await??;

    let mut faults = Faults::default();
    books.iter().for_each(|b| faults.add(b.borrow().faults(sent)));
    Ok(json!({
        "scenario": format!("fanout-{}", args.sockets),
        "deliveries_per_s": per_second(delivered, length),
        "messages_per_s": per_second(shared.complete.len(), length),
        "to_all_ms": shared.complete.json(),
        "faults": faults.json(),
        "refused": shared.refused.get(),
        "broken": shared.broken.get(),
        "cpu": cpu,
        "server_bytes": watched.server_memory(),
    }))
}

async fn join(target: &Target, pair: Pair, number: u32) -> Result<Client> {
    let user = if number.is_multiple_of(2) { pair.customer } else { pair.seller };
    let mut client = Client::connect(target, user, number).await?;
    client.call("chat:join", format_args!(r#"{{"conversationId":"{}"}}"#, pair.conversation)).await?;
    Ok(client)
}

/// Sends, waiting for sockets and not for acknowledgements: those come before the sockets are reached, and a sender
/// that goes by them outruns any server until it gives up on sockets that are behind.
async fn send(mut client: Client, pair: Pair, window: usize, sockets: u32, shared: Rc<Shared>) -> Result<u64> {
    let mut sent = 0;
    loop {
        if shared.span.is_over() {
            if shared.completed.get() == sent {
                return Ok(sent);
            }
        } else {
            while shared.on_their_way.borrow().len() < window {
                shared.on_their_way.borrow_mut().push_back(sockets);
                send_message(&mut client, pair.conversation, sent, shared.span.now());
                sent += 1;
            }
        }
        tokio::select! {
            received = client.receive() => received?,
            () = shared.progress.notified() => {}
        }
        while let Some(packet) = client.next()? {
            if let Packet::Ack(_, body) = packet
                && !is_success(body)
            {
                shared.refused.set(shared.refused.get() + 1);
            }
        }
    }
}

async fn listen(mut client: Client, shared: &Shared, own: &RefCell<Order>) -> Result<()> {
    loop {
        while let Some(packet) = client.next()? {
            let Packet::Event(body) = packet else { continue };
            if !body.starts_with(br#""chat:new_message""#) {
                continue;
            }
            let Some(message) = shared.stamp.read(body) else { continue };
            own.borrow_mut().note(message.number);
            let now = shared.span.now();
            if shared.span.counts(now) {
                shared.deliveries.set(shared.deliveries.get() + 1);
            }
            reached(shared, message.number, now, message.sent);
        }
        client.receive().await?;
    }
}

/// One more socket has message `number`.
fn reached(shared: &Shared, number: u64, now: u64, sent: u64) {
    let mut on_their_way = shared.on_their_way.borrow_mut();
    let place = number.checked_sub(shared.completed.get()).and_then(|n| usize::try_from(n).ok());
    let Some(left) = place.and_then(|n| on_their_way.get_mut(n)) else { return };
    *left -= 1;
    if *left == 0 && shared.span.counts(now) {
        shared.complete.note(now - sent);
    }
    while on_their_way.front() == Some(&0) {
        on_their_way.pop_front();
        shared.completed.set(shared.completed.get() + 1);
        shared.progress.notify_one();
    }
}
