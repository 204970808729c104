//! Admission: refuses sockets over a limit before they cost anything. A refusal here is a plain HTTP answer: socket.io-client
//! takes it for a failed attempt and comes back by itself, which it does not do after a refusal by the namespace.

use std::{net::IpAddr, ops::Range, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{OriginalUri, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    limits::{AskedTooMuch, ClientAddress, Full, Limits, Proxies, Seat},
    protocol::Failure,
};

/// The time after which to try again if no place is free.
const RETRY_AFTER_MS: u64 = 5000;

/// The delay of refusals for clients that keep asking, in milliseconds. It slows each of their connections down, and the range
/// spreads them.
const LATE_MS: Range<u64> = 2000..3000;

const KEPT: [HeaderName; 11] = [
    header::HOST,
    header::ORIGIN,
    header::AUTHORIZATION,
    header::CONNECTION,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_VERSION,
];

/// The address of a connection's other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

#[derive(Clone)]
pub struct Admission {
    pub limits: Arc<Limits>,
    /// The proxies that are trusted to name a client's address.
    pub proxies: Arc<Proxies>,
}

/// Notes the address of a request, and refuses a handshake over a limit. An address that is refused again and again, for any
/// kind of request, gets its refusals late.
pub async fn admit(State(admission): State<Admission>, mut request: Request, next: Next) -> Response {
    let address = request.extensions().get::<Peer>().map(|peer| {
        let hops: Vec<&str> =
            request.headers().get_all("x-forwarded-for").iter().filter_map(|hop| hop.to_str().ok()).collect();
        admission.proxies.client(peer.0, &hops.join(","))
    });
    if let Some(address) = address {
        request.extensions_mut().insert(address);
    }
    let response = match is_handshake(&request).then(|| seat_for(&admission.limits, address)) {
        // The session keeps the request that opened it, and so its seat, for as long as it lives.
        Some(Ok(seat)) => {
            request.extensions_mut().insert(Arc::new(seat));
            keep_little(&mut request);
            next.run(request).await
        }
        Some(Err(refusal)) => *refusal,
        None => next.run(request).await,
    };
    if asked_too_much(&response) && address.is_some_and(|a| admission.limits.rates.refuses_late(a)) {
        tokio::time::sleep(Duration::from_millis(rand::random_range(LATE_MS))).await;
    }
    response
}

/// Refusals that the client itself causes, and that cost the server work each time.
fn asked_too_much(response: &Response) -> bool {
    let marked = response.extensions().get::<AskedTooMuch>().is_some();
    marked
        || matches!(
            response.status(),
            StatusCode::UNAUTHORIZED
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::SERVICE_UNAVAILABLE
        )
}

/// Copies the needed headers of a request that a session keeps. The originals are slices of the connection's read buffer, and a
/// single one of them keeps the whole buffer in memory.
fn keep_little(request: &mut Request) {
    let copied = KEPT.iter().flat_map(|name| {
        let values = request.headers().get_all(name).iter();
        values.filter_map(move |value| Some((name.clone(), HeaderValue::from_bytes(value.as_bytes()).ok()?)))
    });
    let headers: HeaderMap = copied.collect();
    *request.headers_mut() = headers;
    if let Ok(uri) = Uri::try_from(request.uri().to_string()) {
        *request.uri_mut() = uri;
    }
    // The router's copy of the URI.
    request.extensions_mut().remove::<OriginalUri>();
}

/// True for a request that opens an Engine.IO session: it names no session yet.
fn is_handshake(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.uri().path().starts_with("/socket.io") && !query.split('&').any(|pair| pair.starts_with("sid="))
}

fn seat_for(limits: &Limits, address: Option<ClientAddress>) -> Result<Seat, Box<Response>> {
    if let Err(e) = limits.rates.handshake(address) {
        let failure = Failure::with_message("Too many handshakes", "too_many_handshakes");
        let retry_after_ms = e.retry_after_ms().unwrap_or(RETRY_AFTER_MS);
        return Err(Box::new(refusal(StatusCode::SERVICE_UNAVAILABLE, failure, retry_after_ms)));
    }
    limits.seats.take(address).map_err(|full| {
        let failure = Failure::with_message("Too many connections", "too_many_connections");
        Box::new(refusal(status_of(full), failure, RETRY_AFTER_MS))
    })
}

fn status_of(full: Full) -> StatusCode {
    match full {
        Full::Server => StatusCode::SERVICE_UNAVAILABLE,
        Full::Address => StatusCode::TOO_MANY_REQUESTS,
    }
}

fn refusal(status: StatusCode, failure: Failure, retry_after_ms: u64) -> Response {
    let mut response = (status, Json(failure.retry_after(Some(retry_after_ms)))).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, retry_after_ms.div_ceil(1000).max(1).into());
    response
}

/// The answer to a connection for which there is no room at all, before its first request is read.
pub fn no_room(full: Full) -> String {
    let failure = Failure::with_message("Too many connections", "too_many_connections");
    // Plain fields always serialise.
    let body = serde_json::to_string(&failure.retry_after(Some(RETRY_AFTER_MS))).unwrap_or_default();
    format!(
        "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nRetry-After: {}\r\n\
         Connection: close\r\n\r\n{body}",
        status_of(full),
        body.len(),
        RETRY_AFTER_MS / 1000,
    )
}
