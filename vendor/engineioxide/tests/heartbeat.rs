//! The heartbeats of all sessions are driven by one task of the engine.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use engineioxide::{
    Str,
    config::EngineIoConfig,
    handler::EngineIoHandler,
    service::EngineIoService,
    socket::{DisconnectReason, Socket},
};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

mod fixture;
use fixture::{StreamImpl, create_polling_connection, create_ws_connection, send_req};

const INTERVAL: Duration = Duration::from_millis(60);
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct MyHandler(mpsc::UnboundedSender<DisconnectReason>);

impl EngineIoHandler for MyHandler {
    type Data = ();
    fn on_connect(self: Arc<Self>, _: Arc<Socket<()>>) {}
    fn on_disconnect(&self, _: Arc<Socket<()>>, reason: DisconnectReason) {
        self.0.send(reason).unwrap();
    }
    fn on_message(self: &Arc<Self>, _: Str, _: Arc<Socket<()>>) {}
    fn on_binary(self: &Arc<Self>, _: Bytes, _: Arc<Socket<()>>) {}
}

type Server = (
    EngineIoService<MyHandler>,
    mpsc::UnboundedReceiver<DisconnectReason>,
);

fn create_server(timeout: Duration) -> Server {
    let (tx, rx) = mpsc::unbounded_channel();
    let config = EngineIoConfig::builder()
        .ping_interval(INTERVAL)
        .ping_timeout(timeout)
        .build();
    let svc = EngineIoService::with_config(Arc::new(MyHandler(tx)), config);
    (svc, rx)
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

/// The next ping, past the open packet.
async fn ping(ws: &mut WebSocketStream<StreamImpl>) {
    while within(ws.next()).await.unwrap().unwrap() != Message::text("2") {}
}

#[tokio::test]
async fn the_first_ping_comes_an_interval_after_the_session_begins() {
    let (mut svc, _closed) = create_server(PATIENCE);
    let begun = Instant::now();
    let mut ws = create_ws_connection(&mut svc).await;
    ping(&mut ws).await;
    assert!(begun.elapsed() >= INTERVAL, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn who_answers_is_pinged_once_an_interval_and_stays() {
    let (mut svc, mut closed) = create_server(INTERVAL);
    let begun = Instant::now();
    let mut ws = create_ws_connection(&mut svc).await;
    for _ in 0..6 {
        ping(&mut ws).await;
        ws.send(Message::text("3")).await.unwrap();
    }
    assert!(begun.elapsed() >= 6 * INTERVAL, "{:?}", begun.elapsed());
    assert!(closed.try_recv().is_err());
}

#[tokio::test]
async fn who_stops_answering_is_closed_and_others_stay() {
    let (mut svc, mut closed) = create_server(INTERVAL);
    let (mut silent, mut other) = (
        create_ws_connection(&mut svc).await,
        create_ws_connection(&mut svc).await,
    );
    for ws in [&mut silent, &mut other] {
        ping(ws).await;
        ws.send(Message::text("3")).await.unwrap();
    }
    let reason = loop {
        tokio::select! {
            reason = closed.recv() => break reason.unwrap(),
            () = ping(&mut other) => other.send(Message::text("3")).await.unwrap(),
        }
    };
    assert_eq!(reason, DisconnectReason::HeartbeatTimeout);
    ping(&mut other).await;
    assert!(closed.try_recv().is_err(), "one of them only");
}

#[tokio::test]
async fn an_answer_that_comes_within_a_timeout_longer_than_the_interval_is_in_time() {
    let (mut svc, mut closed) = create_server(5 * INTERVAL);
    let mut ws = create_ws_connection(&mut svc).await;
    ping(&mut ws).await;
    // Nothing is asked again while the first question waits.
    let again = tokio::time::timeout(3 * INTERVAL, ping(&mut ws)).await;
    assert!(again.is_err(), "pinged again");
    ws.send(Message::text("3")).await.unwrap();
    // A question later than the deadline of the first has a deadline of its own.
    for _ in 0..4 {
        ping(&mut ws).await;
        ws.send(Message::text("3")).await.unwrap();
    }
    assert!(closed.try_recv().is_err());
}

#[tokio::test]
async fn a_polling_session_is_pinged_and_closed_when_nobody_answers() {
    let (mut svc, mut closed) = create_server(INTERVAL);
    let sid = create_polling_connection(&mut svc).await;
    let poll = send_req(
        &mut svc,
        format!("transport=polling&sid={sid}"),
        http::Method::GET,
        None,
    );
    // send_req takes the first byte off: the answer was the ping alone.
    assert_eq!(within(poll).await, "");
    assert_eq!(
        within(closed.recv()).await,
        Some(DisconnectReason::HeartbeatTimeout)
    );
}

#[tokio::test]
async fn sessions_after_a_time_without_any_are_pinged_too() {
    let (mut svc, mut closed) = create_server(INTERVAL);
    for _ in 0..2 {
        let _silent = create_ws_connection(&mut svc).await;
        assert_eq!(
            within(closed.recv()).await,
            Some(DisconnectReason::HeartbeatTimeout)
        );
        // What was due for it is done with, and the task that did it over.
        let tasks = || {
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
        };
        within(async {
            while tasks() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

#[test]
fn sessions_on_another_runtime_are_pinged_too() {
    let (mut svc, _closed) = create_server(INTERVAL);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    first.block_on(async {
        let mut ws = create_ws_connection(&mut svc).await;
        ping(&mut ws).await;
    });
    drop(first);
    runtime().block_on(async {
        let mut ws = create_ws_connection(&mut svc).await;
        ping(&mut ws).await;
    });
}

#[tokio::test]
async fn who_comes_when_only_old_deadlines_are_left_is_pinged_in_time() {
    let (mut svc, mut closed) = create_server(60 * INTERVAL);
    let mut first = create_ws_connection(&mut svc).await;
    ping(&mut first).await;
    drop(first);
    within(closed.recv()).await;
    // Time itself is what is waited for: its next beat finds it gone, and its deadline is far away.
    tokio::time::sleep(3 * INTERVAL).await;
    let mut second = create_ws_connection(&mut svc).await;
    let in_time = tokio::time::timeout(20 * INTERVAL, ping(&mut second)).await;
    assert!(in_time.is_ok(), "pinged too late");
}
