//! The inner service of an engine that is alone.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::service::Service as HyperService;
use tower_service::Service as TowerService;

/// Answers every request that it is not found.
#[derive(Clone, Copy, Debug)]
pub struct NotFoundService;

fn not_found() -> Ready<Result<Response<Nothing>, Infallible>> {
    let mut response = Response::new(Nothing);
    *response.status_mut() = StatusCode::NOT_FOUND;
    ready(Ok(response))
}

impl<B> TowerService<Request<B>> for NotFoundService {
    type Response = Response<Nothing>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        not_found()
    }
}

impl<B> HyperService<Request<B>> for NotFoundService {
    type Response = Response<Nothing>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, _: Request<B>) -> Self::Future {
        not_found()
    }
}

/// A body without bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}
