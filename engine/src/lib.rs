//! An Engine.IO 4 server: sessions over HTTP long-polling and WebSocket, and the upgrade from one to the other.
//!
//! Written from the protocol document for Souk. It has the name and the interface of the crate that the published
//! socketioxide builds on, so that `[patch.crates-io]` can put it in that crate's place; `README.md` says why.
//!
//! In reading order:
//! - [`config`]: limits and intervals.
//! - [`handler`]: the callbacks that the application implements.
//! - [`socket`]: one session, as the application sees it.
//! - `frame`, `payload`: outgoing packets, and the polling transport's encoding.
//! - `line`: the state of one session under its lock: the outgoing queue, who carries it, the upgrade.
//! - `engine`, `heartbeat`: all sessions, and their pings.
//! - `event_name`: mends the names of incoming Socket.IO events for socketioxide.
//! - `polling`, `websocket`: the two transports; `just_closed`: polls that their session's end has overtaken.
//! - [`service`]: the tower and hyper services around it.

mod body;
pub mod config;
mod engine;
mod event_name;
mod frame;
pub mod handler;
mod heartbeat;
mod just_closed;
mod line;
mod not_found;
mod payload;
mod polling;
mod refusal;
mod request;
pub mod service;
pub mod socket;
#[cfg(feature = "__test_harness")]
mod test_harness;
mod websocket;

pub use body::{BodyBounds, BodyBudget, BodyRefused};
#[cfg(feature = "__test_harness")]
pub use engineioxide_core::Packet;
pub use engineioxide_core::{ProtocolVersion, Str, TransportType};
pub use frame::Frame;
pub use line::{Handle, Pings, Waiting};
pub use socket::{DisconnectReason, Sid, Socket};

/// The parts that the crate's own property tests look at.
#[doc(hidden)]
pub mod internals {
    pub use crate::{
        event_name::without_escapes,
        payload::{Incoming, decode, encode},
        websocket::decoder::{Decoder, Fault, Message},
    };
}
