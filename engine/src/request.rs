//! Parses requests to the engine.

use bytes::{Bytes, BytesMut};
use engineioxide_core::TransportType;
use http::{HeaderMap, HeaderValue, Method, Uri, header, request::Parts};

use crate::{config::EngineIoConfig, refusal::Refusal, socket::Sid};

/// A request that is in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    OpenPolling,
    OpenWebSocket,
    Poll(Sid),
    Post(Sid),
    Upgrade(Sid),
}

/// True if a request is for the engine.
pub(crate) fn is_ours(uri: &Uri, path: &str) -> bool {
    let rest = uri.path().strip_prefix(path.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Parses a request to the engine.
pub(crate) fn parse(parts: &Parts, config: &EngineIoConfig) -> Result<Asked, Refusal> {
    let query = parts.uri.query().unwrap_or_default();
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    };
    let transport = match parameter("transport") {
        Some("polling") => TransportType::Polling,
        Some("websocket") => TransportType::Websocket,
        _ => return Err(Refusal::UnknownTransport),
    };
    if !config.allows(transport) {
        return Err(Refusal::UnknownTransport);
    }
    if parameter("EIO") != Some("4") {
        return Err(Refusal::UnsupportedProtocol);
    }
    let sid = match parameter("sid") {
        None | Some("") => None,
        Some(sid) => Some(sid.parse::<Sid>().map_err(|_| Refusal::UnknownSession)?),
    };
    match (transport, sid, &parts.method) {
        (TransportType::Polling, None, &Method::GET) => Ok(Asked::OpenPolling),
        (TransportType::Polling, Some(sid), &Method::GET) => Ok(Asked::Poll(sid)),
        (TransportType::Polling, Some(sid), &Method::POST) => Ok(Asked::Post(sid)),
        (TransportType::Websocket, None, &Method::GET) => Ok(Asked::OpenWebSocket),
        (TransportType::Websocket, Some(sid), &Method::GET) => Ok(Asked::Upgrade(sid)),
        _ => Err(Refusal::BadMethod),
    }
}

/// A copy of a handshake's request in as little memory as it needs: as it comes from hyper, its headers keep the whole
/// read buffer of the connection.
pub(crate) fn compact(parts: Parts) -> Parts {
    let (mut new, ()) = http::Request::new(()).into_parts();
    new.method = parts.method;
    new.version = parts.version;
    new.extensions = parts.extensions;
    let uri = Bytes::copy_from_slice(parts.uri.to_string().as_bytes());
    new.uri = Uri::from_maybe_shared(uri).unwrap_or_default();
    new.headers = compact_headers(&parts.headers);
    new
}

fn compact_headers(headers: &HeaderMap) -> HeaderMap {
    let is_kept = |name: &header::HeaderName| {
        let of_connection = [header::CONNECTION, header::UPGRADE].contains(name);
        !of_connection && !name.as_str().starts_with("sec-websocket-")
    };
    let kept = || headers.iter().filter(|(name, _)| is_kept(name));
    let mut values = BytesMut::with_capacity(kept().map(|(_, value)| value.len()).sum());
    kept().for_each(|(_, value)| values.extend_from_slice(value.as_bytes()));
    let mut values = values.freeze();
    let mut compact = HeaderMap::with_capacity(kept().count());
    for (name, value) in kept() {
        if let Ok(mut copy) = HeaderValue::from_maybe_shared(values.split_to(value.len())) {
            copy.set_sensitive(value.is_sensitive());
            compact.append(name, copy);
        }
    }
    compact
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, uri: &str) -> Result<Asked, Refusal> {
        let (parts, ()) = http::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
        parse(&parts, &EngineIoConfig::default())
    }

    #[test]
    fn each_fault_has_its_refusal() {
        for (method, query, refusal) in [
            ("GET", "EIO=4", Refusal::UnknownTransport),
            ("GET", "EIO=4&transport=abc", Refusal::UnknownTransport),
            ("GET", "transport=polling", Refusal::UnsupportedProtocol),
            ("GET", "EIO=abc&transport=polling", Refusal::UnsupportedProtocol),
            ("GET", "EIO=3&transport=polling", Refusal::UnsupportedProtocol),
            ("GET", "EIO=4&transport=polling&sid=%00", Refusal::UnknownSession),
            ("POST", "EIO=4&transport=polling", Refusal::BadMethod),
            ("PUT", "EIO=4&transport=polling", Refusal::BadMethod),
            ("POST", "EIO=4&transport=websocket", Refusal::BadMethod),
        ] {
            assert_eq!(asked(method, &format!("/engine.io/?{query}")), Err(refusal), "{method} {query}");
        }
        assert_eq!(asked("GET", "/engine.io/?EIO=4&transport=polling"), Ok(Asked::OpenPolling));
    }

    #[test]
    fn a_path_is_ours_with_and_without_its_slash() {
        let is_ours = |path: &str| is_ours(&path.parse().unwrap(), "/socket.io");
        assert!(is_ours("/socket.io") && is_ours("/socket.io/?EIO=4") && is_ours("/socket.io/x"));
        assert!(!is_ours("/socket.iox") && !is_ours("/"));
    }

    #[test]
    fn a_compact_copy_has_the_headers_without_those_of_the_connection() {
        let request = http::Request::builder()
            .uri("/x?y=1")
            .header("authorization", "Bearer a")
            .header("x-many", "1")
            .header("x-many", "2")
            .header("connection", "Upgrade")
            .header("sec-websocket-key", "k")
            .body(());
        let copy = compact(request.unwrap().into_parts().0);
        assert_eq!(copy.uri, "/x?y=1");
        assert_eq!(copy.headers["authorization"], "Bearer a");
        assert_eq!(copy.headers.get_all("x-many").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(copy.headers.len(), 3);
    }
}
