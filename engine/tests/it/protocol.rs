//! The cases of the official engine.io-protocol suite, by their names there.

use tokio_tungstenite::tungstenite::Message;

use crate::support::*;

fn assert_open(json: &str, upgrades: &str) {
    let sid = sid_of(json);
    assert_eq!(sid.len(), 16);
    let expected = format!(
        r#"0{{"sid":"{sid}","upgrades":{upgrades},"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}}"#
    );
    assert_eq!(json, expected);
}

async fn suite() -> Server {
    Server::start(suite_config()).await
}

mod handshake {
    use super::*;

    #[tokio::test]
    async fn polling_successfully_opens_a_session() {
        let answer = suite().await.get("EIO=4&transport=polling").await;
        assert_eq!(answer.status, 200);
        assert_open(&answer.body, r#"["websocket"]"#);
        assert!(answer.head.contains("text/plain; charset=UTF-8"));
    }

    #[tokio::test]
    async fn polling_fails_with_an_invalid_eio_query_parameter() {
        let server = suite().await;
        for query in ["transport=polling", "EIO=abc&transport=polling", "EIO=3&transport=polling"] {
            let answer = server.get(query).await;
            assert_eq!(answer.status, 400);
            assert_eq!(answer.body, r#"{"code":5,"message":"Unsupported protocol version"}"#);
        }
    }

    #[tokio::test]
    async fn polling_fails_with_an_invalid_transport_query_parameter() {
        let server = suite().await;
        for query in ["EIO=4", "EIO=4&transport=abc"] {
            let answer = server.get(query).await;
            assert_eq!((answer.status, &*answer.body), (400, r#"{"code":0,"message":"Transport unknown"}"#));
        }
    }

    #[tokio::test]
    async fn polling_fails_with_an_invalid_request_method() {
        let server = suite().await;
        for method in ["POST", "PUT"] {
            let answer = server.request(method, "EIO=4&transport=polling", b"").await;
            assert_eq!((answer.status, &*answer.body), (400, r#"{"code":2,"message":"Bad handshake method"}"#));
        }
    }

    #[tokio::test]
    async fn websocket_successfully_opens_a_session() {
        assert_open(&suite().await.websocket("").await.text().await, "[]");
    }

    async fn websocket_fails_with(query: &str) {
        let url = format!("ws://{}/engine.io/?{query}", suite().await.address);
        assert!(tokio_tungstenite::connect_async(url).await.is_err(), "{query}");
    }

    #[tokio::test]
    async fn websocket_fails_with_an_invalid_eio_query_parameter() {
        websocket_fails_with("transport=websocket").await;
        websocket_fails_with("EIO=abc&transport=websocket").await;
    }

    #[tokio::test]
    async fn websocket_fails_with_an_invalid_transport_query_parameter() {
        websocket_fails_with("EIO=4").await;
        websocket_fails_with("EIO=4&transport=abc").await;
    }

    #[tokio::test]
    async fn an_unknown_session_id_is_refused() {
        let server = suite().await;
        for sid in ["AAAAAAAAAAAAAAAA", "x", "%00"] {
            for answer in [server.poll(sid).await, server.post(sid, "4a").await] {
                assert_eq!((answer.status, &*answer.body), (400, r#"{"code":1,"message":"Session ID unknown"}"#));
            }
        }
        let url = format!("ws://{}/engine.io/?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAA", server.address);
        assert!(tokio_tungstenite::connect_async(url).await.is_err());
    }

    #[tokio::test]
    async fn a_websocket_request_without_the_upgrade_is_a_bad_request() {
        let answer = suite().await.get("EIO=4&transport=websocket").await;
        assert_eq!((answer.status, &*answer.body), (400, r#"{"code":3,"message":"Bad request"}"#));
    }

    #[tokio::test]
    async fn what_is_not_for_the_engine_goes_to_the_inner_service() {
        assert_eq!(request(suite().await.address, "GET", "/elsewhere", b"").await.status, 404);
    }
}

mod message {
    use super::*;

    /// A payload there and back.
    async fn echoes(payload: &str) {
        let server = Server::quiet().await;
        let sid = server.open().await;
        let answer = server.post(&sid, payload).await;
        assert_eq!((answer.status, &*answer.body), (200, "ok"));
        let answer = server.poll(&sid).await;
        assert_eq!((answer.status, &*answer.body), (200, payload));
    }

    #[tokio::test]
    async fn polling_sends_and_receives_a_payload_containing_one_plain_text_packet() {
        echoes("4hello").await;
    }

    #[tokio::test]
    async fn polling_sends_and_receives_a_payload_containing_several_plain_text_packets() {
        echoes("4test1\x1e4test2\x1e4test3").await;
    }

    #[tokio::test]
    async fn polling_sends_and_receives_a_payload_containing_plain_text_and_binary_packets() {
        echoes("4hello\x1ebAQIDBA==").await;
    }

    #[tokio::test]
    async fn polling_closes_the_session_upon_invalid_packet_format() {
        let server = Server::quiet().await;
        let sid = server.open().await;
        assert_eq!(server.post(&sid, "abc").await.status, 400);
        assert_eq!(server.poll(&sid).await.status, 400);
    }

    #[tokio::test]
    async fn polling_closes_the_session_upon_duplicate_poll_requests() {
        let server = Server::quiet().await;
        let sid = server.open().await;
        let (first, second) = (server.poll_later(&sid), server.poll_later(&sid));
        let mut answers = [first.await.unwrap(), second.await.unwrap()];
        answers.sort_by_key(|answer| answer.status);
        assert_eq!((answers[0].status, &*answers[0].body), (200, "1"));
        assert_eq!(answers[1].status, 400);
        assert_eq!(server.poll(&sid).await.status, 400);
    }

    #[tokio::test]
    async fn websocket_sends_and_receives_a_plain_text_packet() {
        let mut socket = Server::quiet().await.open_websocket().await;
        socket.send("4hello").await;
        assert_eq!(socket.text().await, "4hello");
    }

    #[tokio::test]
    async fn websocket_sends_and_receives_a_binary_packet() {
        let mut socket = Server::quiet().await.open_websocket().await;
        let message = Message::binary(vec![1, 2, 3, 4]);
        futures::SinkExt::send(&mut socket.0, message.clone()).await.unwrap();
        assert_eq!(socket.next().await, Some(message));
    }

    #[tokio::test]
    async fn websocket_closes_the_session_upon_invalid_packet_format() {
        let server = Server::quiet().await;
        let mut socket = server.open_websocket().await;
        socket.send("abc").await;
        socket.closed().await;
        assert_eq!(server.ended().await, engineioxide::DisconnectReason::PacketParsingError);
    }
}

mod heartbeat {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn polling_sends_ping_pong_packets() {
        let server = suite().await;
        let sid = server.open().await;
        for _ in 0..3 {
            let answer = server.poll(&sid).await;
            assert_eq!((answer.status, &*answer.body), (200, "2"));
            assert_eq!(server.post(&sid, "3").await.status, 200);
        }
    }

    #[tokio::test]
    async fn polling_closes_the_session_upon_ping_timeout() {
        let server = suite().await;
        let sid = server.open().await;
        tokio::time::sleep(PING_INTERVAL + PING_TIMEOUT).await;
        assert_eq!(server.ended().await, engineioxide::DisconnectReason::HeartbeatTimeout);
        assert_eq!(server.poll(&sid).await.status, 400);
    }

    #[tokio::test]
    async fn websocket_sends_ping_pong_packets() {
        let mut socket = suite().await.open_websocket().await;
        for _ in 0..3 {
            assert_eq!(socket.text().await, "2");
            socket.send("3").await;
        }
    }

    #[tokio::test]
    async fn websocket_closes_the_session_upon_ping_timeout() {
        let server = suite().await;
        let mut socket = server.open_websocket().await;
        assert_eq!(socket.text().await, "2");
        socket.closed().await;
        assert_eq!(server.ended().await, engineioxide::DisconnectReason::HeartbeatTimeout);
    }

    #[tokio::test]
    async fn the_first_ping_comes_one_interval_after_the_handshake() {
        let opened = Instant::now();
        let mut socket = suite().await.open_websocket().await;
        assert_eq!(socket.text().await, "2");
        let passed = opened.elapsed();
        assert!(passed >= PING_INTERVAL, "{passed:?}");
    }

    #[tokio::test]
    async fn a_pong_that_nobody_asked_for_keeps_no_session() {
        let server = suite().await;
        let mut socket = server.open_websocket().await;
        socket.send("3").await;
        assert_eq!(socket.text().await, "2");
        socket.closed().await;
        assert_eq!(server.ended().await, engineioxide::DisconnectReason::HeartbeatTimeout);
    }

    #[tokio::test]
    async fn a_ping_from_a_client_ends_its_session() {
        let server = suite().await;
        server.open_websocket().await.send("2").await;
        assert_eq!(server.ended().await, engineioxide::DisconnectReason::PacketParsingError);
    }
}

mod close {
    use super::*;

    #[tokio::test]
    async fn polling_forcefully_closes_the_session() {
        let server = Server::quiet().await;
        let sid = server.open().await;
        let poll = server.poll_later(&sid);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(server.post(&sid, "1").await.status, 200);
        let answer = poll.await.unwrap();
        assert_eq!((answer.status, &*answer.body), (200, "6"));
        assert_eq!(server.poll(&sid).await.status, 400);
        assert_eq!(server.ended().await, engineioxide::DisconnectReason::TransportClose);
    }

    #[tokio::test]
    async fn a_poll_that_is_overtaken_by_the_close_packet_is_answered_as_one_that_waited() {
        let server = Server::quiet().await;
        let sid = server.open().await;
        assert_eq!(server.post(&sid, "1").await.status, 200);
        let answer = server.poll(&sid).await;
        assert_eq!((answer.status, &*answer.body), (200, "6"));
        assert_eq!(server.poll(&sid).await.status, 400);
    }

    #[tokio::test]
    async fn websocket_forcefully_closes_the_session() {
        let server = Server::quiet().await;
        let mut socket = server.open_websocket().await;
        socket.send("1").await;
        socket.closed().await;
        assert_eq!(server.ended().await, engineioxide::DisconnectReason::TransportClose);
    }

    #[tokio::test]
    async fn what_waits_is_sent_before_the_server_closes_a_session() {
        let server = Server::quiet().await;
        let mut socket = server.open_websocket().await;
        let on_server = server.socket();
        on_server.emit("last").unwrap();
        on_server.close(engineioxide::DisconnectReason::ClosingServer);
        assert_eq!(socket.text().await, "4last");
        assert_eq!(socket.next().await, None);
        tokio::time::timeout(PATIENCE, on_server.closed()).await.unwrap();

        let sid = server.open().await;
        let on_server = server.socket();
        let poll = server.poll_later(&sid);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        on_server.close(engineioxide::DisconnectReason::ClosingServer);
        assert_eq!(poll.await.unwrap().body, "1");
        tokio::time::timeout(PATIENCE, on_server.closed()).await.unwrap();
    }
}

mod upgrade {
    use super::*;

    #[tokio::test]
    async fn successfully_upgrades_from_http_long_polling_to_websocket() {
        let server = Server::quiet().await;
        let sid = server.open().await;
        let mut socket = server.upgrading(&sid).await;
        socket.send("2probe").await;
        assert_eq!(socket.text().await, "3probe");
        let answer = server.poll(&sid).await;
        assert_eq!((answer.status, &*answer.body), (200, "6"));
        socket.send("5").await;
        socket.send("4hello").await;
        assert_eq!(socket.text().await, "4hello");
    }

    #[tokio::test]
    async fn ignores_http_requests_with_same_sid_after_upgrade() {
        let server = Server::quiet().await;
        let sid = server.open().await;
        let mut socket = server.upgrading(&sid).await;
        socket.upgrade().await;
        until("the upgrade", || {
            (server.socket().transport_type() == engineioxide::TransportType::Websocket).then_some(())
        })
        .await;
        assert_eq!(server.poll(&sid).await.status, 400);
        assert_eq!(server.post(&sid, "4no").await.status, 400);
        socket.send("4hello").await;
        assert_eq!(socket.text().await, "4hello");
    }

    #[tokio::test]
    async fn ignores_websocket_connection_with_same_sid_after_upgrade() {
        let server = Server::quiet().await;
        let sid = server.open().await;
        let mut socket = server.upgrading(&sid).await;
        socket.upgrade().await;
        server.upgrading(&sid).await.closed().await;
        socket.send("4hello").await;
        assert_eq!(socket.text().await, "4hello");
    }
}
