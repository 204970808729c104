//! Reads a WebSocket: bytes become messages, and messages become the session's packets.

use std::{
    borrow::Cow,
    cell::Cell,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{super::decoder::Message, Connection, Upgrading, ending::Outcome};
use crate::{
    frame::Frame,
    handler::EngineIoHandler,
    line::{End, EndedBy},
    payload::Incoming,
    socket::DisconnectReason,
};

/// Bytes that are read at once.
const READ_BUFFER: usize = 64 << 10;
/// Answers to probes that may wait: a client sends one probe.
const MAX_PROBE_ANSWERS: usize = 8;

thread_local! {
    /// Lent to the connection that reads.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl<H, S> Connection<H, S>
where
    H: EngineIoHandler,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Reads once, and handles what came.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Outcome>> {
        let mut buffer = BUFFER.take();
        buffer.resize(READ_BUFFER, 0);
        let mut read = ReadBuf::new(&mut buffer);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut read);
        let handled = polled.map(|result| match result {
            Ok(()) => self.handle_bytes(read.filled_mut()),
            Err(_) => Err(Outcome::Broken(DisconnectReason::TransportError)),
        });
        BUFFER.set(buffer);
        handled
    }

    fn handle_bytes(&mut self, mut bytes: &mut [u8]) -> Result<(), Outcome> {
        if bytes.is_empty() {
            return Err(Outcome::Broken(DisconnectReason::TransportClose));
        }
        loop {
            let config = &self.engine.config;
            let max_frame = self.engine.limit(&self.socket.line, config.ws_max_frame_size);
            let max_message = self.engine.limit(&self.socket.line, config.ws_max_message_size);
            let message = self.decoder.decode(&mut bytes, max_frame, max_message).map_err(Outcome::Fault)?;
            let Some(message) = message else { return Ok(()) };
            self.handle(message)?;
        }
    }

    fn handle(&mut self, message: Message<'_>) -> Result<(), Outcome> {
        let packet = match message {
            Message::Text(Cow::Borrowed(text)) => Incoming::of_text(text),
            Message::Text(Cow::Owned(text)) => Incoming::of_string(text),
            Message::Binary(data) => Some(Incoming::Binary(Bytes::from(data.into_owned()))),
            Message::Ping(data) => {
                self.pong = Some(Frame::pong(&data));
                return Ok(());
            }
            Message::Pong => return Ok(()),
            Message::Close(_) => return Err(Outcome::Closed),
        };
        match self.upgrading.take() {
            Some(upgrading) => self.handle_probe(upgrading, packet),
            // The session may have been ended by the message before.
            None if self.socket.line.has_ended() => Ok(()),
            None => self.engine.receive(&self.socket, packet).map_err(|reason| {
                let by = match reason {
                    DisconnectReason::TransportClose => EndedBy::Client,
                    _ => EndedBy::Server,
                };
                Outcome::End(End { reason, by })
            }),
        }
    }

    /// A packet before the packet `5`. Anything but a probe and that ends the upgrade.
    fn handle_probe(&mut self, mut upgrading: Box<Upgrading>, packet: Option<Incoming>) -> Result<(), Outcome> {
        match packet {
            Some(Incoming::Ping { probe: true }) if self.outgoing.frames.len() < MAX_PROBE_ANSWERS => {
                upgrading.is_probed = true;
                self.upgrading = Some(upgrading);
                self.send(Frame::PROBE_ANSWER);
                Ok(())
            }
            Some(Incoming::Upgrade) if upgrading.upgrade.complete() => Ok(()),
            _ => Err(Outcome::NotUpgraded),
        }
    }
}
