//! Refused requests, with the texts of the JavaScript server.

use bytes::Bytes;
use http::{Response, StatusCode, header};

use crate::body::BodyRefused;

/// A refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    UnknownTransport,
    UnknownSession,
    BadMethod,
    BadRequest,
    UnsupportedProtocol,
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// Too many bodies are being received.
    NoRoom,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The error number of the JavaScript server.
    fn code(self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSession => 1,
            Self::BadMethod => 2,
            Self::BadRequest | Self::TooLarge | Self::TooSlow | Self::NoRoom => 3,
            Self::UnsupportedProtocol => 5,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::UnknownTransport => "Transport unknown",
            Self::UnknownSession => "Session ID unknown",
            Self::BadMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::UnsupportedProtocol => "Unsupported protocol version",
            Self::TooLarge => "Payload too large",
            Self::TooSlow => "Request timed out",
            Self::NoRoom => "Server is busy",
        }
    }

    /// The reason for the application, if a body was refused.
    fn of_body(self) -> Option<BodyRefused> {
        match self {
            Self::TooLarge => Some(BodyRefused::TooLarge),
            Self::TooSlow => Some(BodyRefused::TooSlow),
            Self::NoRoom => Some(BodyRefused::NoRoom),
            _ => None,
        }
    }

    /// The answer to the request.
    pub(crate) fn response(self) -> Response<Bytes> {
        let body = format!(r#"{{"code":{},"message":"{}"}}"#, self.code(), self.message());
        let mut response = Response::new(body.into());
        *response.status_mut() = self.status();
        if let Some(refused) = self.of_body() {
            response.extensions_mut().insert(refused);
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        if self == Self::NoRoom {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}
