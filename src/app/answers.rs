//! Answers that are being sent. A client must read each within a time limit, or its connection is closed. Until then its bytes,
//! and the request's place, count as its caller's.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{limits::RequestShare, rest::refusal};

/// The time that a client has to read this answer, if it differs from the usual one.
#[derive(Clone, Copy, Debug)]
pub struct ReadWithin(pub Duration);

/// Counts an answer as its caller's. If there is no room for it and the request changed nothing, the answer is dropped and the
/// client is told to try again.
pub fn count(share: RequestShare, mut response: Response, is_read: bool) -> Response {
    let bytes = response.body().size_hint().exact().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    if let Err(e) = share.hold_answer(bytes)
        && is_read
    {
        response = refusal(e);
    }
    response.extensions_mut().insert(share);
    response
}

/// The answers that one connection's peer has not read yet, by their time limit.
#[derive(Debug, Default)]
pub struct Unread(Mutex<VecDeque<Instant>>);

impl Unread {
    /// Watches an answer until it is written completely.
    pub fn watch(self: &Arc<Self>, mut response: Response, within: Duration) -> Response {
        let share = response.extensions_mut().remove::<RequestShare>();
        if response.body().is_end_stream() {
            return response;
        }
        let within = response.extensions().get::<ReadWithin>().map_or(within, |r| r.0);
        self.0.lock().push_back(Instant::now() + within);
        let answer = Arc::new(Answer { unread: self.clone(), _share: share });
        response.map(|body| Body::new(Watched { body, answer }))
    }

    /// Resolves when an answer has not been read in time. The connection's task must poll it after the connection, because
    /// polling the connection changes this state.
    pub async fn overdue(&self) {
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            let Some(deadline) = self.0.lock().front().copied() else {
                timer = None;
                return Poll::Pending;
            };
            let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            timer.as_mut().poll(cx)
        })
        .await;
    }
}

/// One answer: dropped when its last byte was handed to the system. Answers are written in the order of their requests.
struct Answer {
    unread: Arc<Unread>,
    _share: Option<RequestShare>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.unread.0.lock().pop_front();
    }
}

/// The body of an answer. hyper drops it when all of it waits to be written, and drops each piece when it was written.
struct Watched {
    body: Body,
    answer: Arc<Answer>,
}

/// A piece of an answer.
struct Piece {
    bytes: Bytes,
    _answer: Arc<Answer>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let watched = |bytes| Bytes::from_owner(Piece { bytes, _answer: self.answer.clone() });
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(watched))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use http_body_util::BodyExt as _;

    use super::*;

    fn watched(unread: &Arc<Unread>, text: &'static str, within: Duration) -> Body {
        unread.watch(Response::new(text.into()), within).into_body()
    }

    async fn is_overdue(unread: &Unread) -> bool {
        tokio::time::timeout(Duration::from_secs(1), unread.overdue()).await.is_ok()
    }

    #[tokio::test]
    async fn an_answer_counts_until_its_last_piece_was_written() {
        let unread = Arc::new(Unread::default());
        let mut body = watched(&unread, "text", Duration::ZERO);
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(piece, "text");
        drop(body);
        assert!(is_overdue(&unread).await);
        drop(piece);
        assert!(unread.overdue().now_or_never().is_none(), "nothing is unread any more");
    }

    #[tokio::test]
    async fn an_answer_behind_another_has_a_time_of_its_own() {
        let unread = Arc::new(Unread::default());
        let first = watched(&unread, "first", Duration::ZERO);
        let _second = watched(&unread, "second", Duration::from_mins(1));
        assert!(is_overdue(&unread).await);
        drop(first);
        assert!(unread.overdue().now_or_never().is_none());
    }
}
