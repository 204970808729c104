//! A form with files, part by part. The library reads a part's head into memory until it ends; here it has a bound.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, BodyDataStream},
    extract::{
        FromRequest, Multipart, Request,
        multipart::{Field, MultipartError},
    },
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};

use super::{errors::RestError, state::RestState};
use crate::error::Error;

/// Most bytes of a part's head: its name, its type, and what else a client writes there.
const MAX_HEAD: usize = 16 << 10;
/// The body is given to the library in portions of at most this, between which it looks at what it has.
const PORTION: usize = 8 << 10;
/// Not within a part's head.
const NO_HEAD: usize = usize::MAX;

pub struct Form {
    parts: Multipart,
    head: Arc<AtomicUsize>,
}

impl Form {
    /// The next part; what was not read of the one before is passed over.
    pub async fn next(&mut self) -> Result<Option<Field<'_>>, FormError> {
        self.head.store(0, Ordering::Relaxed);
        let part = self.parts.next_field().await;
        let read = self.head.swap(NO_HEAD, Ordering::Relaxed);
        part.map_err(|e| if read > MAX_HEAD { FormError::HeadTooLong } else { FormError::Broken(e) })
    }
}

pub enum FormError {
    /// The head of the next one does not end.
    HeadTooLong,
    Broken(MultipartError),
}

impl FromRequest<RestState> for Form {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &RestState) -> Result<Self, RestError> {
        let head = Arc::new(AtomicUsize::new(NO_HEAD));
        let request = request.map(|body| {
            let body = body.into_data_stream();
            Body::from_stream(Portions { body, rest: Bytes::new(), head: head.clone(), pause: false })
        });
        match Multipart::from_request(request, state).await {
            Ok(parts) => Ok(Self { parts, head }),
            Err(_) => Err(Error::InvalidPayload("Files are sent as multipart/form-data".into()).into()),
        }
    }
}

/// A body in small portions, with a pause after each: the library takes all that is ready before it looks at any of it.
struct Portions {
    body: BodyDataStream,
    rest: Bytes,
    /// Bytes that came while a head is read, or [`NO_HEAD`].
    head: Arc<AtomicUsize>,
    pause: bool,
}

impl Stream for Portions {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pause) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        while self.rest.is_empty() {
            match std::task::ready!(self.body.poll_next_unpin(context)) {
                Some(Ok(bytes)) => self.rest = bytes,
                end => return Poll::Ready(end),
            }
        }
        let size = self.rest.len().min(PORTION);
        let portion = self.rest.split_to(size);
        self.pause = true;
        let before = self.head.load(Ordering::Relaxed);
        if before != NO_HEAD {
            self.head.store(before + size, Ordering::Relaxed);
            // What came before it was looked at, and had no end of the head.
            if before > MAX_HEAD {
                return Poll::Ready(Some(Err(axum::Error::new(Error::PartHeadTooLong))));
            }
        }
        Poll::Ready(Some(Ok(portion)))
    }
}
