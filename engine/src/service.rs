//! The engine as a tower and hyper service around another one, which gets the requests that are not the engine's.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::service::Service as HyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service as TowerService;

pub use crate::{
    body::ResponseBody,
    not_found::{NotFoundService, Nothing},
};
use crate::{
    config::EngineIoConfig,
    engine::Engine,
    handler::EngineIoHandler,
    polling,
    refusal::Refusal,
    request::{self, Asked},
    websocket,
};

/// The engine around an inner service.
pub struct EngineIoService<H: EngineIoHandler, S = NotFoundService> {
    inner: S,
    engine: Arc<Engine<H>>,
}

impl<H: EngineIoHandler, S: Clone> Clone for EngineIoService<H, S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), engine: self.engine.clone() }
    }
}

impl<H: EngineIoHandler> EngineIoService<H> {
    /// The engine with its defaults.
    #[must_use]
    pub fn new(handler: Arc<H>) -> Self {
        Self::with_config(handler, EngineIoConfig::default())
    }

    /// The engine alone: other requests are not found.
    #[must_use]
    pub fn with_config(handler: Arc<H>, config: EngineIoConfig) -> Self {
        Self::with_config_inner(NotFoundService, handler, config)
    }
}

impl<H: EngineIoHandler, S: Clone> EngineIoService<H, S> {
    /// The engine around `inner`.
    #[must_use]
    pub fn with_config_inner(inner: S, handler: Arc<H>, config: EngineIoConfig) -> Self {
        Self { inner, engine: Engine::new(handler, config) }
    }

    /// A service that makes this one for each connection.
    #[must_use]
    pub fn into_make_service(self) -> MakeEngineIoService<H, S> {
        MakeEngineIoService { service: self }
    }

    /// The engine's answer to a request, or the request if it is not for the engine.
    fn dispatch<B, F, I>(&self, request: Request<B>, inner: impl FnOnce(Request<B>) -> F) -> ResponseFuture<F>
    where
        B: Body<Error: std::fmt::Debug> + Send + Unpin + 'static,
        B::Data: Send,
        F: Future<Output = I>,
    {
        if !request::is_ours(request.uri(), &self.engine.config.req_path) {
            return ResponseFuture::Inner { future: inner(request) };
        }
        let (parts, body) = request.into_parts();
        let asked = match request::parse(&parts, &self.engine.config) {
            Ok(asked) => asked,
            Err(refusal) => return answered(Err(refusal)),
        };
        let engine = self.engine.clone();
        match asked {
            Asked::OpenPolling => answered(Ok(polling::open(&engine, parts))),
            Asked::OpenWebSocket => answered(websocket::accept(&engine, Request::from_parts(parts, body), None)),
            Asked::Upgrade(sid) => answered(websocket::accept(&engine, Request::from_parts(parts, body), Some(sid))),
            Asked::Poll(sid) => waiting(async move { polling::poll(&engine, sid).await }),
            Asked::Post(sid) => {
                let bounds = parts.extensions.get().cloned();
                waiting(async move { polling::post(&engine, sid, bounds, body).await })
            }
        }
    }
}

type Answer = Result<Response<Bytes>, Refusal>;

fn answered<F>(answer: Answer) -> ResponseFuture<F> {
    ResponseFuture::Answered { answer: Some(answer) }
}

fn waiting<F>(answer: impl Future<Output = Answer> + Send + 'static) -> ResponseFuture<F> {
    ResponseFuture::Waiting { answer: Box::pin(answer) }
}

pin_project_lite::pin_project! {
    #[allow(missing_docs, reason = "the macro takes no comments on fields")]
    /// The answer to a request.
    #[project = Projected]
    pub enum ResponseFuture<F> {
        /// The inner service's.
        Inner {
            #[pin]
            future: F,
        },
        /// The engine's, at once.
        Answered {
            answer: Option<Result<Response<Bytes>, Refusal>>,
        },
        /// The engine's, later.
        Waiting {
            answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
        },
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match self.project() {
            Projected::Inner { future } => {
                return future.poll(cx).map_ok(|response| response.map(|body| ResponseBody::Inner { body }));
            }
            Projected::Answered { answer } => match answer.take() {
                Some(answer) => answer,
                None => return Poll::Pending,
            },
            Projected::Waiting { answer } => std::task::ready!(answer.as_mut().poll(cx)),
        };
        let response = answer.unwrap_or_else(Refusal::response);
        Poll::Ready(Ok(response.map(|bytes| ResponseBody::Engine { bytes })))
    }
}

impl<H, S, B, R> TowerService<Request<B>> for EngineIoService<H, S>
where
    H: EngineIoHandler,
    S: TowerService<Request<B>, Response = Response<R>> + Clone,
    B: Body<Error: std::fmt::Debug> + Send + Unpin + 'static,
    B::Data: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready is used up, as tower's contract wants.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        self.dispatch(request, move |request| inner.call(request))
    }
}

impl<H, S, B, R> HyperService<Request<B>> for EngineIoService<H, S>
where
    H: EngineIoHandler,
    S: HyperService<Request<B>, Response = Response<R>> + Clone,
    B: Body<Error: std::fmt::Debug> + Send + Unpin + 'static,
    B::Data: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn call(&self, request: Request<B>) -> Self::Future {
        self.dispatch(request, |request| self.inner.call(request))
    }
}

/// A stream whose WebSocket handshake is done elsewhere, with the handshake's request.
type Accepted<St> = (St, Request<()>);

impl<H: EngineIoHandler, S: Clone> EngineIoService<H, S> {
    fn serve_accepted<St>(&self, (stream, request): Accepted<St>) -> Result<(), &'static str>
    where
        St: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (parts, ()) = request.into_parts();
        let socket = match request::parse(&parts, &self.engine.config) {
            Ok(Asked::OpenWebSocket) => None,
            Ok(Asked::Upgrade(sid)) => Some(self.engine.session(sid).ok_or("unknown session")?),
            _ => return Err("not a WebSocket's handshake"),
        };
        websocket::start(self.engine.clone(), stream, socket, parts);
        Ok(())
    }
}

impl<H, S, St> TowerService<Accepted<St>> for EngineIoService<H, S>
where
    H: EngineIoHandler,
    S: Clone,
    St: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Response = ();
    type Error = &'static str;
    type Future = Ready<Result<(), &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, accepted: Accepted<St>) -> Self::Future {
        ready(self.serve_accepted(accepted))
    }
}

impl<H, S, St> HyperService<Accepted<St>> for EngineIoService<H, S>
where
    H: EngineIoHandler,
    S: Clone,
    St: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Response = ();
    type Error = &'static str;
    type Future = Ready<Result<(), &'static str>>;

    fn call(&self, accepted: Accepted<St>) -> Self::Future {
        ready(self.serve_accepted(accepted))
    }
}

#[cfg(feature = "__test_harness")]
impl<H: EngineIoHandler, S: Clone> EngineIoService<H, S> {
    /// Serves a stream without a handshake's request, for socketioxide's own tests.
    #[doc(hidden)]
    pub async fn ws_init<St>(
        &self,
        stream: St,
        _protocol: engineioxide_core::ProtocolVersion,
        sid: Option<crate::Sid>,
        parts: http::request::Parts,
    ) -> Result<(), &'static str>
    where
        St: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let socket = match sid {
            Some(sid) => Some(self.engine.session(sid).ok_or("unknown session")?),
            None => None,
        };
        websocket::start(self.engine.clone(), stream, socket, parts);
        Ok(())
    }
}

/// Makes a service for each connection.
#[derive(Clone)]
pub struct MakeEngineIoService<H: EngineIoHandler, S: Clone> {
    service: EngineIoService<H, S>,
}

impl<H: EngineIoHandler, S: Clone, T> TowerService<T> for MakeEngineIoService<H, S> {
    type Response = EngineIoService<H, S>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: T) -> Self::Future {
        ready(Ok(self.service.clone()))
    }
}
