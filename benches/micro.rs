//! Micro-benchmarks of what every message passes through: parsing, serialising, fan-out. `cargo bench --bench micro`
//! prints the times; a regression shows beside those of the version before.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use clap::Parser;
use divan::{Bencher, black_box};
use futures::StreamExt as _;
use serde_json::json;
use socketioxide::{SocketIo, extract::SocketRef};
use souk::{
    config::Config,
    domain::{ConversationId, Message, MessageId, Role, User, UserId},
    hub::{Audience, Connection, Event, Hub},
    protocol::{MessageView, SendMessage, events::outgoing, json, parse_event},
};
use tokio::runtime::Runtime;
use uuid::Uuid;

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    divan::main();
}

fn text(chars: usize) -> String {
    "Is this still available? ".chars().cycle().take(chars).collect()
}

fn message(chars: usize) -> Message {
    let sender = UserId(Uuid::from_u128(1));
    let (id, conversation) = (MessageId(Uuid::from_u128(2)), ConversationId(Uuid::from_u128(3)));
    Message { read_by: vec![sender], ..Message::plain(id, conversation, sender, 17, text(chars), Utc::now()) }
}

/// An event off the wire, up to the draft that a use case checks.
#[divan::bench(args = [50, 5000])]
fn parse_send_message(bencher: Bencher, chars: usize) {
    let payload =
        json!({ "conversationId": Uuid::from_u128(3), "message": text(chars), "tempId": "temp_1700000000000_x" });
    let packet = json!(["chat:send_message", payload]).to_string();
    bencher.bench(|| {
        let (event, payload) = parse_event(black_box(&packet));
        assert!(event.len() > 4);
        SendMessage::from(&payload)
    });
}

/// An event that is serialised once for all who get it.
#[divan::bench(args = [50, 5000])]
fn serialise_new_message(bencher: Bencher, chars: usize) {
    let message = message(chars);
    bencher.bench(|| {
        let view = MessageView::from(black_box(&message)).from_sender("Anna", Role::Customer);
        Event::of_json(outgoing::NEW_MESSAGE, view.to_json().as_str())
    });
}

/// The newest page of a conversation.
#[divan::bench]
fn serialise_page_of_50(bencher: Bencher) {
    let messages: Vec<Message> = (0..50).map(|_| message(50)).collect();
    bencher.bench(|| {
        let views: Vec<MessageView<'_>> = black_box(&messages).iter().map(MessageView::from).collect();
        json::to_vec(&views, 48 << 10)
    });
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

/// Sockets of as many users in one room, over real WebSockets whose clients read all the time.
struct Room {
    hub: Arc<Hub>,
    room: ConversationId,
    members: Vec<UserId>,
    runtime: Runtime,
}

impl Room {
    fn new(sockets: usize) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let config = Cli::parse_from(["souk", "--jwt-secret", "a-secret-for-benchmarks-and-nothing-else"]).config;
        let hub = Arc::new(Hub::new(&config));
        let room = ConversationId(Uuid::from_u128(3));
        runtime.block_on(fill(&hub, room, sockets));
        let members = hub.users().iter().map(|user| user.id).collect();
        Self { hub, room, members, runtime }
    }
}

async fn fill(hub: &Arc<Hub>, room: ConversationId, sockets: usize) {
    let (layer, io) = SocketIo::builder().max_buffer_size(4096).build_layer();
    let in_room = hub.clone();
    io.ns("/", async move |socket: SocketRef| {
        let id = UserId(Uuid::new_v4());
        let user = User { id, email: "a@b.c".into(), role: Role::Customer, display_name: None, active: true };
        let connection = Arc::new(Connection::new(Uuid::new_v4(), Arc::new(user), i64::MAX, socket, None));
        in_room.expect(id).complete(&connection);
        in_room.join(&connection, room);
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", listener.local_addr().expect("its address"));
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().layer(layer)).await });
    for _ in 0..sockets {
        let (mut client, _) = tokio_tungstenite::connect_async(&url).await.expect("a WebSocket");
        futures::SinkExt::send(&mut client, "40".into()).await.expect("to connect");
        tokio::spawn(async move { while client.next().await.is_some_and(|frame| frame.is_ok()) {} });
    }
    while hub.len() < sockets {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// One message handed to every socket of a room: what the sender's lane waits for. The sockets' own tasks write it.
#[divan::bench(args = [2, 50, 500], sample_count = 50, sample_size = 1)]
fn fan_out(bencher: Bencher, sockets: usize) {
    let room = Room::new(sockets);
    let message = message(50);
    let event = Event::new(outgoing::NEW_MESSAGE, &MessageView::from(&message).from_sender("Anna", Role::Customer));
    let audience = Audience {
        room: Some(room.room),
        members: &room.members,
        users: &room.members,
        not_socket: None,
        not_user: None,
    };
    bencher
        // Between two of them the sockets get what the one before left, so that none is full.
        .with_inputs(|| room.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await }))
        .bench_values(|()| room.hub.emit(black_box(&audience), black_box(&event)));
}
