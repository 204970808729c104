//! What is measured, one file each.

pub mod bare;
pub mod connect;
pub mod fanout;
pub mod idle;
pub mod mark_read;
pub mod mixed;
pub mod pairs;
pub mod rest;

use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::task::{JoinHandle, spawn_local};
use uuid::Uuid;

use crate::{
    client::{Client, Target},
    ids, token,
};

/// About as long as what people write.
const SAYING: &str = "Is the blue one still available, and would you ship it abroad?";
/// How long what is on its way may take at the end.
const DRAIN: Duration = Duration::from_secs(10);

/// Sends message `number` of this sender. Returns the number under which it is acknowledged.
fn send_message(client: &mut Client, conversation: Uuid, number: u64, now: u64) -> u64 {
    // With a tempId, as the React app sends, and unique as its clock makes it; it also keeps the sender from getting its
    // own message.
    client.emit(
        "chat:send_message",
        format_args!(
            r#"{{"conversationId":"{conversation}","message":"{number} {now} {SAYING}","tempId":"temp_{now}{number}"}}"#
        ),
    )
}

/// Runs `one` for each of `0..count`, `at_once` at a time.
async fn each<T: 'static, F: Future<Output = Result<T>> + 'static>(
    count: u32,
    at_once: u32,
    one: impl Fn(u32) -> F + 'static,
) -> Vec<Result<T>> {
    let (next, one) = (Rc::new(Cell::new(0)), Rc::new(one));
    let results = Rc::new(RefCell::new(Vec::with_capacity(count as usize)));
    let workers: Vec<JoinHandle<()>> = (0..at_once.min(count))
        .map(|_| {
            let (next, one, results) = (next.clone(), one.clone(), results.clone());
            spawn_local(async move {
                while next.get() < count {
                    let number = next.replace(next.get() + 1);
                    let result = one(number).await;
                    results.borrow_mut().push(result);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.ok();
    }
    results.take()
}

/// Tokens for the customers 1 … `count`, made before what is measured.
fn customers(target: &Target, count: u32) -> Rc<[String]> {
    (1..=count).map(|n| token::issue(ids::user(n), &target.secret)).collect()
}

/// Connects a socket for each token, `at_once` at a time. Each with the time it took, and a task that holds it: the
/// first are pinged while the last still connect.
async fn connect_all(target: &Target, tokens: Rc<[String]>, at_once: u32) -> Vec<Result<(JoinHandle<()>, Duration)>> {
    connect_each(target, tokens, at_once, |_, mut client| async move { client.hold().await }).await
}

/// As [`connect_all`], with tasks that do something with their clients.
async fn connect_each<F: Future<Output = ()> + 'static>(
    target: &Target,
    tokens: Rc<[String]>,
    at_once: u32,
    task: impl Fn(u32, Client) -> F + 'static,
) -> Vec<Result<(JoinHandle<()>, Duration)>> {
    let (target, task) = (target.clone(), Rc::new(task));
    let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    each(count, at_once, move |number| {
        let (target, tokens, task) = (target.clone(), tokens.clone(), task.clone());
        async move {
            let start = Instant::now();
            let client = Client::connect_with(&target, &tokens[number as usize], number).await?;
            let took = start.elapsed();
            Ok((spawn_local(task(number, client)), took))
        }
    })
    .await
}

/// Waits until `done` says so, within [`DRAIN`].
async fn drain(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() && start.elapsed() < DRAIN {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
