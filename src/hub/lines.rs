//! The TCP line under each WebSocket, so that it can be cut. A Socket.IO disconnect packet would need room in the
//! very channel that is full, and its client would not come back ("io server disconnect"); after a cut line
//! ("transport close") it does.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Which session's WebSocket runs over which line.
#[derive(Default)]
pub struct Lines(Mutex<HashMap<String, Arc<Line>>>);

/// One TCP connection.
#[derive(Default)]
pub struct Line {
    cut: AtomicBool,
    /// Who waits for something to read, and who to write.
    reader: AtomicWaker,
    writer: AtomicWaker,
    session: OnceLock<String>,
    written: AtomicU64,
}

impl Lines {
    /// Wraps a stream so that its line can be cut. `guard` is dropped with it, whoever has the stream by then.
    pub fn wrap<S, G>(self: &Arc<Self>, stream: S, guard: G) -> (LineStream<S, G>, Arc<Line>) {
        let line = Arc::new(Line::default());
        let stream = LineStream { stream, line: line.clone(), lines: self.clone(), _guard: guard };
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
        self.of(session).inspect(|line| line.cut()).is_some()
    }
}

impl Line {
    /// Bytes that the peer's kernel, or ours, has taken.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        self.reader.wake();
        self.writer.wake();
    }

    /// What polling says, unless the line is cut. Where it has to wait, `waker` is who is woken by a cut.
    fn unless_cut<T>(
        &self,
        waker: &AtomicWaker,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.cut.load(Ordering::SeqCst) {
            return Poll::Ready(Err(cut_error()));
        }
        let polled = poll(cx);
        if polled.is_pending() {
            waker.register(cx.waker());
            // It may have been cut before it was known whom to wake.
            if self.cut.load(Ordering::SeqCst) {
                return Poll::Ready(Err(cut_error()));
            }
        }
        polled
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

fn cut_error() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "line cut")
}

impl<S: AsyncRead + Unpin, G: Unpin> AsyncRead for LineStream<S, G> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, line, .. } = self.get_mut();
        line.unless_cut(&line.reader, cx, |cx| Pin::new(stream).poll_read(cx, buf))
    }
}

impl<S: AsyncWrite + Unpin, G: Unpin> AsyncWrite for LineStream<S, G> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, line, .. } = self.get_mut();
        line.count(line.unless_cut(&line.writer, cx, |cx| Pin::new(stream).poll_write(cx, buf)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, line, .. } = self.get_mut();
        line.count(line.unless_cut(&line.writer, cx, |cx| Pin::new(stream).poll_write_vectored(cx, bufs)))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, line, .. } = self.get_mut();
        line.unless_cut(&line.writer, cx, |cx| Pin::new(stream).poll_flush(cx))
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
