//! A random scheduler around the upgrade: polls, posts, probes that fail in every way, emits and ends interleave on a
//! clock that does not wait. Whatever happens, each side gets what the other sent, once and in order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use engineioxide::{
    DisconnectReason, Socket,
    config::EngineIoConfig,
    service::{EngineIoService, NotFoundService},
};
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes, service::Service as _};
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::{io::DuplexStream, sync::watch, time::sleep};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::support::Echo;

const SEEDS: u32 = 1500;
const MESSAGES: usize = 30;
/// Of the clock that does not wait.
const PATIENCE: Duration = Duration::from_secs(300);

type Service = EngineIoService<Echo, NotFoundService>;

/// A client as careful as the protocol wants: no poll and no payload is under way when it sends `5`.
struct Client {
    service: Service,
    sid: String,
    random: Mutex<SmallRng>,
    /// Set while an upgrade waits for polls and posts to end.
    is_paused: watch::Sender<bool>,
    is_polling: watch::Sender<bool>,
    is_posting: watch::Sender<bool>,
    got: watch::Sender<Vec<String>>,
    over: watch::Sender<bool>,
}

impl Client {
    fn below(&self, n: u64) -> u64 {
        self.random.lock().random_range(0..n)
    }

    /// Lets others go first, for a while or not at all.
    async fn dawdle(&self) {
        match self.below(4) {
            0 => {}
            1 => sleep(Duration::from_millis(self.below(40))).await,
            _ => {
                for _ in 0..self.below(6) {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    async fn request(&self, method: &str, query: &str, body: String) -> (u16, String) {
        let uri = format!("/engine.io/?EIO=4&transport=polling{query}");
        let request = Request::builder().method(method).uri(uri).body(Full::<Bytes>::from(body)).unwrap();
        let response = self.service.call(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn take(&self, packet: &str) {
        match packet.split_at(1) {
            ("4", text) => self.got.send_modify(|got| got.push(text.to_owned())),
            ("6" | "2" | "3", _) => {}
            ("1", _) => drop(self.over.send_replace(true)),
            other => panic!("{other:?}"),
        }
    }

    async fn poll(&self) {
        while !*self.is_paused.borrow() && !*self.over.borrow() {
            self.is_polling.send_replace(true);
            let (status, body) = self.request("GET", &format!("&sid={}", self.sid), String::new()).await;
            if status == 200 {
                body.split('\x1e').for_each(|packet| self.take(packet));
            } else {
                self.over.send_replace(true);
            }
            self.is_polling.send_replace(false);
            self.dawdle().await;
        }
    }

    /// Tries until an upgrade succeeds; the WebSocket.
    async fn upgrade(&self) -> WebSocketStream<DuplexStream> {
        loop {
            self.dawdle().await;
            let Some(mut socket) = self.open_websocket().await else { std::future::pending().await };
            let fault = self.below(6);
            self.dawdle().await;
            if fault == 0 {
                continue;
            }
            if fault == 1 {
                // Nothing comes over it until the server gives it up.
                while socket.next().await.is_some_and(|message| message.is_ok()) {}
                continue;
            }
            if socket.send("2probe".into()).await.is_err() {
                continue;
            }
            self.dawdle().await;
            if fault == 2 {
                continue;
            }
            match socket.next().await {
                Some(Ok(Message::Text(text))) => assert_eq!(text, "3probe"),
                _ => continue,
            }
            self.is_paused.send_replace(true);
            self.is_polling.subscribe().wait_for(|busy| !busy).await.unwrap();
            self.is_posting.subscribe().wait_for(|busy| !busy).await.unwrap();
            self.dawdle().await;
            if fault == 3 {
                drop(socket);
                self.is_paused.send_replace(false);
                continue;
            }
            socket.send("5".into()).await.unwrap();
            return socket;
        }
    }

    /// `None` once the session has ended.
    async fn open_websocket(&self) -> Option<WebSocketStream<DuplexStream>> {
        let (ours, theirs) = tokio::io::duplex(1 << (6 + self.below(10)));
        let uri = format!("/engine.io/?EIO=4&transport=websocket&sid={}", self.sid);
        let request = Request::builder().uri(uri).body(()).unwrap();
        self.service.call((theirs, request)).await.ok()?;
        Some(WebSocketStream::from_raw_socket(ours, Role::Client, None).await)
    }
}

struct Run {
    app: Arc<Echo>,
    client: Arc<Client>,
    socket: Arc<Socket<()>>,
}

async fn start(seed: u64) -> Run {
    let app = Arc::new(Echo::default());
    let config = EngineIoConfig::builder().max_payload_before_connect(None).max_payload(60);
    let config = config.ping_interval(Duration::from_secs(3600));
    let service = EngineIoService::with_config(app.clone(), config.build());
    let mut client = Client {
        service,
        sid: String::new(),
        random: Mutex::new(SmallRng::seed_from_u64(seed)),
        is_paused: watch::channel(false).0,
        is_polling: watch::channel(false).0,
        is_posting: watch::channel(false).0,
        got: watch::channel(Vec::new()).0,
        over: watch::channel(false).0,
    };
    let (_, open) = client.request("GET", "", String::new()).await;
    client.sid = crate::support::sid_of(&open);
    let socket = app.sockets.lock()[0].clone();
    Run { app, client: Arc::new(client), socket }
}

impl Run {
    fn spawn_polls(&self) {
        let client = self.client.clone();
        tokio::spawn(async move {
            let mut is_paused = client.is_paused.subscribe();
            loop {
                client.poll().await;
                is_paused.wait_for(|paused| !paused).await.unwrap();
                if *client.over.borrow() {
                    return;
                }
            }
        });
    }

    fn spawn_emits(&self) {
        let (client, socket) = (self.client.clone(), self.socket.clone());
        tokio::spawn(async move {
            for i in 0..MESSAGES {
                while matches!(socket.emit(format!("s{i}")), Err(tokio::sync::mpsc::error::TrySendError::Full(_))) {
                    sleep(Duration::from_millis(1)).await;
                }
                client.dawdle().await;
            }
        });
    }

    /// Sends messages by polling until an upgrade is through; the WebSocket, and how many were sent.
    async fn talk(&self) -> (WebSocketStream<DuplexStream>, usize) {
        let sent = Arc::new(AtomicUsize::new(0));
        let posts = tokio::spawn({
            let (client, sent) = (self.client.clone(), sent.clone());
            async move {
                loop {
                    client.is_paused.subscribe().wait_for(|paused| !paused).await.unwrap();
                    let from = sent.load(Ordering::Relaxed);
                    let to = (from + 1 + client.below(3) as usize).min(MESSAGES);
                    if from == to {
                        return;
                    }
                    client.is_posting.send_replace(true);
                    let payload: Vec<_> = (from..to).map(|i| format!("4c{i}")).collect();
                    let query = format!("&sid={}", client.sid);
                    let (status, _) = client.request("POST", &query, payload.join("\x1e")).await;
                    assert_eq!(status, 200);
                    sent.store(to, Ordering::Relaxed);
                    client.is_posting.send_replace(false);
                    client.dawdle().await;
                }
            }
        });
        let socket = self.client.upgrade().await;
        posts.abort();
        (socket, sent.load(Ordering::Relaxed))
    }
}

fn numbered(prefix: &str, range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| format!("{prefix}{i}")).collect()
}

/// Those of one side, in the order in which they came.
fn of(prefix: &str, texts: &[String]) -> Vec<String> {
    texts.iter().filter(|text| text.starts_with(prefix)).cloned().collect()
}

async fn everything_arrives(seed: u64) {
    let run = start(seed).await;
    run.spawn_polls();
    run.spawn_emits();
    let (mut socket, sent) = run.talk().await;
    let client = run.client.clone();
    for i in sent..MESSAGES {
        socket.send(format!("4c{i}").into()).await.unwrap();
        client.dawdle().await;
    }
    // Ours and the echoes of the client's.
    while client.got.borrow().len() < 2 * MESSAGES {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("all comes") {
            Some(Ok(Message::Text(text))) => client.take(&text),
            other => panic!("seed {seed}: {other:?} after {:?}", client.got.borrow()),
        }
    }
    let got = client.got.borrow().clone();
    assert_eq!(of("s", &got), numbered("s", 0..MESSAGES), "seed {seed}");
    assert_eq!(of("c", &got), numbered("c", 0..MESSAGES), "seed {seed}");
    assert_eq!(*run.app.received.lock(), numbered("c", 0..MESSAGES), "seed {seed}");
    assert_eq!(*run.app.ended.lock(), [], "seed {seed}");
    drop(socket);
    run.socket.closed().await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(*run.app.ended.lock(), [DisconnectReason::TransportClose], "seed {seed}");
}

/// Someone ends the session while all this goes on: it ends once, and what came until then is in order and without gaps.
async fn it_ends_once(seed: u64) {
    let run = start(seed).await;
    run.spawn_polls();
    run.spawn_emits();
    let (client, socket) = (run.client.clone(), run.socket.clone());
    let upgrade = tokio::spawn({
        let client = client.clone();
        async move {
            let mut websocket = client.upgrade().await;
            while let Some(Ok(message)) = websocket.next().await {
                if let Message::Text(text) = message {
                    client.take(&text);
                }
            }
        }
    });
    for _ in 0..client.below(30) {
        client.dawdle().await;
    }
    match client.below(4) {
        0 => socket.close(DisconnectReason::ClosingServer),
        1 => assert!(socket.handle().cut()),
        2 => drop(client.request("POST", &format!("&sid={}", client.sid), "1".to_owned()).await),
        _ => {
            // Two polls at once, which are not allowed.
            let query = format!("&sid={}", client.sid);
            let poll = async || {
                let (status, body) = client.request("GET", &query, String::new()).await;
                if status == 200 {
                    body.split('\x1e').for_each(|packet| client.take(packet));
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(1), futures::future::join(poll(), poll())).await;
        }
    }
    // After an upgrade, requests by polling end nothing.
    sleep(Duration::from_secs(1)).await;
    socket.close(DisconnectReason::ClosingServer);
    tokio::time::timeout(PATIENCE, socket.closed()).await.expect("its end");
    sleep(Duration::from_secs(1)).await;
    upgrade.abort();
    assert_eq!(run.app.ended.lock().len(), 1, "seed {seed}");
    let got = of("s", &client.got.borrow());
    assert_eq!(got, numbered("s", 0..got.len()), "seed {seed}");
}

fn for_each_seed<F: Future<Output = ()>>(test: impl Fn(u64) -> F) {
    let first = std::env::var("ENGINE_FUZZ_SEED").map_or(0, |seed| seed.parse().expect("a number"));
    for seed in first..first + u64::from(crate::support::runs(SEEDS)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(PATIENCE * 2, test(seed)).await.unwrap_or_else(|_| panic!("seed {seed} hangs"));
        });
    }
}

#[test]
fn everything_arrives_once_and_in_order_whatever_happens_to_the_upgrade() {
    for_each_seed(everything_arrives);
}

#[test]
fn a_session_that_is_ended_at_any_moment_ends_once() {
    for_each_seed(it_ends_once);
}
