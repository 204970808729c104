//! Bodies of answers and of requests.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::time::timeout;

use crate::{engine::Engine, handler::EngineIoHandler, line::Line, refusal::Refusal};

/// Bounds of one request's body, set by the application in the request's extensions. They take the place of
/// [`body_timeout`](crate::config::EngineIoConfig::body_timeout) and
/// [`max_bytes_of_bodies`](crate::config::EngineIoConfig::max_bytes_of_bodies).
#[derive(Clone)]
pub struct BodyBounds {
    /// Time that the body may take.
    pub within: Duration,
    /// Counts the bytes that have come.
    pub budget: Arc<dyn BodyBudget>,
}

/// Counts the bytes of one body. They are held until this is dropped.
pub trait BodyBudget: Send + Sync + 'static {
    /// Counts bytes that came. False if there is no room for them, and the body is refused.
    fn take(&self, bytes: usize) -> bool;
}

/// The reason why a body was refused. It is in the extensions of the answer, for an application that writes its own answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyRefused {
    /// It has more bytes than are allowed.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// Too many bytes of bodies are in flight.
    NoRoom,
}

pin_project_lite::pin_project! {
    #[allow(missing_docs, reason = "the macro takes no comments on fields")]
    /// The body of an answer: the engine's, or the inner service's.
    #[project = Projected]
    #[derive(Debug)]
    pub enum ResponseBody<B> {
        /// The engine's. Empty once it was read.
        Engine {
            bytes: Bytes,
        },
        /// The inner service's.
        Inner {
            #[pin]
            body: B,
        },
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project() {
            Projected::Engine { bytes } if bytes.is_empty() => Poll::Ready(None),
            Projected::Engine { bytes } => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Projected::Inner { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Engine { bytes } => bytes.is_empty(),
            Self::Inner { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Engine { bytes } => SizeHint::with_exact(bytes.len() as u64),
            Self::Inner { body } => body.size_hint(),
        }
    }
}

/// Bytes of each body that the engine's own budget does not count: so that usual requests pass while others fill the room.
const NOT_COUNTED: usize = 16 << 10;

/// The part of the engine's own budget that one body holds, until this is dropped.
struct Room<'a, H: EngineIoHandler> {
    engine: &'a Engine<H>,
    come: usize,
    counted: usize,
}

impl<H: EngineIoHandler> Room<'_, H> {
    fn take(&mut self, bytes: usize) -> bool {
        self.come += bytes;
        let more = self.come.saturating_sub(NOT_COUNTED) - self.counted;
        let fits = self.engine.take_room(more);
        self.counted += if fits { more } else { 0 };
        fits
    }
}

impl<H: EngineIoHandler> Drop for Room<'_, H> {
    fn drop(&mut self) {
        self.engine.give_room_back(self.counted);
    }
}

/// Reads the body of a session's POST request, as long as the session is there.
pub(crate) async fn read<H: EngineIoHandler, B: Body + Unpin>(
    engine: &Engine<H>,
    line: &Line,
    bounds: Option<&BodyBounds>,
    body: B,
) -> Result<Vec<u8>, Refusal> {
    let limit = || engine.limit(line, usize::try_from(engine.config.max_payload).unwrap_or(usize::MAX));
    if body.size_hint().lower() > limit() as u64 {
        return Err(Refusal::TooLarge);
    }
    let mut room = Room { engine, come: 0, counted: 0 };
    let take = |bytes| match bounds {
        Some(bounds) => bounds.budget.take(bytes),
        None => room.take(bytes),
    };
    let within = bounds.map_or(engine.config.body_timeout, |bounds| bounds.within);
    tokio::select! {
        biased;
        () = line.wait_for_end() => Err(Refusal::UnknownSession),
        read = timeout(within, read_all(body, limit, take)) => read.unwrap_or(Err(Refusal::TooSlow)),
    }
}

/// Asks for the limit with each piece that comes: it grows when the client is let in.
async fn read_all<B: Body + Unpin>(
    mut body: B,
    limit: impl Fn() -> usize,
    mut take: impl FnMut(usize) -> bool,
) -> Result<Vec<u8>, Refusal> {
    let mut all = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(mut data) = frame.map_err(|_| Refusal::BadRequest)?.into_data() else { continue };
        let bytes = data.remaining();
        if all.len() + bytes > limit() {
            return Err(Refusal::TooLarge);
        }
        if !take(bytes) {
            return Err(Refusal::NoRoom);
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            all.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }
    Ok(all)
}
