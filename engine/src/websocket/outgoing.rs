//! Frames on their way into a WebSocket's connection, many with one call.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until},
};

use crate::{frame::Frame, line::Line};

/// Frames that one call writes.
const AT_ONCE: usize = 64;

/// The time between the answer to a CONNECT packet and the next packet. A client that waits for one message after the
/// other, as the official suite's does, would lose the second of two that it reads at once.
const PAUSE: Duration = Duration::from_millis(2);

/// Frames that are being written.
#[derive(Default)]
pub(super) struct Outgoing {
    pub frames: VecDeque<Frame>,
    /// Bytes of the first that are written.
    written: usize,
    /// Nothing is written before, and the timer runs while something waits for it.
    not_before: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Outgoing {
    /// Writes all frames. `line` has counted them, and is told of those that are written.
    pub fn poll_write<S>(&mut self, stream: &mut S, line: &Line, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while !self.frames.is_empty() {
            ready!(self.poll_pause(cx));
            let mut slices = [IoSlice::new(&[]); AT_ONCE];
            let mut count = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                let skip = if count == 0 { self.written } else { 0 };
                *slice = IoSlice::new(&frame.wire()[skip..]);
                count += 1;
                if frame.is_connect_answer() {
                    break;
                }
            }
            let written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written, line);
        }
        // A silent session keeps no room for frames: it goes back and forth between here and its queue.
        if self.frames.capacity() > 0 {
            self.frames = VecDeque::new();
        }
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(at) = self.not_before {
            if Instant::now() < at {
                ready!(self.timer.get_or_insert_with(|| Box::pin(sleep_until(at))).as_mut().poll(cx));
            }
            (self.not_before, self.timer) = (None, None);
        }
        Poll::Ready(())
    }

    /// Drops what is not written.
    pub fn forget(&mut self, line: &Line) {
        let frames = std::mem::take(&mut self.frames);
        line.written(frames.len(), frames.iter().map(Frame::len).sum());
    }

    fn advance(&mut self, written: usize, line: &Line) {
        self.written += written;
        let (mut packets, mut bytes) = (0, 0);
        while let Some(first) = self.frames.front()
            && first.len() <= self.written
        {
            self.written -= first.len();
            packets += 1;
            bytes += first.len();
            if first.is_connect_answer() {
                self.not_before = Some(Instant::now() + PAUSE);
            }
            self.frames.pop_front();
        }
        line.written(packets, bytes);
    }
}
