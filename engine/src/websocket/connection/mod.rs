//! The task of one WebSocket. While it is silent it holds its stream and a few words: what is read goes through a buffer
//! of the thread, and what is to be written is in the session's queue.

mod ending;
mod incoming;

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use ending::Outcome;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Sleep, sleep},
};

use super::{decoder::Decoder, outgoing::Outgoing};
use crate::{
    engine::Engine,
    frame::Frame,
    handler::EngineIoHandler,
    line::{Next, Upgrade},
    socket::{DisconnectReason, Socket},
};

/// Reads in a row before others get their turn.
const READS_AT_ONCE: usize = 8;

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
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
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
