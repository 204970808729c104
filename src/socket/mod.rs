//! Socket.IO on namespace `/` (contract §Client events). A socket's way through these files:
//!
//! 1. [`connect`]: the handshake ends. [`auth`] checks its token; the socket gets a [`session`] and enters the hub.
//! 2. [`inbox`]: its events wait in one queue, which one task empties ([`drain`]), in the order of the wire.
//! 3. [`events`]: the table says which limit and which handler an event has, and how its failure is told ([`failure`]).
//! 4. `…_events`: the handlers. Each reads the payload of its [`call`], calls one use case, and answers.

mod auth;
mod call;
mod connect;
mod conversation_events;
mod drain;
mod events;
mod failure;
mod inbox;
mod list_events;
mod message_events;
mod send_events;
mod session;
mod state;

use std::time::Duration;

use socketioxide::{ParserConfig, SocketIo, handler::ConnectHandler as _, layer::SocketIoLayer};

pub use state::{FromBrowser, SocketState};

use crate::config::Config;

/// Most binary attachments of one packet.
const MAX_BINARIES: usize = 256;
/// All of them together may have this many times `MAX_PAYLOAD_BYTES`.
const ALL_BINARIES: usize = 4;

/// Builds the Socket.IO layer and registers the namespace.
pub fn layer(config: &Config, state: SocketState) -> (SocketIoLayer, SocketIo) {
    // Files that an app sends along with a message by mistake. No event takes any, but an event is answered only when all of
    // its files have come, and a packet with more than these ends the socket.
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
    io.ns("/", connect::OnConnect(state.clone()).with(connect::Authenticate(state)));
    (layer, io)
}
