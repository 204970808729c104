//! Upgrades that go wrong, and what must not come of it.

use std::time::{Duration, Instant};

use engineioxide::TransportType;

use crate::support::*;

async fn is_websocket(server: &Server) {
    let socket = server.socket();
    until("the upgrade", || (socket.transport_type() == TransportType::Websocket).then_some(())).await;
}

/// The session polls and posts as if there had been no upgrade.
async fn goes_on_polling(server: &Server, sid: &str) {
    let poll = server.poll_later(sid);
    assert_eq!(server.post(sid, "4still here").await.status, 200);
    assert_eq!(poll.await.unwrap().body, "4still here");
    assert_eq!(*server.app.ended.lock(), []);
}

#[tokio::test]
async fn a_websocket_that_breaks_before_the_probe_leaves_the_session_as_it_was() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    drop(server.upgrading(&sid).await);
    goes_on_polling(&server, &sid).await;
}

#[tokio::test]
async fn a_websocket_that_breaks_after_the_probe_leaves_the_session_as_it_was() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let mut socket = server.upgrading(&sid).await;
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    drop(socket);
    goes_on_polling(&server, &sid).await;
}

#[tokio::test]
async fn after_a_failed_upgrade_another_one_may_succeed() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let mut failed = server.upgrading(&sid).await;
    failed.send("4too early").await;
    failed.closed().await;
    let mut socket = server.upgrading(&sid).await;
    socket.upgrade().await;
    socket.send("4hello").await;
    assert_eq!(socket.text().await, "4hello");
    assert_eq!(*server.app.ended.lock(), []);
}

#[tokio::test]
async fn while_the_websocket_is_silent_polls_are_held() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let _silent = server.upgrading(&sid).await;
    let poll = server.poll_later(&sid);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!poll.is_finished());
    server.socket().emit("news").unwrap();
    assert_eq!(poll.await.unwrap().body, "4news");
}

#[tokio::test]
async fn a_silent_websocket_is_closed_after_its_time_and_the_session_goes_on() {
    let server = Server::start(quiet_config().upgrade_timeout(Duration::from_millis(200))).await;
    let sid = server.open().await;
    server.upgrading(&sid).await.closed().await;
    goes_on_polling(&server, &sid).await;
}

#[tokio::test]
async fn a_poll_that_waits_is_answered_when_the_probe_comes() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let poll = server.poll_later(&sid);
    let mut socket = server.upgrading(&sid).await;
    assert!(!poll.is_finished());
    socket.send("2probe").await;
    assert_eq!(poll.await.unwrap().body, "6");
}

#[tokio::test]
async fn a_client_that_goes_on_polling_after_its_probe_gets_few_noops() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let mut socket = server.upgrading(&sid).await;
    socket.send("2probe").await;
    let end = Instant::now() + Duration::from_secs(1);
    let mut polls = 0;
    while Instant::now() < end {
        assert_eq!(server.poll(&sid).await.body, "6");
        polls += 1;
    }
    assert!((2..12).contains(&polls), "{polls} polls in a second");
}

#[tokio::test]
async fn what_is_sent_during_the_probe_goes_by_the_poll() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let mut socket = server.upgrading(&sid).await;
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    server.socket().emit("one").unwrap();
    assert_eq!(server.poll(&sid).await.body, "4one");
    server.socket().emit("two").unwrap();
    socket.send("5").await;
    assert_eq!(socket.text().await, "4two");
}

#[tokio::test]
async fn a_poll_that_overtakes_the_packet_5_is_refused_and_the_session_goes_on() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let mut socket = server.upgrading(&sid).await;
    let poll = server.poll_later(&sid);
    tokio::time::sleep(Duration::from_millis(50)).await;
    socket.send("2probe").await;
    socket.send("5").await;
    let answer = poll.await.unwrap();
    assert!(answer.status == 400 || answer.body == "6", "{answer:?}");
    is_websocket(&server).await;
    socket.send("4hello").await;
    assert_eq!(socket.text().await, "3probe");
    assert_eq!(socket.text().await, "4hello");
    assert_eq!(*server.app.ended.lock(), []);
}

#[tokio::test]
async fn a_poll_given_up_during_an_upgrade_does_not_end_the_session() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let mut socket = server.upgrading(&sid).await;
    let poll = server.poll_later(&sid);
    tokio::time::sleep(Duration::from_millis(50)).await;
    poll.abort();
    socket.upgrade().await;
    socket.send("4hello").await;
    assert_eq!(socket.text().await, "4hello");
    assert_eq!(*server.app.ended.lock(), []);
}

#[tokio::test]
async fn a_second_websocket_during_an_upgrade_is_closed_and_the_first_goes_on() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let mut first = server.upgrading(&sid).await;
    first.send("2probe").await;
    assert_eq!(first.text().await, "3probe");
    server.upgrading(&sid).await.closed().await;
    first.send("5").await;
    first.send("4hello").await;
    assert_eq!(first.text().await, "4hello");
}

#[tokio::test]
async fn a_session_that_ends_during_its_upgrade_closes_the_websocket() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let mut socket = server.upgrading(&sid).await;
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    assert_eq!(server.post(&sid, "1").await.status, 200);
    socket.closed().await;
    assert_eq!(server.ended().await, engineioxide::DisconnectReason::TransportClose);
    assert_eq!(server.app.ended.lock().len(), 1);
}

#[tokio::test]
async fn a_client_that_gives_its_poll_and_its_upgrade_up_is_gone() {
    let server = Server::quiet().await;
    let sid = server.open().await;
    let socket = server.upgrading(&sid).await;
    let poll = server.poll_later(&sid);
    tokio::time::sleep(Duration::from_millis(50)).await;
    poll.abort();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(*server.app.ended.lock(), []);
    drop(socket);
    assert_eq!(server.ended().await, engineioxide::DisconnectReason::TransportError);
}
