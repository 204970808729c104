//! Bodies: of our answers, and of the requests to us.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::{engine::Engine, handler::EngineIoHandler, line::Line, refusal::Refusal};

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

/// Bytes of each body that are not counted: so that usual requests pass while others fill the room there is.
const NOT_COUNTED: usize = 16 << 10;

/// Bytes that are counted as those of a body, until this is dropped.
struct Room<'a, H: EngineIoHandler>(&'a Engine<H>, usize);

impl<H: EngineIoHandler> Drop for Room<'_, H> {
    fn drop(&mut self) {
        self.0.give_room_back(self.1);
    }
}

/// Reads the body of a session's POST request, as long as the session is there.
pub(crate) async fn read<H: EngineIoHandler, B: Body + Unpin>(
    engine: &Engine<H>,
    line: &Line,
    body: B,
) -> Result<Vec<u8>, Refusal> {
    let limit = engine.limit(line, usize::try_from(engine.config.max_payload).unwrap_or(usize::MAX));
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::TooLarge);
    }
    let deadline = Instant::now() + engine.config.body_timeout;
    tokio::select! {
        biased;
        () = line.wait_for_end() => Err(Refusal::UnknownSession),
        read = tokio::time::timeout_at(deadline, read_all(engine, body, limit)) => read.unwrap_or(Err(Refusal::TooSlow)),
    }
}

async fn read_all<H: EngineIoHandler, B: Body + Unpin>(
    engine: &Engine<H>,
    mut body: B,
    limit: usize,
) -> Result<Vec<u8>, Refusal> {
    let mut all = Vec::new();
    let mut room = Room(engine, 0);
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(mut data) = frame.map_err(|_| Refusal::BadRequest)?.into_data() else { continue };
        let bytes = data.remaining();
        if all.len() + bytes > limit {
            return Err(Refusal::TooLarge);
        }
        let counted = (all.len() + bytes).saturating_sub(NOT_COUNTED) - room.1;
        if !engine.take_room(counted) {
            return Err(Refusal::NoRoom);
        }
        room.1 += counted;
        while data.has_remaining() {
            let chunk = data.chunk();
            all.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }
    Ok(all)
}
