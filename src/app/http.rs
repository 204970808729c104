//! The layers around every request: origins and CORS, limits, tracing.

use std::{sync::Arc, time::Duration};

use axum::{
    BoxError, Router,
    body::{Body, HttpBody as _},
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};
use tower::ServiceBuilder;
use tower_http::{
    compression::CompressionLayer,
    cors::{AllowHeaders, AllowOrigin, CorsLayer},
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    timeout::TimeoutLayer,
    trace::TraceLayer,
};

use super::{
    admission::{Admission, admit},
    answers::{self, ReadWithin},
    client_script::refuse_client_script,
    origins::{Origins, refuse_others},
    socket_bodies::{SocketBodies, bound},
};
use crate::{
    chat::Chat,
    config::Config,
    hub::Hub,
    limits::{RequestShare, for_caller},
    rest,
};

/// The time between a request's time limit and the failure of its body, so that the answer goes out first.
const BODY_GRACE: Duration = Duration::from_millis(100);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Adds limits, tracing and compression to the REST routes. Socket.IO does not get them: its long polls are meant to wait.
pub fn rest_layers(router: Router, chat: &Arc<Chat>, max_body: usize, seconds: u64, read_within: Duration) -> Router {
    // One stack, from the outside in: added one by one, each layer would box every request's future and copy the inner ones.
    router.layer(
        ServiceBuilder::new()
            .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            .layer(TraceLayer::new_for_http().make_span_with(|request: &Request| {
                let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
                // Only the path: a query may have secrets.
                tracing::info_span!("request", id, method = %request.method(), path = request.uri().path())
            }))
            .map_request(accept_plain)
            .layer(CompressionLayer::new())
            .map_response(rest::json_errors)
            .map_response(move |mut response: Response| {
                response.extensions_mut().insert(ReadWithin(read_within));
                response
            })
            .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(seconds)))
            .layer(middleware::from_fn_with_state((chat.clone(), Duration::from_secs(seconds)), finish_what_began))
            // Before the body is read, if Content-Length is known.
            .layer(RequestBodyLimitLayer::new(max_body))
            .layer(DefaultBodyLimit::max(max_body)),
    )
}

/// Sends a short answer uncompressed even to a client that refuses uncompressed answers: the library would answer 406 after the
/// work was done (RFC 9110 §12.5.3 leaves the choice).
fn accept_plain(mut request: Request) -> Request {
    let refuses_plain = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or_default().replace(' ', "");
        ["identity;q=0", "*;q=0"].iter().any(|refusal| value.contains(refusal))
    };
    if request.headers().get_all(header::ACCEPT_ENCODING).iter().any(refuses_plain) {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    request
}

/// Runs a request in a task of its own, for which a shutdown waits: if the client goes away, the work must not stop half done,
/// such as stored but not told.
async fn finish_what_began(
    State((chat, limit)): State<(Arc<Chat>, Duration)>,
    request: Request,
    next: Next,
) -> Response {
    let mut request = request.map(|body| ends_within(body, limit + BODY_GRACE));
    let share = RequestShare::default();
    request.extensions_mut().insert(share.clone());
    let is_read = request.method().is_safe();
    let token = chat.core.tasks.in_flight.token();
    let task = tokio::spawn(async move {
        let response = for_caller(None, next.run(request)).await;
        drop(token);
        answers::count(share, response, is_read)
    });
    task.await.unwrap_or_else(|e| {
        tracing::error!(error = %e, "a request handler panicked");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    })
}

/// A body that fails if it does not arrive in time, so that its reader ends. By then its sender has been answered.
fn ends_within(body: Body, limit: Duration) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let deadline = Instant::now() + limit;
    Body::from_stream(stream::unfold(body.into_data_stream(), move |mut frames| async move {
        match timeout_at(deadline, frames.next()).await {
            Ok(frame) => Some((frame?.map_err(BoxError::from), frames)),
            Err(elapsed) => Some((Err(elapsed.into()), frames)),
        }
    }))
}

/// Adds origins and CORS to everything, the Socket.IO handshake too (contract §Connecting).
pub fn wrap(router: Router, config: &Config, hub: &Arc<Hub>, admission: Admission) -> Router {
    let origins = Arc::new(Origins::new(config, admission.proxies.clone()));
    let for_cors = origins.clone();
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, request| {
            for_cors.allows(origin, &request.headers, &request.extensions)
        }))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([REQUEST_ID, header::RETRY_AFTER])
        .max_age(Duration::from_hours(1));
    let bodies = SocketBodies::new(config, hub, &admission.limits.bodies);
    router.layer(
        ServiceBuilder::new()
            .layer(middleware::from_fn_with_state(origins, refuse_others))
            .layer(cors)
            // Before the request is counted as a handshake.
            .layer(middleware::from_fn(refuse_client_script))
            .layer(middleware::from_fn_with_state(admission, admit))
            .layer(middleware::from_fn_with_state(bodies, bound)),
    )
}
