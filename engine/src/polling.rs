//! The polling transport: GET requests bring what waits, POST requests take payloads.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, header, request::Parts};
use http_body::Body;

use crate::{
    body::{self, BodyBounds},
    engine::Engine,
    frame::Frame,
    handler::EngineIoHandler,
    line::{Answer, Carrier, EndedBy},
    payload,
    refusal::Refusal,
    socket::{DisconnectReason, Sid, Socket},
};

/// Packets of a payload that are handled before others get their turn.
const PACKETS_AT_ONCE: usize = 64;
const NOOP: &[u8] = b"6";
const CLOSE: &[u8] = b"1";

/// Opens a session, and says so.
pub(crate) fn open<H: EngineIoHandler>(engine: &Arc<Engine<H>>, parts: Parts) -> Response<Bytes> {
    let socket = engine.open(Carrier::Polling, parts);
    let open = Frame::open(&engine.greeting(socket.id, Carrier::Polling));
    text(Bytes::copy_from_slice(open.packet()))
}

/// Answers a GET request once there is something to say.
pub(crate) async fn poll<H: EngineIoHandler>(engine: &Engine<H>, sid: Sid) -> Result<Response<Bytes>, Refusal> {
    let max_bytes = usize::try_from(engine.config.max_payload).unwrap_or(usize::MAX);
    let socket = engine.session(sid).ok_or(Refusal::UnknownSession);
    let poll = match socket.and_then(|socket| socket.line.open_poll(max_bytes)) {
        Err(Refusal::UnknownSession) if engine.just_closed.take(sid) => return Ok(text(Bytes::from_static(NOOP))),
        poll => poll?,
    };
    match poll.answer().await {
        Answer::Frames(frames) => Ok(text(payload::encode(&frames).into())),
        Answer::LastFrames(frames) => {
            let mut payload = payload::encode(&frames);
            if !payload.is_empty() {
                payload.push(0x1e);
            }
            payload.extend_from_slice(CLOSE);
            Ok(text(payload.into()))
        }
        Answer::Noop => Ok(text(Bytes::from_static(NOOP))),
        Answer::Closed => {
            engine.just_closed.take(sid);
            Ok(text(Bytes::from_static(NOOP)))
        }
        Answer::Refused(refusal) => Err(refusal),
    }
}

/// Takes the payload of a POST request. A body that is refused before it has come ends nothing, as in the JavaScript
/// server; one that does not come, or holds what is no packet, ends the session.
pub(crate) async fn post<H, B>(
    engine: &Engine<H>,
    sid: Sid,
    bounds: Option<BodyBounds>,
    request_body: B,
) -> Result<Response<Bytes>, Refusal>
where
    H: EngineIoHandler,
    B: Body + Unpin,
{
    let socket = engine.session(sid).ok_or(Refusal::UnknownSession)?;
    let post = socket.line.open_post()?;
    let payload = match body::read(engine, &socket.line, bounds.as_ref(), request_body).await {
        Ok(payload) => payload,
        Err(refusal @ (Refusal::TooLarge | Refusal::NoRoom)) => return Err(refusal),
        Err(refusal) => {
            socket.line.end(DisconnectReason::TransportError, EndedBy::Server);
            return Err(refusal);
        }
    };
    match receive(engine, &socket, payload).await {
        Ok(()) => {}
        Err(DisconnectReason::TransportClose) => {
            // Before the session's end: a poll that comes from then on, or waits, takes it out again.
            engine.just_closed.add(sid);
            if !socket.line.end(DisconnectReason::TransportClose, EndedBy::Client) {
                engine.just_closed.take(sid);
            }
        }
        Err(reason) => {
            socket.line.end(reason, EndedBy::Server);
            return Err(Refusal::BadRequest);
        }
    }
    drop(post);
    let mut response = Response::new(Bytes::from_static(b"ok"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    Ok(response)
}

async fn receive<H: EngineIoHandler>(
    engine: &Engine<H>,
    socket: &Arc<Socket<H::Data>>,
    payload: Vec<u8>,
) -> Result<(), DisconnectReason> {
    let payload = String::from_utf8(payload).map_err(|_| DisconnectReason::PacketParsingError)?;
    for (number, packet) in payload::decode(payload).enumerate() {
        if number >= engine.config.max_packets_per_payload {
            return Err(DisconnectReason::PacketParsingError);
        }
        if number % PACKETS_AT_ONCE == PACKETS_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        // It may have been ended by the packet before.
        if socket.line.has_ended() {
            return Ok(());
        }
        engine.receive(socket, packet)?;
    }
    Ok(())
}

fn text(body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
