//! Sockets that come while events are sent to their users.

use std::{sync::Arc, time::Duration};

use clap::Parser;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use socketioxide::{SocketIo, extract::SocketRef};
use souk::{
    config::Config,
    domain::{Role, User, UserId},
    hub::{Audience, Connection, Event, Hub},
};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

fn hub() -> Arc<Hub> {
    let config = Cli::parse_from(["souk", "--jwt-secret", "0123456789abcdef0123456789abcdef"]).config;
    Arc::new(Hub::new(&config))
}

fn user(id: UserId) -> Arc<User> {
    Arc::new(User { id, email: "a@b.c".into(), role: Role::Customer, display_name: None, active: true })
}

fn tell(hub: &Hub, user: UserId, n: i32) {
    hub.emit(&Audience { users: &[user], ..Audience::default() }, &Event::new("told", &json!({ "n": n })));
}

/// The packets that a client gets, over a real WebSocket, when `on_connect` handles its coming.
async fn packets(count: usize, on_connect: impl Fn(SocketRef) + Send + Sync + 'static) -> Vec<String> {
    let (layer, io) = SocketIo::builder().build_layer();
    let on_connect = Arc::new(on_connect);
    io.ns("/", async move |socket: SocketRef| on_connect(socket));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().layer(layer)).await });
    let (mut client, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    client.send("40".into()).await.unwrap();
    let texts = client.filter_map(async |frame| match frame.unwrap() {
        Message::Text(text) => Some(text.to_string()),
        _ => None,
    });
    // The first is the handshake.
    tokio::time::timeout(PATIENCE, Box::pin(texts.skip(1).take(count)).collect()).await.unwrap()
}

#[tokio::test]
async fn what_is_sent_while_a_socket_comes_in_follows_its_connect_packet_in_order() {
    let (hub, id) = (hub(), UserId(Uuid::new_v4()));
    let arrival = parking_lot::Mutex::new(Some(hub.expect(id)));
    tell(&hub, id, 1);
    let got = packets(4, move |socket| {
        // Its client may know by now that it is connected.
        tell(&hub, id, 2);
        let connection = Arc::new(Connection::new(Uuid::new_v4(), user(id), i64::MAX, socket, None));
        arrival.lock().take().unwrap().complete(&connection);
        tell(&hub, id, 3);
    })
    .await;
    assert!(got[0].starts_with("40"), "{got:?}");
    assert_eq!(got[1..], [r#"42["told",{"n":1}]"#, r#"42["told",{"n":2}]"#, r#"42["told",{"n":3}]"#]);
}

#[tokio::test]
async fn a_socket_that_never_comes_in_leaves_nothing_for_the_next() {
    let (hub, id) = (hub(), UserId(Uuid::new_v4()));
    let never = hub.expect(id);
    tell(&hub, id, 1);
    drop(never);
    let got = packets(2, move |socket| {
        let connection = Arc::new(Connection::new(Uuid::new_v4(), user(id), i64::MAX, socket, None));
        hub.expect(id).complete(&connection);
        tell(&hub, id, 2);
    })
    .await;
    assert_eq!(got[1], r#"42["told",{"n":2}]"#);
}

#[tokio::test]
async fn what_is_not_for_a_user_does_not_wait_for_their_socket() {
    let (hub, id) = (hub(), UserId(Uuid::new_v4()));
    let arrival = parking_lot::Mutex::new(Some(hub.expect(id)));
    let event = Event::new("told", &json!({ "n": 1 }));
    hub.emit(&Audience { users: &[id], not_user: Some(id), ..Audience::default() }, &event);
    tell(&hub, UserId(Uuid::new_v4()), 1);
    let got = packets(2, move |socket| {
        let connection = Arc::new(Connection::new(Uuid::new_v4(), user(id), i64::MAX, socket, None));
        arrival.lock().take().unwrap().complete(&connection);
        tell(&hub, id, 2);
    })
    .await;
    assert_eq!(got[1], r#"42["told",{"n":2}]"#);
}

#[test]
fn a_user_is_present_while_their_socket_comes_in() {
    let (hub, id) = (hub(), UserId(Uuid::new_v4()));
    let arrival = hub.expect(id);
    assert_eq!(hub.present([id]), [id]);
    drop(arrival);
    assert_eq!(hub.present([id]), []);
}
