//! The task of one WebSocket. While it is silent it holds its stream and a few words: what is read goes through a buffer
//! of the thread, and what is to be written is in the session's queue.

use std::{
    borrow::Cow,
    cell::Cell,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Sleep, sleep, timeout},
};

use super::{
    closing::{FLUSH_TIME, linger, refuse},
    decoder::{Decoder, Fault, Message},
    outgoing::Outgoing,
};
use crate::{
    engine::Engine,
    frame::Frame,
    handler::EngineIoHandler,
    line::{End, EndedBy, Next, Upgrade},
    payload::Incoming,
    socket::{DisconnectReason, Socket},
};

/// Bytes that are read at once.
const READ_BUFFER: usize = 64 << 10;
/// Reads in a row before others get their turn.
const READS_AT_ONCE: usize = 8;
/// Answers to probes that may wait: a client sends one probe.
const MAX_PROBE_ANSWERS: usize = 8;
/// Close codes (RFC 6455 §7.4.1).
const NORMAL: u16 = 1000;

thread_local! {
    /// Lent to the connection that reads.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One WebSocket and its session.
pub(super) struct Connection<H: EngineIoHandler, S> {
    engine: Arc<Engine<H>>,
    socket: Arc<Socket<H::Data>>,
    stream: S,
    decoder: Decoder,
    outgoing: Outgoing,
    /// The answer to the latest ping.
    pong: Option<Frame>,
    /// Until the packet `5` has come.
    upgrading: Option<Box<Upgrading>>,
}

struct Upgrading {
    upgrade: Upgrade,
    deadline: Pin<Box<Sleep>>,
    is_probed: bool,
}

/// Why the task ends.
enum Outcome {
    /// The session has ended, or is to end.
    End(End),
    /// The peer sent what breaks the protocol.
    Fault(Fault),
    /// The peer closed the WebSocket.
    Closed,
    /// The connection is no more.
    Broken(DisconnectReason),
    /// The upgrade failed; the session goes on polling.
    NotUpgraded,
}

impl<H, S> Connection<H, S>
where
    H: EngineIoHandler,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// The WebSocket of a session that began with it.
    pub fn open(engine: Arc<Engine<H>>, socket: Arc<Socket<H::Data>>, stream: S, open: Frame) -> Self {
        let mut connection = Self::new(engine, socket, stream, None);
        connection.send(open);
        connection
    }

    /// A WebSocket that a polling session may go on with.
    pub fn upgrading(
        engine: Arc<Engine<H>>,
        socket: Arc<Socket<H::Data>>,
        stream: S,
        upgrade: Upgrade,
        timeout: Duration,
    ) -> Self {
        let upgrading = Upgrading { upgrade, deadline: Box::pin(sleep(timeout)), is_probed: false };
        Self::new(engine, socket, stream, Some(Box::new(upgrading)))
    }

    fn new(engine: Arc<Engine<H>>, socket: Arc<Socket<H::Data>>, stream: S, upgrading: Option<Box<Upgrading>>) -> Self {
        let (decoder, outgoing) = (Decoder::default(), Outgoing::default());
        Self { engine, socket, stream, decoder, outgoing, pong: None, upgrading }
    }

    /// Carries the session to its end. Not an `async fn`: that has room for the connection twice, in every task.
    pub fn run(self) -> impl Future<Output = ()> + Send {
        let mut connection = Some(self);
        // Boxed, so that a silent WebSocket's task has no room for it.
        let mut end: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
        poll_fn(move |cx| {
            if let Some(open) = &mut connection {
                let outcome = ready!(open.poll(cx));
                end = connection
                    .take()
                    .map(|open| -> Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(open.finish(outcome)) });
            }
            end.as_mut().map_or(Poll::Ready(()), |end| end.as_mut().poll(cx))
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        if let Some(upgrading) = &mut self.upgrading
            && upgrading.deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Outcome::NotUpgraded);
        }
        let mut reads = 0;
        while reads < READS_AT_ONCE {
            match self.poll_read(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => reads += 1,
                Poll::Ready(Err(outcome)) => return Poll::Ready(outcome),
            }
        }
        if let Some(upgrading) = &self.upgrading
            && upgrading.is_probed
        {
            upgrading.upgrade.probed();
        }
        if let Poll::Ready(outcome) = self.poll_write(cx) {
            return Poll::Ready(outcome);
        }
        if reads == READS_AT_ONCE {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Reads once, and handles what came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Outcome>> {
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

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            let line = &self.socket.line;
            let next = match self.outgoing.poll_write(&mut self.stream, line, cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(Outcome::Broken(DisconnectReason::TransportError)),
                Poll::Ready(Ok(())) if self.pong.is_some() => {
                    let pong = self.pong.take();
                    pong.into_iter().for_each(|pong| self.send(pong));
                    continue;
                }
                Poll::Ready(Ok(())) => line.next(&mut self.outgoing.frames, cx),
                Poll::Pending => line.wait(cx),
            };
            match next {
                Next::Write => {}
                Next::Wait => return Poll::Pending,
                Next::End(_) if self.upgrading.is_some() => return Poll::Ready(Outcome::NotUpgraded),
                Next::End(end) => return Poll::Ready(Outcome::End(end)),
            }
        }
    }

    /// Sends a frame that is not in the session's queue.
    fn send(&mut self, frame: Frame) {
        self.socket.line.count(&frame);
        self.outgoing.frames.push_back(frame);
    }

    async fn finish(mut self, outcome: Outcome) {
        let (end, code) = match outcome {
            // Whatever happens before the packet `5`, polls go on.
            _ if self.upgrading.is_some() => return self.give_up().await,
            Outcome::NotUpgraded => return self.give_up().await,
            Outcome::End(end) => (end, NORMAL),
            Outcome::Fault(fault) => {
                (End { reason: DisconnectReason::PacketParsingError, by: EndedBy::Server }, fault.code())
            }
            Outcome::Closed => (End { reason: DisconnectReason::TransportClose, by: EndedBy::Client }, NORMAL),
            Outcome::Broken(reason) => (End { reason, by: EndedBy::Cut }, NORMAL),
        };
        let line = self.socket.line.clone();
        line.end(end.reason, end.by);
        let end = line.how_ended().unwrap_or(end);
        self.engine.finish(self.socket.id, end.reason);
        if end.by == EndedBy::Cut {
            drop(self.stream);
            return line.set_gone();
        }
        let is_flushed = timeout(FLUSH_TIME, self.flush(code)).await.is_ok_and(|flushed| flushed.is_ok());
        line.set_gone();
        if is_flushed {
            linger(self.stream).await;
        }
    }

    async fn give_up(mut self) {
        self.upgrading = None;
        self.outgoing.forget(&self.socket.line);
        refuse(self.stream, NORMAL).await;
    }

    /// Sends what waits, and says good-bye.
    async fn flush(&mut self, code: u16) -> std::io::Result<()> {
        poll_fn(|cx| {
            loop {
                let line = &self.socket.line;
                ready!(self.outgoing.poll_write(&mut self.stream, line, cx))?;
                if !matches!(line.next(&mut self.outgoing.frames, cx), Next::Write) {
                    return Poll::Ready(std::io::Result::Ok(()));
                }
            }
        })
        .await?;
        self.send(Frame::close(code));
        poll_fn(|cx| self.outgoing.poll_write(&mut self.stream, &self.socket.line, cx)).await?;
        self.stream.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use engineioxide_core::Str;

    use super::*;

    #[derive(Debug)]
    struct Deaf;

    impl EngineIoHandler for Deaf {
        type Data = ();

        fn on_connect(self: Arc<Self>, _: Arc<Socket<()>>) {}
        fn on_disconnect(&self, _: Arc<Socket<()>>, _: DisconnectReason) {}
        fn on_message(self: &Arc<Self>, _: Str, _: Arc<Socket<()>>) {}
        fn on_binary(self: &Arc<Self>, _: Bytes, _: Arc<Socket<()>>) {}
    }

    #[test]
    fn a_websockets_task_holds_its_connection_once() {
        fn size_of_run<R>(_: fn(Connection<Deaf, tokio::io::DuplexStream>) -> R) -> usize {
            size_of::<R>()
        }
        let size = size_of_run(Connection::run);
        let connection = size_of::<Connection<Deaf, tokio::io::DuplexStream>>();
        assert!(size <= connection + 32, "{size} for {connection}");
    }
}
