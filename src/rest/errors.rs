//! Errors as JSON, whoever raised them (contract §Errors).

use axum::{
    Json,
    body::Body,
    http::{Response, StatusCode, header},
    response::{IntoResponse, Response as AxumResponse},
};

use crate::{error::Error, protocol::Failure};

/// A use case's error on its way out, with the text that this route gives it.
pub struct RestError {
    status: StatusCode,
    failure: Failure,
}

impl RestError {
    pub fn with_message(error: &Error, message: &str) -> Self {
        Self { status: status_of(error), failure: Failure::worded(error, message) }
    }

    /// Too many bad tokens came from where this one came from.
    pub fn too_many_attempts(error: &Error) -> Self {
        let failure = Failure::with_message("Too many failed attempts", "too_many_attempts");
        Self { status: StatusCode::TOO_MANY_REQUESTS, failure: failure.retry_after(error.retry_after_ms()) }
    }

    /// Puts `message` where the contract gives this route its own words for `error`.
    pub fn worded(error: Error, words: &[(Error, &str)]) -> Self {
        match words.iter().find(|(e, _)| *e == error) {
            Some((_, message)) => Self::with_message(&error, message),
            None => error.into(),
        }
    }
}

fn status_of(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl From<Error> for RestError {
    fn from(error: Error) -> Self {
        Self { status: status_of(&error), failure: Failure::new(&error, "Internal server error") }
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> AxumResponse {
        let retry_after_ms = self.failure.retry_after_ms();
        let mut response = (self.status, Json(self.failure)).into_response();
        if let Some(ms) = retry_after_ms {
            // Whole seconds, and not too early (RFC 9110 §10.2.3).
            response.headers_mut().insert(header::RETRY_AFTER, ms.div_ceil(1000).max(1).into());
        }
        response
    }
}

pub fn refusal(error: Error) -> AxumResponse {
    RestError::from(error).into_response()
}

/// Gives a body in our envelope to errors that middleware raised without one.
pub fn json_errors(response: Response<Body>) -> AxumResponse {
    let status = response.status();
    let is_json =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"application/json"));
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    plain(status)
}

/// An error that has no more to say than its status.
pub fn plain(status: StatusCode) -> AxumResponse {
    let (message, code) = match status {
        StatusCode::NOT_FOUND => ("Route not found", "not_found"),
        StatusCode::METHOD_NOT_ALLOWED => ("Method not allowed", "method_not_allowed"),
        StatusCode::PAYLOAD_TOO_LARGE => ("Request body is too large", "payload_too_large"),
        StatusCode::REQUEST_TIMEOUT => ("Request took too long", "request_timeout"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("Content-Type is not supported", "unsupported_media_type"),
        s if s.is_client_error() => ("Bad request", "bad_request"),
        _ => ("Internal server error", "internal"),
    };
    let mut response = (status, Json(Failure::with_message(message, code))).into_response();
    if status == StatusCode::REQUEST_TIMEOUT {
        // The next request comes on another connection (RFC 9110 §15.5.9).
        response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    }
    response
}

/// 415 for a body that is packed in a way that is not known.
pub fn unknown_encoding() -> AxumResponse {
    let failure = Failure::with_message("Content-Encoding is not supported", "unsupported_media_type");
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, Json(failure)).into_response()
}

pub fn invalid_json() -> AxumResponse {
    (StatusCode::BAD_REQUEST, Json(Failure::with_message("Request body is not valid JSON", "invalid_json")))
        .into_response()
}
