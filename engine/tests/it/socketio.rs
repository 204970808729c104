//! The published socketioxide over this engine: the cases of the official socket.io-protocol suite, by their names there.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures::SinkExt as _;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef, TryData},
    handler::ConnectHandler as _,
};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{PING_INTERVAL, PING_TIMEOUT, WebSocket, request};

async fn tell_auth(socket: SocketRef, auth: TryData<Value>) {
    let auth = auth.0.unwrap_or(json!({}));
    socket.emit("auth", &auth).unwrap();
    socket.on("message", async |socket: SocketRef, Data(args): Data<(i32, String, Value)>| {
        socket.emit("message-back", &args).unwrap();
    });
    socket.on("text", async |socket: SocketRef, Data(arg): Data<String>| {
        socket.emit("message-back", &arg).unwrap();
    });
    socket.on("message-with-ack", async |ack: AckSender, Data(args): Data<(i32, String, Value)>| {
        ack.send(&args).unwrap();
    });
    socket.on("binary", async |socket: SocketRef, Data(args): Data<(Bytes, Bytes)>| {
        socket.emit("message-back", &args).unwrap();
    });
    socket.on("binary-with-ack", async |ack: AckSender, Data(args): Data<(Bytes, Bytes)>| {
        ack.send(&args).unwrap();
    });
}

async fn add_to_answer(socket: SocketRef) -> Result<(), std::convert::Infallible> {
    let handle = socket.req_parts().extensions.get::<engineioxide::Handle>().unwrap();
    handle.add_to_connect_answer("/adds", r#""pid":"x""#);
    Ok(())
}

async fn refuse(socket: SocketRef) -> Result<(), &'static str> {
    let handle = socket.req_parts().extensions.get::<engineioxide::Handle>().unwrap();
    handle.add_to_connect_error(socket.ns(), r#""data":{"code":"x"}"#);
    Err("no")
}

/// Adds to answers that the client does not get.
async fn add_elsewhere(socket: SocketRef) -> Result<(), std::convert::Infallible> {
    let handle = socket.req_parts().extensions.get::<engineioxide::Handle>().unwrap();
    handle.add_to_connect_answer("/custom", r#""pid":"x""#);
    handle.add_to_connect_error("/", r#""data":{"code":"x"}"#);
    handle.add_to_connect_error("/elsewhere", r#""data":{"code":"x"}"#);
    Ok(())
}

async fn server() -> SocketAddr {
    let (service, io) = SocketIo::builder()
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT)
        .max_payload(1_000_000)
        .connect_timeout(Duration::from_millis(500))
        .build_svc();
    io.ns("/", tell_auth);
    io.ns("/custom", tell_auth);
    io.ns("/adds", tell_auth.with(add_to_answer));
    io.ns("/refuses", tell_auth.with(refuse));
    io.ns("/elsewhere", tell_auth.with(add_elsewhere));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        // Dropped with the runtime.
        let _io = io;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
            tokio::spawn(connection.with_upgrades());
        }
    });
    address
}

struct Client(WebSocket);

impl Client {
    async fn open() -> Self {
        let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", server().await);
        let mut client = Self(WebSocket(tokio_tungstenite::connect_async(url).await.unwrap().0));
        assert!(client.text().await.starts_with('0'));
        client
    }

    async fn connected() -> Self {
        let mut client = Self::open().await;
        client.connect("").await;
        client
    }

    /// Connects to a namespace; what it was told of its `auth`.
    async fn connect(&mut self, after: &str) -> String {
        self.send(&format!("40{after}")).await;
        assert!(self.text().await.contains(r#"{"sid":""#));
        self.text().await
    }

    async fn send(&mut self, text: &str) {
        self.0.send(text).await;
    }

    async fn send_binary(&mut self, bytes: &[u8]) {
        self.0.0.send(Message::binary(bytes.to_vec())).await.unwrap();
    }

    async fn next(&mut self) -> Option<Message> {
        loop {
            match self.0.next().await {
                Some(Message::Text(text)) if text == "2" => self.send("3").await,
                other => return other,
            }
        }
    }

    async fn text(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("no text: {other:?}"),
        }
    }

    async fn is_closed(&mut self) {
        self.0.closed().await;
    }
}

#[tokio::test]
async fn connect_should_allow_connection_to_the_main_namespace() {
    assert_eq!(Client::open().await.connect("").await, r#"42["auth",{}]"#);
}

#[tokio::test]
async fn connect_should_allow_connection_to_the_main_namespace_with_a_payload() {
    assert_eq!(Client::open().await.connect(r#"{"token":"123"}"#).await, r#"42["auth",{"token":"123"}]"#);
}

#[tokio::test]
async fn connect_should_allow_connection_to_a_custom_namespace() {
    assert_eq!(Client::open().await.connect("/custom,").await, r#"42/custom,["auth",{}]"#);
}

#[tokio::test]
async fn connect_should_allow_connection_to_a_custom_namespace_with_a_payload() {
    let told = Client::open().await.connect(r#"/custom,{"token":"abc"}"#).await;
    assert_eq!(told, r#"42/custom,["auth",{"token":"abc"}]"#);
}

#[tokio::test]
async fn connect_should_disallow_connection_to_an_unknown_namespace() {
    let mut client = Client::open().await;
    client.send("40/random").await;
    assert_eq!(client.text().await, r#"44/random,{"message":"Invalid namespace"}"#);
}

#[tokio::test]
async fn connect_should_disallow_connection_with_an_invalid_handshake() {
    let mut client = Client::open().await;
    client.send("4abc").await;
    client.is_closed().await;
}

#[tokio::test]
async fn connect_should_close_the_connection_if_no_handshake_is_received() {
    let mut client = Client::open().await;
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn disconnect_should_disconnect_from_the_main_namespace() {
    let mut client = Client::connected().await;
    client.send("41").await;
    assert_eq!(client.0.text().await, "2");
}

#[tokio::test]
async fn disconnect_should_connect_then_disconnect_from_a_custom_namespace() {
    let mut client = Client::connected().await;
    client.connect("/custom").await;
    client.send("41/custom").await;
    client.send(r#"42["text","message to main namespace"]"#).await;
    assert_eq!(client.text().await, r#"42["message-back","message to main namespace"]"#);
}

#[tokio::test]
async fn message_should_send_a_plain_text_packet() {
    let mut client = Client::connected().await;
    client.send(r#"42["message",1,"2",{"3":[true]}]"#).await;
    assert_eq!(client.text().await, r#"42["message-back",1,"2",{"3":[true]}]"#);
}

/// Two binaries there, and back after `header`.
async fn binaries(event: &str, header: &str) {
    let mut client = Client::connected().await;
    client.send(event).await;
    client.send_binary(&[1, 2, 3]).await;
    client.send_binary(&[4, 5, 6]).await;
    assert_eq!(client.text().await, header);
    assert_eq!(client.next().await, Some(Message::binary(vec![1, 2, 3])));
    assert_eq!(client.next().await, Some(Message::binary(vec![4, 5, 6])));
}

#[tokio::test]
async fn message_should_send_a_packet_with_binary_attachments() {
    binaries(
        r#"452-["binary",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
        r#"452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
    )
    .await;
}

#[tokio::test]
async fn message_should_send_a_plain_text_packet_with_an_ack() {
    let mut client = Client::connected().await;
    client.send(r#"42456["message-with-ack",1,"2",{"3":[false]}]"#).await;
    assert_eq!(client.text().await, r#"43456[1,"2",{"3":[false]}]"#);
}

#[tokio::test]
async fn message_should_send_a_packet_with_binary_attachments_and_an_ack() {
    binaries(
        r#"452-789["binary-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
        r#"462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
    )
    .await;
}

async fn closes_the_connection_upon(invalid: &str) {
    let mut client = Client::connected().await;
    client.send(invalid).await;
    client.is_closed().await;
}

#[tokio::test]
async fn message_should_close_the_connection_upon_invalid_format_unknown_packet_type() {
    closes_the_connection_upon("4abc").await;
}

#[tokio::test]
async fn message_should_close_the_connection_upon_invalid_format_invalid_payload_format() {
    closes_the_connection_upon("42{}").await;
}

#[tokio::test]
async fn message_should_close_the_connection_upon_invalid_format_invalid_ack_id() {
    closes_the_connection_upon(r#"42abc["message-with-ack",1,"2",{"3":[false]}]"#).await;
}

#[tokio::test]
async fn a_binary_event_that_never_completes_is_not_kept_without_end() {
    let mut client = Client::connected().await;
    client.send(r#"4599-["binary",{"_placeholder":true,"num":0}]"#).await;
    for _ in 0..99 {
        if client.0.0.send(Message::binary(vec![0; 1_000_000])).await.is_err() {
            return;
        }
    }
    client.is_closed().await;
}

#[tokio::test]
async fn an_event_whose_name_holds_an_escape_is_that_event() {
    let mut client = Client::connected().await;
    client.send(r#"42["t\u0065xt","hello"]"#).await;
    assert_eq!(client.text().await, r#"42["message-back","hello"]"#);
}

#[tokio::test]
async fn an_event_whose_name_cannot_be_without_escapes_closes_nothing() {
    let mut client = Client::connected().await;
    for name in [r"text\n", r"\ud83d", r#"\"text"#] {
        client.send(&format!(r#"42["{name}","unknown"]"#)).await;
    }
    client.send(r#"42["text","hello"]"#).await;
    assert_eq!(client.text().await, r#"42["message-back","hello"]"#);
}

#[tokio::test]
async fn an_unsupported_protocol_is_told_so() {
    let answer = request(server().await, "GET", "/socket.io/?EIO=3&transport=polling", b"").await;
    assert_eq!((answer.status, &*answer.body), (400, r#"{"code":5,"message":"Unsupported protocol version"}"#));
}

#[tokio::test]
async fn the_application_adds_to_the_answer_to_connect() {
    let mut client = Client::open().await;
    client.send("40/adds,").await;
    let answer = client.text().await;
    assert!(answer.starts_with(r#"40/adds,{"sid":""#) && answer.ends_with(r#"","pid":"x"}"#), "{answer}");
}

#[tokio::test]
async fn the_application_adds_to_a_refusal() {
    let mut client = Client::open().await;
    for _ in 0..2 {
        client.send("40/refuses,").await;
        assert_eq!(client.text().await, r#"44/refuses,{"message":"no","data":{"code":"x"}}"#);
    }
}

#[tokio::test]
async fn what_is_added_to_one_answer_is_in_no_other() {
    let mut client = Client::open().await;
    client.send("40/elsewhere,").await;
    let answer = client.text().await;
    assert!(answer.starts_with(r#"40/elsewhere,{"sid":""#) && !answer.contains("code"), "{answer}");
    assert_eq!(client.text().await, r#"42/elsewhere,["auth",{}]"#);
    client.send("40/random").await;
    assert_eq!(client.text().await, r#"44/random,{"message":"Invalid namespace"}"#);
    client.send("40").await;
    let answer = client.text().await;
    assert!(answer.starts_with(r#"40{"sid":""#) && !answer.contains("pid"), "{answer}");
}
