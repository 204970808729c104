//! The WebSocket transport (RFC 6455), server side and without extensions.

mod closing;
mod connection;
pub(crate) mod decoder;
mod outgoing;

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncWrite};

use self::connection::Connection;
use crate::{
    engine::Engine,
    frame::Frame,
    handler::EngineIoHandler,
    line::Carrier,
    refusal::Refusal,
    socket::{Sid, Socket},
};

/// The constant with which a handshake's key is hashed (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A session that has a WebSocket already: the new one is closed with "policy violation".
const SECOND: u16 = 1008;

/// Answers a WebSocket's handshake. The session goes on, or begins, over the connection once hyper hands it over.
pub(crate) fn accept<H, B>(
    engine: &Arc<Engine<H>>,
    mut request: Request<B>,
    sid: Option<Sid>,
) -> Result<Response<Bytes>, Refusal>
where
    H: EngineIoHandler,
{
    let key = accepted_key(request.headers()).ok_or(Refusal::BadRequest)?;
    let socket = match sid {
        Some(sid) => Some(engine.session(sid).ok_or(Refusal::UnknownSession)?),
        None => None,
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let engine = engine.clone();
    tokio::spawn(async move {
        if let Ok(stream) = upgrade.await {
            start(engine, TokioIo::new(stream), socket, parts);
        }
    });
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    Ok(response)
}

/// Starts the task of a WebSocket whose handshake is done. In a task of its own, which holds only what it needs.
pub(crate) fn start<H, S>(engine: Arc<Engine<H>>, stream: S, socket: Option<Arc<Socket<H::Data>>>, parts: Parts)
where
    H: EngineIoHandler,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match socket {
        Some(socket) => match socket.line.open_upgrade() {
            Some(upgrade) => {
                let timeout = engine.config.upgrade_timeout;
                tokio::spawn(Connection::upgrading(engine, socket, stream, upgrade, timeout).run());
            }
            None => drop(tokio::spawn(closing::refuse(stream, SECOND))),
        },
        None => {
            let socket = engine.open(Carrier::WebSocket, parts);
            let open = Frame::open(&engine.greeting(socket.id, Carrier::WebSocket));
            tokio::spawn(Connection::open(engine, socket, stream, open).run());
        }
    }
}

/// The `Sec-WebSocket-Accept` of a handshake that is in order.
fn accepted_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let has = |name: header::HeaderName, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
    };
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return None;
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION)? != "13" {
        return None;
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.as_bytes();
    if BASE64_STANDARD.decode(key).ok()?.len() != 16 {
        return None;
    }
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    HeaderValue::from_str(&BASE64_STANDARD.encode(hash)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(changed: &[(&'static str, &'static str)]) -> HeaderMap {
        let usual = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let pairs = usual.iter().chain(changed);
        pairs.fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.insert(*name, HeaderValue::from_static(value));
            headers
        })
    }

    #[test]
    fn the_key_is_that_of_the_standards_example() {
        assert_eq!(accepted_key(&headers(&[])).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_handshake_with_a_fault_is_refused() {
        for fault in [
            ("connection", "close"),
            ("upgrade", "h2c"),
            ("sec-websocket-version", "8"),
            ("sec-websocket-key", "c2hvcnQ="),
        ] {
            assert_eq!(accepted_key(&headers(&[fault])), None, "{fault:?}");
        }
    }
}
