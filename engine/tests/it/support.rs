//! A server with an application that echoes, and clients without a library.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use engineioxide::{
    DisconnectReason, Socket, Str,
    config::{EngineIoConfig, EngineIoConfigBuilder},
    handler::EngineIoHandler,
    service::EngineIoService,
};
use futures::{SinkExt as _, StreamExt as _};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(10);
pub const PING_INTERVAL: Duration = Duration::from_millis(300);
pub const PING_TIMEOUT: Duration = Duration::from_millis(200);

/// Sends back what comes.
#[derive(Debug, Default)]
pub struct Echo {
    pub sockets: Mutex<Vec<Arc<Socket<()>>>>,
    pub received: Mutex<Vec<String>>,
    pub ended: Mutex<Vec<DisconnectReason>>,
}

impl EngineIoHandler for Echo {
    type Data = ();

    fn on_connect(self: Arc<Self>, socket: Arc<Socket<()>>) {
        self.sockets.lock().push(socket);
    }

    fn on_disconnect(&self, _: Arc<Socket<()>>, reason: DisconnectReason) {
        self.ended.lock().push(reason);
    }

    fn on_message(self: &Arc<Self>, msg: Str, socket: Arc<Socket<()>>) {
        assert_ne!(msg.as_str(), "panic");
        self.received.lock().push(msg.as_str().chars().take(100).collect());
        socket.emit(msg).ok();
    }

    fn on_binary(self: &Arc<Self>, data: Bytes, socket: Arc<Socket<()>>) {
        socket.emit_binary(data).ok();
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub app: Arc<Echo>,
}

/// The configuration of the official suite.
pub fn suite_config() -> EngineIoConfigBuilder {
    EngineIoConfig::builder()
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT)
        .max_payload(1_000_000)
        .max_payload_before_connect(None)
}

/// As [`suite_config`], with pings that do not come into a test's way.
pub fn quiet_config() -> EngineIoConfigBuilder {
    suite_config().ping_interval(Duration::from_secs(25)).ping_timeout(Duration::from_secs(20))
}

impl Server {
    pub async fn start(config: EngineIoConfigBuilder) -> Self {
        let app = Arc::new(Echo::default());
        let service = EngineIoService::with_config(app.clone(), config.build());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
                tokio::spawn(connection.with_upgrades());
            }
        });
        Self { address, app }
    }

    pub async fn quiet() -> Self {
        Self::start(quiet_config()).await
    }

    pub async fn request(&self, method: &str, query: &str, body: &[u8]) -> Answer {
        request(self.address, method, &format!("/engine.io/?{query}"), body).await
    }

    pub async fn get(&self, query: &str) -> Answer {
        self.request("GET", query, b"").await
    }

    /// A polling session's id.
    pub async fn open(&self) -> String {
        let answer = self.get("EIO=4&transport=polling").await;
        assert_eq!(answer.status, 200);
        sid_of(&answer.body)
    }

    pub async fn poll(&self, sid: &str) -> Answer {
        self.get(&format!("EIO=4&transport=polling&sid={sid}")).await
    }

    pub async fn post(&self, sid: &str, body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", &format!("EIO=4&transport=polling&sid={sid}"), body.as_ref()).await
    }

    /// A poll that waits.
    pub fn poll_later(&self, sid: &str) -> tokio::task::JoinHandle<Answer> {
        let (address, sid) = (self.address, sid.to_owned());
        tokio::spawn(async move {
            request(address, "GET", &format!("/engine.io/?EIO=4&transport=polling&sid={sid}"), b"").await
        })
    }

    pub async fn websocket(&self, query: &str) -> WebSocket {
        let url = format!("ws://{}/engine.io/?EIO=4&transport=websocket{query}", self.address);
        WebSocket(tokio_tungstenite::connect_async(url).await.unwrap().0)
    }

    /// A WebSocket session whose handshake was read.
    pub async fn open_websocket(&self) -> WebSocket {
        let mut socket = self.websocket("").await;
        assert!(socket.text().await.starts_with('0'));
        socket
    }

    pub async fn upgrading(&self, sid: &str) -> WebSocket {
        self.websocket(&format!("&sid={sid}")).await
    }

    pub fn socket(&self) -> Arc<Socket<()>> {
        self.app.sockets.lock().last().unwrap().clone()
    }

    pub async fn ended(&self) -> DisconnectReason {
        until("the session's end", || self.app.ended.lock().first().copied()).await
    }
}

pub fn sid_of(open: &str) -> String {
    let at = open.find(r#""sid":""#).unwrap() + 7;
    open[at..].split('"').next().unwrap().to_owned()
}

/// Runs of each random test: `ENGINE_FUZZ_RUNS`, or `usual` where it is not set. Printed with the test's name.
pub fn runs(usual: u32) -> u32 {
    let runs = std::env::var("ENGINE_FUZZ_RUNS").ok();
    let runs = runs.map_or(usual, |runs| runs.parse().expect("ENGINE_FUZZ_RUNS is a number"));
    println!("{}: {runs} runs", std::thread::current().name().unwrap_or_default());
    runs
}

/// Waits until there is something.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// One request over a connection of its own.
pub async fn request(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server may answer before it has read all.
    stream.write_all(body).await.ok();
    answer_of(stream).await
}

pub async fn answer_of(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("an answer in time").ok();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

pub struct WebSocket(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl WebSocket {
    pub async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next message. `None` at the end.
    pub async fn next(&mut self) -> Option<Message> {
        match tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a message in time") {
            Some(Ok(Message::Close(_)) | Err(_)) | None => None,
            Some(Ok(message)) => Some(message),
        }
    }

    pub async fn text(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("no text: {other:?}"),
        }
    }

    pub async fn closed(&mut self) {
        while self.next().await.is_some() {}
    }

    /// Probes and upgrades, reading the answer.
    pub async fn upgrade(&mut self) {
        self.send("2probe").await;
        assert_eq!(self.text().await, "3probe");
        self.send("5").await;
    }
}
