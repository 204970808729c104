//! Socket.IO on namespace `/`: handshake, ordered dispatch, one handler per event (contract §Client events).

mod auth;
mod chat_events;
mod dispatch;
mod message_events;
mod send_events;
mod session;

use std::{sync::Arc, time::Duration};

pub use dispatch::parse;
use socketioxide::{ParserConfig, SocketIo, handler::ConnectHandler as _, layer::SocketIoLayer};

use crate::{auth::Tokens, chat::Chat, config::Config, pid::Pids};

/// Binary attachments that one packet may have, and how many times `MAX_PAYLOAD_BYTES` all of them may hold.
const MAX_BINARIES: usize = 256;
const ALL_BINARIES: usize = 4;

/// In the extensions of a handshake that a browser's page made: its client is a Socket.IO client for JavaScript, whose
/// handlers take no harm from a further argument.
#[derive(Clone, Copy, Debug)]
pub struct FromBrowser;

/// What the handlers work with.
#[derive(Clone)]
pub struct SocketState {
    /// The use cases.
    pub chat: Arc<Chat>,
    /// Checks handshakes.
    pub tokens: Arc<Tokens>,
    /// Names sockets that may come back.
    pub pids: Arc<Pids>,
    /// Events of one socket that may wait.
    pub queue: usize,
    /// How long an event may take.
    pub event_timeout: Duration,
}

/// Builds the Socket.IO layer and registers the namespace.
#[must_use]
pub fn layer(config: &Config, state: SocketState) -> (SocketIoLayer, SocketIo) {
    // Files that an app sends along with a message by mistake. No event takes any, but one is answered only when all of its
    // files have come, and a packet with more than these ends the socket.
    let all_binaries = config.max_payload_bytes.saturating_mul(ALL_BINARIES);
    let parser = ParserConfig::common().max_incoming_binaries(MAX_BINARIES).max_incoming_binary_buf_size(all_binaries);
    let (layer, io) = SocketIo::builder()
        .with_parser(parser)
        .ping_interval(Duration::from_secs(config.ping_interval))
        .ping_timeout(Duration::from_secs(config.ping_timeout))
        .max_buffer_size(config.socket_send_buffer)
        .max_payload(config.max_payload_bytes as u64)
        .ws_max_message_size(config.max_payload_bytes)
        .ws_max_frame_size(config.max_payload_bytes)
        .build_layer();
    io.ns("/", dispatch::OnConnect(state.clone()).with(auth::Authenticate(state)));
    (layer, io)
}
