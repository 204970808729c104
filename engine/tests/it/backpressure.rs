//! What waits for a session is counted where it waits, and a session that is too slow is cut.

use engineioxide::{DisconnectReason, Frame, Handle, Waiting};
use tokio::sync::mpsc::error::TrySendError;

use crate::support::*;

fn handle(server: &Server) -> Handle {
    server.socket().req_parts.extensions.get::<Handle>().unwrap().clone()
}

#[tokio::test]
async fn packets_and_bytes_are_counted_until_a_poll_has_them() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let handle = handle(&server);
    let frame = Frame::text("hello");
    handle.send(frame.clone()).unwrap();
    handle.send(frame.clone()).unwrap();
    assert_eq!(handle.waiting(), Waiting { packets: 2, bytes: 2 * frame.len() });
    assert_eq!(server.poll(&sid).await.body, "4hello\x1e4hello");
    assert_eq!(handle.waiting(), Waiting::default());
}

#[tokio::test]
async fn packets_and_bytes_are_counted_until_the_kernel_has_them() {
    let server = Server::quiet().await;
    let mut socket = server.open_websocket().await;
    let handle = handle(&server);
    let frame = Frame::text(&"x".repeat(100_000));
    for _ in 0..100 {
        handle.send(frame.clone()).unwrap();
    }
    // Some are with the kernel; it does not take 10 MB.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(handle.waiting().bytes > 1_000_000);
    for _ in 0..100 {
        assert_eq!(socket.text().await.len(), 100_001);
    }
    until("all written", || (handle.waiting() == Waiting::default()).then_some(())).await;
}

#[tokio::test]
async fn a_full_queue_takes_nothing_more_and_a_permit_is_a_place_in_it() {
    let server = Server::start(quiet_config().max_buffer_size(3)).await;
    let sid = server.open().await;
    let (socket, handle) = (server.socket(), handle(&server));
    let permit = socket.reserve().unwrap();
    drop(socket.reserve().unwrap());
    handle.send(Frame::text("1")).unwrap();
    socket.emit("2").unwrap();
    assert!(matches!(handle.send(Frame::text("3")), Err(TrySendError::Full(()))));
    assert!(matches!(socket.emit("3"), Err(TrySendError::Full(_))));
    permit.emit_many("4".into(), [vec![1].into(), vec![2].into()].into());
    assert_eq!(server.poll(&sid).await.body, "41\x1e42\x1e44\x1ebAQ==\x1ebAg==");
    socket.emit("5").unwrap();
    socket.close(DisconnectReason::TransportClose);
    assert!(matches!(handle.send(Frame::text("6")), Err(TrySendError::Closed(()))));
    assert!(matches!(socket.reserve(), Err(TrySendError::Closed(()))));
}

#[tokio::test]
async fn a_cut_websocket_is_closed_however_long_its_peer_sleeps() {
    let server = Server::quiet().await;
    let _sleeper = server.open_websocket().await;
    let handle = handle(&server);
    let frame = Frame::text(&"x".repeat(1_000_000));
    for _ in 0..50 {
        handle.send(frame.clone()).unwrap();
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(handle.waiting().bytes > 0);
    assert!(handle.cut());
    assert!(!handle.cut(), "it has ended");
    assert_eq!(server.ended().await, DisconnectReason::TransportError);
    tokio::time::timeout(PATIENCE, server.socket().closed()).await.unwrap();
}

#[tokio::test]
async fn a_cut_polling_session_is_unknown_and_gets_nothing_more() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let handle = handle(&server);
    let poll = server.poll_later(&sid);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(handle.cut());
    let answer = poll.await.unwrap();
    assert_eq!((answer.status, &*answer.body), (400, r#"{"code":1,"message":"Session ID unknown"}"#));
    assert_eq!(server.poll(&sid).await.status, 400);
    assert_eq!(server.ended().await, DisconnectReason::TransportError);
}

#[tokio::test]
async fn a_poll_takes_as_much_as_a_payload_may_have_and_leaves_the_rest() {
    let server = Server::start(quiet_config().max_payload(1000)).await;
    let sid = server.open().await;
    for _ in 0..5 {
        server.socket().emit("x".repeat(400)).unwrap();
    }
    server.socket().emit("y".repeat(5000)).unwrap();
    let mut sizes = Vec::new();
    for _ in 0..4 {
        sizes.push(server.poll(&sid).await.body.len());
    }
    assert_eq!(sizes, [803, 803, 401, 5001]);
}

#[tokio::test]
async fn of_volatile_messages_only_the_latest_waits() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let socket = server.socket();
    socket.emit("kept").unwrap();
    for i in 0..3 {
        socket.emit_volatile(i.to_string());
    }
    assert_eq!(server.poll(&sid).await.body, "4kept");
    assert_eq!(server.poll(&sid).await.body, "42");
}
