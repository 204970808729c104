//! Allowed origins (contract §Connecting). A browser always sends its origin. curl and apps need not send one, and are allowed.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::{Request, State},
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;

use super::admission::Peer;
use crate::{
    config::{Config, normal_origin, without_default_port},
    limits::Proxies,
    protocol::Failure,
    socket::FromBrowser,
};

/// The time between two log lines about the same refused origin.
const LOG_EVERY: Duration = Duration::from_mins(1);
/// The number of refused origins that are logged separately, and the characters of each that are written.
const MAX_LOGGED: usize = 100;
const MAX_LOGGED_CHARS: usize = 200;

pub struct Origins {
    allowed: Vec<String>,
    proxies: Arc<Proxies>,
    /// Refused origins, with the time at which each was logged.
    logged: Mutex<HashMap<String, Instant>>,
}

impl Origins {
    /// Makes the allowed origins from `config`.
    pub fn new(config: &Config, proxies: Arc<Proxies>) -> Self {
        Self { allowed: config.allowed_origins(), proxies, logged: Mutex::default() }
    }

    /// True if a request with these headers may come from `origin`.
    pub fn allows(&self, origin: &HeaderValue, headers: &HeaderMap, extensions: &Extensions) -> bool {
        let Some(origin) = origin.to_str().ok().and_then(normal_origin) else { return false };
        self.allowed.contains(&origin) || self.is_own(&origin, headers, extensions)
    }

    /// True for the server's own origin, which clients other than browsers send: its host is the one in the request's `Host`,
    /// or in `X-Forwarded-Host` from a trusted proxy.
    fn is_own(&self, origin: &str, headers: &HeaderMap, extensions: &Extensions) -> bool {
        let Some((scheme @ ("http" | "https"), host)) = origin.split_once("://") else { return false };
        let is_host = |asked: &str| without_default_port(scheme, &asked.trim().to_ascii_lowercase()) == host;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let is_proxied = extensions.get::<Peer>().is_some_and(|peer| self.proxies.contains(peer.0));
        text(header::HOST.as_str()).is_some_and(is_host)
            || (is_proxied && text("x-forwarded-host").is_some_and(|hosts| hosts.split(',').any(is_host)))
    }

    /// True if a page in a browser made this request. Clients other than browsers send the server's own origin, or none.
    fn is_of_browser(&self, request: &Request) -> bool {
        let headers = request.headers();
        let is_browser = |agent: &HeaderValue| agent.as_bytes().starts_with(b"Mozilla/");
        let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).and_then(normal_origin);
        origin.is_some_and(|origin| {
            !self.is_own(&origin, headers, request.extensions())
                || headers.get(header::USER_AGENT).is_some_and(is_browser)
        })
    }

    fn log(&self, origin: &HeaderValue) {
        let origin: String = String::from_utf8_lossy(origin.as_bytes()).chars().take(MAX_LOGGED_CHARS).collect();
        if self.is_due(&origin, Instant::now()) {
            tracing::warn!(
                origin,
                "a request from this origin was refused; if it is your app's, add it to FRONTEND_URL"
            );
        }
    }

    /// True if a refused origin is to be logged now.
    fn is_due(&self, origin: &str, now: Instant) -> bool {
        let mut logged = self.logged.lock();
        if logged.get(origin).is_some_and(|at| now.duration_since(*at) < LOG_EVERY) {
            return false;
        }
        if logged.len() >= MAX_LOGGED {
            logged.retain(|_, at| now.duration_since(*at) < LOG_EVERY);
        }
        let has_room = logged.len() < MAX_LOGGED;
        if has_room {
            logged.insert(origin.to_owned(), now);
        }
        has_room
    }
}

/// Refuses a request from an origin that is not allowed.
pub async fn refuse_others(State(origins): State<Arc<Origins>>, mut request: Request, next: Next) -> Response {
    match request.headers().get(header::ORIGIN) {
        Some(origin) if !origins.allows(origin, request.headers(), request.extensions()) => {
            origins.log(origin);
            (StatusCode::FORBIDDEN, Json(Failure::with_message("Origin not allowed", "origin_not_allowed")))
                .into_response()
        }
        _ => {
            if origins.is_of_browser(&request) {
                request.extensions_mut().insert(FromBrowser);
            }
            next.run(request).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        let proxies = Arc::new(Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]));
        Origins { allowed: vec!["https://shop.example".into()], proxies, logged: Mutex::default() }
    }

    fn allows(origin: &str, peer: &str, headers: &[(&'static str, &str)]) -> bool {
        let mut extensions = Extensions::new();
        extensions.insert(Peer(peer.parse().unwrap()));
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        origins().allows(&origin.parse().unwrap(), &headers, &extensions)
    }

    #[test]
    fn the_origin_of_the_host_asked_for_is_allowed() {
        let table = [
            ("http://chat.example:5000", "chat.example:5000", true),
            ("wss://chat.example", "Chat.Example", true),
            ("https://chat.example", "chat.example:443", true),
            ("http://chat.example:80", "chat.example", true),
            ("https://chat.example:444", "chat.example", false),
            ("https://evil.example", "chat.example", false),
            ("https://chat.example.evil.example", "chat.example", false),
            ("capacitor://chat.example", "chat.example", false),
            ("null", "null", false),
        ];
        for (origin, host, expected) in table {
            assert_eq!(allows(origin, "8.8.8.8", &[("host", host)]), expected, "{origin} at {host}");
        }
    }

    #[test]
    fn only_a_proxy_of_ours_is_believed_about_the_host_it_was_asked_for() {
        let headers = [("host", "127.0.0.1:5000"), ("x-forwarded-host", "chat.example")];
        assert!(allows("https://chat.example", "10.1.1.1", &headers));
        assert!(!allows("https://chat.example", "8.8.8.8", &headers));
    }

    #[test]
    fn a_refused_origin_is_logged_once_a_minute_and_only_so_many_are() {
        let origins = origins();
        let now = Instant::now();
        assert!(origins.is_due("a", now) && !origins.is_due("a", now));
        let logged = (0..MAX_LOGGED * 2).filter(|n| origins.is_due(&n.to_string(), now)).count();
        assert_eq!(logged, MAX_LOGGED - 1);
        assert!(origins.is_due("a", now + LOG_EVERY), "a minute later it is logged again");
    }
}
