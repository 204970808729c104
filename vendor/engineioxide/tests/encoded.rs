//! Packets that are encoded already reach the client as they are, in order with the others, by either transport.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use engineioxide::{
    Str,
    config::EngineIoConfig,
    handler::EngineIoHandler,
    service::EngineIoService,
    socket::{DisconnectReason, EncodedSender, Socket},
};
use futures_util::StreamExt;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_tungstenite::tungstenite::Message;

mod fixture;
use fixture::{create_polling_connection, create_ws_connection, send_req_raw};

#[derive(Debug, Clone)]
struct SocketHandler(mpsc::Sender<Arc<Socket<()>>>);

impl EngineIoHandler for SocketHandler {
    type Data = ();

    fn on_connect(self: Arc<Self>, socket: Arc<Socket<()>>) {
        self.0.try_send(socket).unwrap();
    }
    fn on_disconnect(&self, _: Arc<Socket<()>>, _: DisconnectReason) {}
    fn on_message(self: &Arc<Self>, _: Str, _: Arc<Socket<()>>) {}
    fn on_binary(self: &Arc<Self>, _: Bytes, _: Arc<Socket<()>>) {}
}

fn create_server(
    buffer: usize,
) -> (
    EngineIoService<SocketHandler>,
    mpsc::Receiver<Arc<Socket<()>>>,
) {
    let (socket_tx, socket_rx) = mpsc::channel(2);
    let config = EngineIoConfig::builder()
        .ping_interval(Duration::from_secs(60))
        .max_buffer_size(buffer)
        .build();
    let svc = EngineIoService::with_config(Arc::new(SocketHandler(socket_tx)), config);
    (svc, socket_rx)
}

fn encoded(socket: &Socket<()>) -> &EncodedSender {
    socket.req_parts.extensions.get().unwrap()
}

fn emit_three(socket: &Socket<()>) {
    socket.emit("before").unwrap();
    encoded(socket).try_send("4[\"é\"]".into()).unwrap();
    socket.emit("after").unwrap();
}

#[tokio::test]
async fn by_websocket() {
    let (mut svc, mut socket_rx) = create_server(8);
    let mut ws = create_ws_connection(&mut svc).await;
    emit_three(&socket_rx.recv().await.unwrap());
    for expected in ["4before", "4[\"é\"]", "4after"] {
        let message = loop {
            let message = ws.next().await.unwrap().unwrap();
            if !message.to_text().unwrap().starts_with('0') {
                break message;
            }
        };
        assert_eq!(message, Message::text(expected));
    }
}

#[tokio::test]
async fn by_polling() {
    let (mut svc, mut socket_rx) = create_server(8);
    let sid = create_polling_connection(&mut svc).await;
    emit_three(&socket_rx.recv().await.unwrap());
    let params = format!("transport=polling&sid={sid}");
    let body = send_req_raw(&mut svc, params, http::Method::GET, None).await;
    assert_eq!(body, "4before\x1e4[\"é\"]\x1e4after");
}

#[tokio::test]
async fn one_buffer_reaches_several_sockets() {
    let (mut svc, mut socket_rx) = create_server(8);
    let packet = Str::from("4for all".to_owned());
    for _ in 0..2 {
        let sid = create_polling_connection(&mut svc).await;
        let socket = socket_rx.recv().await.unwrap();
        encoded(&socket).try_send(packet.clone()).unwrap();
        let params = format!("transport=polling&sid={sid}");
        let body = send_req_raw(&mut svc, params, http::Method::GET, None).await;
        assert_eq!(body, "4for all");
    }
}

#[tokio::test]
async fn a_full_channel_and_a_closed_socket_are_told_apart() {
    let (mut svc, mut socket_rx) = create_server(2);
    create_polling_connection(&mut svc).await;
    let socket = socket_rx.recv().await.unwrap();
    let sender = encoded(&socket).clone();
    while sender.try_send("4more".into()).is_ok() {}
    assert_eq!(sender.try_send("4more".into()), Err(TrySendError::Full(())));
    socket.close(DisconnectReason::TransportClose);
    assert_eq!(
        sender.try_send("4more".into()),
        Err(TrySendError::Closed(()))
    );
}
