//! Drains request bodies that a handler did not read to the end. If a connection is closed while its client still sends, it is
//! reset, and the reset can overtake the answer: the client sees a broken connection instead of the 401 or 413. So the
//! rest of such a body is read and thrown away for a while, as nginx does (its `lingering_close`).

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::header,
};
use futures::StreamExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::{runtime::Handle, sync::Semaphore, time};

/// The time for which an unread body is drained.
const LONGEST: Duration = Duration::from_secs(10);
/// The most bytes that are drained, and the lowest rate in bytes per second.
const MOST_BYTES: usize = 64 << 20;
const LEAST_PER_SECOND: usize = 64 << 10;
const SILENCE: Duration = Duration::from_secs(1);
/// The number of bodies that are drained at the same time. Other connections stay open for [`UNREAD`], which is enough for
/// clients that read the answer while they send.
const AT_ONCE: usize = 4;
const UNREAD: Duration = Duration::from_secs(4);
/// Bytes between two pauses: at most 50 MB/s for each body, so that draining does not slow down others.
const STRIDE: usize = 256 << 10;
const PAUSE: Duration = Duration::from_millis(5);

static READERS: Semaphore = Semaphore::const_new(AT_ONCE);

/// Drains the unread request body after the handler has answered.
pub fn linger(request: Request) -> Request {
    if request.body().is_end_stream() {
        return request;
    }
    // A client that sends `Expect: 100-continue` waits for a request to send the body, and reading is that request.
    let is_sent = !request.headers().contains_key(header::EXPECT);
    request.map(|body| Body::new(Lingering { body: Some(body), is_sent }))
}

/// A body that is drained after it was dropped.
struct Lingering {
    /// The body; `None` once it has ended.
    body: Option<Body>,
    /// True once the client sends the body.
    is_sent: bool,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.is_sent = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame.map(|f| f.map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| self.is_sent && !body.is_end_stream())
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(throw_away(body));
        }
    }
}

async fn throw_away(body: Body) {
    let Ok(_reader) = READERS.try_acquire() else {
        time::sleep(UNREAD).await;
        return;
    };
    // Nobody waits for the result: it may have ended, failed or taken too long.
    let _ = time::timeout(LONGEST, read(body)).await;
}

async fn read(body: Body) {
    let begun = Instant::now();
    let mut frames = body.into_data_stream();
    let (mut total, mut stride) = (0, 0);
    while let Ok(Some(Ok(data))) = time::timeout(SILENCE, frames.next()).await {
        total += data.len();
        stride += data.len();
        let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap_or(usize::MAX);
        if total > MOST_BYTES || total < seconds.saturating_mul(LEAST_PER_SECOND) {
            return;
        }
        if stride >= STRIDE {
            stride = 0;
            time::sleep(PAUSE).await;
        }
    }
}
