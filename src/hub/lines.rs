//! The TCP line under each WebSocket, so that it can be cut. A Socket.IO disconnect packet would need room in the
//! very channel that is full, and its client would not come back ("io server disconnect"); after a cut line
//! ("transport close") it does.

use std::{
    collections::HashMap,
    io,
    pin::{Pin, pin},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Which session's WebSocket runs over which line.
#[derive(Default)]
pub struct Lines(Mutex<HashMap<String, Arc<Line>>>);

/// One TCP connection.
pub struct Line {
    cut: CancellationToken,
    session: OnceLock<String>,
    written: AtomicU64,
}

impl Lines {
    /// Wraps a stream so that its line can be cut. `guard` is dropped with it, whoever has the stream by then.
    pub fn wrap<S, G>(self: &Arc<Self>, stream: S, guard: G) -> (LineStream<S, G>, Arc<Line>) {
        let line =
            Arc::new(Line { cut: CancellationToken::new(), session: OnceLock::new(), written: AtomicU64::new(0) });
        let stream = LineStream {
            stream,
            read_cut: Box::pin(line.cut.clone().cancelled_owned()),
            write_cut: Box::pin(line.cut.clone().cancelled_owned()),
            line: line.clone(),
            lines: self.clone(),
            _guard: guard,
        };
        (stream, line)
    }

    /// Notes that `session` speaks WebSocket over `line`.
    pub fn carries(&self, line: &Arc<Line>, session: &str) {
        if line.session.set(session.to_owned()).is_ok() {
            self.0.lock().insert(session.to_owned(), line.clone());
        }
    }

    /// The line of `session`, if it speaks WebSocket.
    pub fn of(&self, session: &str) -> Option<Arc<Line>> {
        self.0.lock().get(session).cloned()
    }

    /// Cuts the line of `session`. False where none is known: it is polling.
    pub fn cut(&self, session: &str) -> bool {
        self.of(session).inspect(|line| line.cut.cancel()).is_some()
    }
}

impl Line {
    /// Bytes that the peer's kernel, or ours, has taken.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn count(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = result {
            self.written.fetch_add(n as u64, Ordering::Relaxed);
        }
        result
    }
}

/// A stream that ends in an error once its line is cut, reading and writing alike, however long its peer sleeps.
pub struct LineStream<S, G> {
    stream: S,
    read_cut: Pin<Box<WaitForCancellationFutureOwned>>,
    write_cut: Pin<Box<WaitForCancellationFutureOwned>>,
    line: Arc<Line>,
    lines: Arc<Lines>,
    _guard: G,
}

impl<S, G> Drop for LineStream<S, G> {
    fn drop(&mut self) {
        if let Some(session) = self.line.session.get() {
            let mut lines = self.lines.0.lock();
            if lines.get(session).is_some_and(|l| Arc::ptr_eq(l, &self.line)) {
                lines.remove(session);
            }
        }
    }
}

fn was_cut(cut: &mut Pin<Box<WaitForCancellationFutureOwned>>, cx: &mut Context<'_>) -> io::Result<()> {
    match pin!(cut).poll(cx) {
        Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "line cut")),
        Poll::Pending => Ok(()),
    }
}

impl<S: AsyncRead + Unpin, G: Unpin> AsyncRead for LineStream<S, G> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        was_cut(&mut self.read_cut, cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin, G: Unpin> AsyncWrite for LineStream<S, G> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        was_cut(&mut self.write_cut, cx)?;
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.line.count(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        was_cut(&mut self.write_cut, cx)?;
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.line.count(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        was_cut(&mut self.write_cut, cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_cut_line_wakes_a_reader_and_a_stuck_writer() {
        let lines = Arc::new(Lines::default());
        let (_peer_never_reads, ours) = tokio::io::duplex(16);
        let (stream, line) = lines.wrap(ours, ());
        lines.carries(&line, "s1");
        let (mut read, mut write) = tokio::io::split(stream);
        let reader = tokio::spawn(async move { read.read_u8().await });
        let writer = tokio::spawn(async move { write.write_all(&[0; 1024]).await });
        tokio::task::yield_now().await;
        assert!(lines.cut("s1"));
        assert!(reader.await.unwrap().is_err());
        assert!(writer.await.unwrap().is_err());
        assert!(!lines.cut("s1"), "a closed line is forgotten");
    }
}
