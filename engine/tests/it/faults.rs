//! Requests and frames that harm nobody but their sender.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use engineioxide::{BodyBounds, BodyBudget, BodyRefused, DisconnectReason, service::EngineIoService};
use futures::{SinkExt as _, StreamExt as _, stream};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{Request, body::Frame, service::Service as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use crate::support::*;

/// A POST request of which only a part comes.
async fn part_of_a_body(server: &Server, sid: &str, length: usize, part: usize) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /engine.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'4'; part]).await.unwrap();
    stream
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_ends_its_session() {
    let server = Server::start(quiet_config().body_timeout(Duration::from_millis(200))).await;
    let sid = server.open().await;
    let stream = part_of_a_body(&server, &sid, 1000, 10).await;
    assert_eq!(answer_of(stream).await.status, 408);
    assert_eq!(server.poll(&sid).await.status, 400);
}

#[tokio::test]
async fn a_body_ends_with_its_session() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let stream = part_of_a_body(&server, &sid, 1000, 10).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.socket().close(DisconnectReason::TransportClose);
    assert_eq!(answer_of(stream).await.status, 400);
}

#[tokio::test]
async fn bodies_have_a_budget_together() {
    let server = Server::start(quiet_config().max_payload(50_000).max_bytes_of_bodies(50_000)).await;
    let sid = server.open().await;
    let mut held = vec![part_of_a_body(&server, &sid, 50_000, 49_999).await];
    let sid = server.open().await;
    held.push(part_of_a_body(&server, &sid, 20_000, 19_999).await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = server.open().await;
    let answer = server.post(&second, "4".repeat(40_000)).await;
    assert_eq!(answer.status, 503);
    assert!(answer.head.to_lowercase().contains("retry-after: 1"));
    assert_eq!(server.post(&second, "4".repeat(10_000)).await.status, 200, "a usual one passes");
    drop(held);
    until("room", || (server.app.ended.lock().len() == 2).then_some(())).await;
    assert_eq!(server.post(&second, "4".repeat(40_000)).await.status, 200);
}

#[tokio::test]
async fn a_body_of_too_many_bytes_is_refused_and_its_session_goes_on() {
    let server = Server::start(quiet_config().max_payload(1000)).await;
    let sid = server.open().await;
    assert_eq!(server.post(&sid, "4".repeat(1001)).await.status, 413);
    assert_eq!(server.post(&sid, "4a").await.status, 200);
    assert_eq!(server.poll(&sid).await.body, "4a");
}

struct Bounded(AtomicUsize);

impl BodyBudget for Bounded {
    fn take(&self, bytes: usize) -> bool {
        self.0.fetch_sub(bytes, Ordering::Relaxed) >= bytes
    }
}

#[tokio::test]
async fn the_application_may_bound_bodies_and_hears_why_one_was_refused() {
    let service = EngineIoService::with_config(Arc::new(Echo::default()), quiet_config().build());
    let request = async |method: &str, query: String, body: StreamBody<_>, room: usize| {
        let uri = format!("/engine.io/?EIO=4&transport=polling{query}");
        let mut request = Request::builder().method(method).uri(uri).body(body).unwrap();
        let budget = Arc::new(Bounded(AtomicUsize::new(room)));
        request.extensions_mut().insert(BodyBounds { within: Duration::from_millis(50), budget });
        let response = service.call(request).await.unwrap();
        let refused = response.extensions().get::<BodyRefused>().copied();
        (refused, response.into_body().collect().await.unwrap().to_bytes())
    };
    let pieces = |count: usize, then_waits: bool| {
        let pieces = (0..count).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"4444444444"))));
        let never = stream::pending().take(usize::from(then_waits));
        StreamBody::new(stream::iter(pieces).chain(never).boxed())
    };
    let (_, open) = request("GET", String::new(), pieces(0, false), 0).await;
    let sid = format!("&sid={}", sid_of(&String::from_utf8_lossy(&open)));
    let post = async |body, room| request("POST", sid.clone(), body, room).await.0;
    assert_eq!(post(pieces(2, false), 20).await, None);
    assert_eq!(post(pieces(2, false), 19).await, Some(BodyRefused::NoRoom));
    assert_eq!(post(pieces(100_001, false), usize::MAX).await, Some(BodyRefused::TooLarge));
    assert_eq!(post(pieces(1, true), 10).await, Some(BodyRefused::TooSlow));
}

#[tokio::test]
async fn two_bodies_at_once_end_the_session() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let first = part_of_a_body(&server, &sid, 1000, 10).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.post(&sid, "4a").await.status, 400);
    assert_eq!(answer_of(first).await.status, 400);
    assert_eq!(server.ended().await, DisconnectReason::MultipleHttpPollingError);
}

#[tokio::test]
async fn before_it_is_let_in_a_client_may_send_little() {
    let config = || quiet_config().max_payload_before_connect(Some(1000));
    for by_websocket in [false, true] {
        let server = Server::start(config()).await;
        let text = format!("4{}", "x".repeat(1000));
        if by_websocket {
            let mut socket = server.open_websocket().await;
            socket.send(&text).await;
            socket.closed().await;
            assert_eq!(server.ended().await, DisconnectReason::PacketParsingError);
        } else {
            let sid = server.open().await;
            assert_eq!(server.post(&sid, &text).await.status, 413);
        }
    }
    let server = Server::start(config()).await;
    let mut socket = server.open_websocket().await;
    // What a Socket.IO server sends to a client that it lets in.
    server.socket().emit(r#"0{"sid":"x"}"#).unwrap();
    assert!(socket.text().await.starts_with("40"));
    let text = format!("4{}", "x".repeat(1000));
    socket.send(&text).await;
    assert_eq!(socket.text().await, text);
}

#[tokio::test]
async fn a_payload_of_too_many_packets_ends_the_session() {
    let server = Server::start(quiet_config().max_packets_per_payload(100)).await;
    let sid = server.open().await;
    assert_eq!(server.post(&sid, vec!["3"; 100].join("\x1e")).await.status, 200);
    assert_eq!(server.post(&sid, vec!["3"; 101].join("\x1e")).await.status, 400);
    assert_eq!(server.poll(&sid).await.status, 400);
}

#[tokio::test]
async fn while_a_payload_of_many_packets_is_handled_others_are_served() {
    let server = Server::start(quiet_config().max_packets_per_payload(usize::MAX)).await;
    let (sid, mut other) = (server.open().await, server.open_websocket().await);
    let payload = "6\x1e".repeat(499_999) + "6";
    let posting = {
        let address = server.address;
        let path = format!("/engine.io/?EIO=4&transport=polling&sid={sid}");
        tokio::spawn(async move { request(address, "POST", &path, payload.as_bytes()).await })
    };
    let mut served = 0;
    while !posting.is_finished() {
        other.send("4a").await;
        assert_eq!(other.text().await, "4a");
        served += 1;
    }
    assert_eq!(posting.await.unwrap().status, 200);
    // This runtime has one thread: a payload that is handled at one go would leave room for one.
    assert!(served > 20, "{served} were served meanwhile");
}

#[tokio::test]
async fn base64_that_ends_in_a_newline_is_read() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    assert_eq!(server.post(&sid, "bAQIDBA==\n").await.status, 200);
    assert_eq!(server.poll(&sid).await.body, "bAQIDBA==");
}

#[tokio::test]
async fn a_message_of_too_many_bytes_closes_a_websocket() {
    let server = Server::start(quiet_config().ws_max_message_size(1000)).await;
    for fragments in [1, 4] {
        let mut socket = server.open_websocket().await;
        let size = 1200 / fragments;
        use tokio_tungstenite::tungstenite::protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        };
        for i in 0..fragments {
            let code = if i == 0 { Data::Text } else { Data::Continue };
            let frame = Frame::message(vec![b'4'; size], OpCode::Data(code), i + 1 == fragments);
            if socket.0.send(Message::Frame(frame)).await.is_err() {
                break;
            }
        }
        socket.closed().await;
    }
}

#[tokio::test]
async fn pings_and_fragments_are_handled_as_the_websocket_standard_wants() {
    let server = Server::quiet().await;
    let mut socket = server.open_websocket().await;
    socket.0.send(Message::Ping(vec![1, 2, 3].into())).await.unwrap();
    assert_eq!(socket.next().await, Some(Message::Pong(vec![1, 2, 3].into())));
    socket.0.send(Message::Close(None)).await.unwrap();
    assert_eq!(server.ended().await, DisconnectReason::TransportClose);
}

#[tokio::test]
async fn bytes_that_are_no_websocket_frames_end_the_session() {
    let server = Server::quiet().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[0xff; 100]).await.unwrap();
    let mut all = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all)).await.unwrap().ok();
    assert!(String::from_utf8_lossy(&all).contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(all.ends_with(&[0x88, 2, 0x03, 0xea]), "a close frame with 1002");
    assert_eq!(server.ended().await, DisconnectReason::PacketParsingError);
}

#[tokio::test]
async fn a_callback_that_panics_costs_its_session_only() {
    let server = Server::quiet().await;
    let mut other = server.open_websocket().await;
    server.open_websocket().await.send("4panic").await;
    assert_eq!(server.ended().await, DisconnectReason::TransportError);
    other.send("4a").await;
    assert_eq!(other.text().await, "4a");
}

#[tokio::test]
async fn a_client_that_gives_its_poll_up_is_gone() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let poll = server.poll_later(&sid);
    tokio::time::sleep(Duration::from_millis(50)).await;
    poll.abort();
    assert_eq!(server.ended().await, DisconnectReason::TransportError);
}

#[tokio::test]
async fn a_connection_that_breaks_ends_its_session() {
    let server = Server::quiet().await;
    drop(server.open_websocket().await);
    assert_eq!(server.ended().await, DisconnectReason::TransportClose);
}

#[tokio::test]
async fn requests_leave_nothing_behind_in_their_session() {
    struct Noticed(std::sync::Arc<()>);
    impl std::task::Wake for Noticed {
        fn wake(self: std::sync::Arc<Self>) {
            drop(self.0.clone());
        }
    }
    let server = Server::quiet().await;
    server.open().await;
    let socket = server.socket();
    let noticed = std::sync::Arc::new(());
    for _ in 0..10 {
        let waker = std::task::Waker::from(std::sync::Arc::new(Noticed(noticed.clone())));
        let mut closed = Box::pin(socket.closed());
        assert!(closed.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(std::sync::Arc::strong_count(&noticed), 1);
}

#[tokio::test]
async fn binaries_that_were_announced_and_do_not_come_end_their_session() {
    let server = Server::start(quiet_config().binaries_timeout(Duration::from_millis(100))).await;
    let mut complete = server.open_websocket().await;
    complete.send(r#"451-["event",{"_placeholder":true,"num":0}]"#).await;
    complete.0.send(Message::binary(vec![1])).await.unwrap();
    let mut incomplete = server.open_websocket().await;
    incomplete.send(r#"452-["event",{"_placeholder":true,"num":0}]"#).await;
    incomplete.0.send(Message::binary(vec![1])).await.unwrap();
    incomplete.closed().await;
    assert_eq!(server.ended().await, DisconnectReason::PacketParsingError);
    complete.send("4still here").await;
    while complete.next().await != Some(Message::text("4still here")) {}
    assert_eq!(server.app.ended.lock().len(), 1);
}
