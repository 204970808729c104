//! Why a WebSocket's task ends, and what it still does then.

use std::{
    future::poll_fn,
    task::{Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    super::{
        closing::{FLUSH_TIME, linger, refuse},
        decoder::Fault,
    },
    Connection,
};
use crate::{
    frame::Frame,
    handler::EngineIoHandler,
    line::{End, EndedBy, Next},
    socket::DisconnectReason,
};

/// The usual close code (RFC 6455 §7.4.1).
const NORMAL: u16 = 1000;

/// Why the task ends.
pub(super) enum Outcome {
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
    /// Ends the session, or leaves it to its polls where the upgrade failed, and closes the connection.
    pub(super) async fn finish(mut self, outcome: Outcome) {
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

    /// Closes a WebSocket that the session did not go on with.
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
