//! One session, as the application sees it.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
pub use engineioxide_core::Sid;
use engineioxide_core::{ProtocolVersion, Str, TransportType};
use http::request::Parts;
use tokio::sync::mpsc::error::TrySendError;

use crate::{
    frame::Frame,
    line::{Carrier, EndedBy, Handle, Line},
};

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The client, or the application, closed it.
    TransportClose,
    /// The connection broke.
    TransportError,
    /// A ping was not answered in time.
    HeartbeatTimeout,
    /// The client sent two polls, or two payloads, at the same time.
    MultipleHttpPollingError,
    /// The client sent what is no packet.
    PacketParsingError,
    /// The server shuts down.
    ClosingServer,
}

/// One session.
pub struct Socket<D> {
    /// The session's id.
    pub id: Sid,
    /// The protocol's version: always 4.
    pub protocol: ProtocolVersion,
    /// The application's data.
    pub data: D,
    /// The handshake's request. Its headers are copied into as little memory as they need, without those that belong to
    /// the connection (`Connection`, `Upgrade`, `Sec-WebSocket-*`); its extensions have the session's [`Handle`].
    pub req_parts: Parts,
    pub(crate) line: Arc<Line>,
}

impl<D> Socket<D> {
    pub(crate) fn new(line: Arc<Line>, mut req_parts: Parts) -> Self
    where
        D: Default,
    {
        req_parts.extensions.insert(Handle(line.clone()));
        Self { id: line.sid, protocol: ProtocolVersion::V4, data: D::default(), req_parts, line }
    }

    /// The session's queue.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(self.line.clone())
    }

    /// The transport that carries the session now.
    #[must_use]
    pub fn transport_type(&self) -> TransportType {
        match self.line.carrier() {
            Carrier::Polling => TransportType::Polling,
            Carrier::WebSocket => TransportType::Websocket,
        }
    }

    /// Takes a place in the outgoing queue, for one packet with its binaries.
    ///
    /// # Errors
    /// `Full`: as many packets wait as the configuration allows. `Closed`: the session has ended.
    pub fn reserve(&self) -> Result<Permit<'_>, TrySendError<()>> {
        self.line.reserve()?;
        Ok(Permit { line: &self.line, is_used: false })
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// As [`Socket::reserve`], with the message.
    pub fn emit(&self, msg: impl Into<Str>) -> Result<(), TrySendError<Str>> {
        let msg = msg.into();
        match self.reserve() {
            Ok(permit) => {
                permit.emit(msg);
                Ok(())
            }
            Err(e) => Err(with(e, msg)),
        }
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`Socket::reserve`], with the message.
    pub fn emit_binary(&self, data: impl Into<Bytes>) -> Result<(), TrySendError<Bytes>> {
        let data = data.into();
        match self.reserve() {
            Ok(permit) => {
                permit.emit_binary(data);
                Ok(())
            }
            Err(e) => Err(with(e, data)),
        }
    }

    /// Sends a text message when nothing else waits. Until then a later volatile message takes its place.
    pub fn emit_volatile(&self, msg: impl Into<Str>) {
        self.line.push_volatile(vec![Frame::text(msg.into().as_str())]);
    }

    /// As [`Socket::emit_volatile`], for a binary message.
    pub fn emit_binary_volatile(&self, data: impl Into<Bytes>) {
        self.line.push_volatile(vec![Frame::binary(&data.into())]);
    }

    /// As [`Socket::emit_volatile`], for a text message and its binaries.
    pub fn emit_many_volatile(&self, msg: impl Into<Str>, binaries: VecDeque<Bytes>) {
        self.line.push_volatile(many(&msg.into(), &binaries).collect());
    }

    /// Ends the session. What waits is sent first.
    pub fn close(&self, reason: DisconnectReason) {
        self.line.end(reason, EndedBy::Server);
    }

    /// True if the session has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.line.has_ended()
    }

    /// Resolves when the session has ended and its transport is closed.
    pub async fn closed(&self) {
        self.line.wait_until_gone().await;
    }
}

impl<D> std::fmt::Debug for Socket<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").field("id", &self.id).finish_non_exhaustive()
    }
}

fn with<T>(error: TrySendError<()>, value: T) -> TrySendError<T> {
    match error {
        TrySendError::Full(()) => TrySendError::Full(value),
        TrySendError::Closed(()) => TrySendError::Closed(value),
    }
}

fn many(msg: &Str, binaries: &VecDeque<Bytes>) -> impl Iterator<Item = Frame> {
    std::iter::once(Frame::text(msg.as_str())).chain(binaries.iter().map(|data| Frame::binary(data)))
}

/// A place in a session's outgoing queue. Dropped unused, it is given back.
#[must_use]
pub struct Permit<'a> {
    line: &'a Line,
    is_used: bool,
}

impl Permit<'_> {
    /// Sends a text message.
    pub fn emit(self, msg: Str) {
        self.let_in(msg.as_bytes());
        let frame = self.line.with_addition(msg.as_str()).unwrap_or_else(|| Frame::text(msg.as_str()));
        self.push([frame]);
    }

    /// Sends a binary message.
    pub fn emit_binary(self, data: Bytes) {
        // Not the common parser's: what it says cannot be told.
        self.line.let_in();
        self.push([Frame::binary(&data)]);
    }

    /// Sends a text message and its binaries, with nothing between them.
    pub fn emit_many(self, msg: Str, binaries: VecDeque<Bytes>) {
        self.let_in(msg.as_bytes());
        self.push(many(&msg, &binaries));
    }

    /// A Socket.IO CONNECT packet begins with `0`: with it the application lets the client in.
    fn let_in(&self, msg: &[u8]) {
        if msg.first() == Some(&b'0') {
            self.line.let_in();
        }
    }

    fn push(mut self, frames: impl IntoIterator<Item = Frame>) {
        self.is_used = true;
        self.line.push_reserved(frames);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.is_used {
            self.line.give_back();
        }
    }
}
