//! Acknowledgements, REST answers and refusals: what they have in common.

use serde::Serialize;
use serde_json::Value;

use crate::error::Error;

/// An acknowledgement: `{ success: true, data }`.
#[derive(Serialize)]
pub struct Ack<T> {
    success: bool,
    data: T,
}

impl<T> Ack<T> {
    pub fn new(data: T) -> Self {
        Self { success: true, data }
    }
}

/// An acknowledgement of one page of a list: `{ success: true, data, next }`.
#[derive(Serialize)]
pub struct AckPage<'a, T> {
    success: bool,
    data: T,
    next: Option<&'a str>,
}

impl<'a, T> AckPage<'a, T> {
    /// Wraps the page; `next` is what to give as `before` for the one after it.
    pub fn new(data: T, next: Option<&'a str>) -> Self {
        Self { success: true, data, next }
    }
}

/// [`Ack`] around what is serialised already.
pub fn ack_around(data: &str) -> String {
    ["{\"success\":true,\"data\":", data, "}"].concat()
}

/// `{ success: false, message, code }`: a failed acknowledgement, a REST error, and `chat:error`. With `retry_after_ms`
/// where the same request may be sent again.
#[derive(Debug, Serialize)]
pub struct Failure {
    success: bool,
    message: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl Failure {
    /// Says `error` in the contract's words; `failed` is the event's own text for trouble on our side.
    pub fn new(error: &Error, failed: &str) -> Self {
        let message = if *error == Error::Internal { failed.to_owned() } else { error.to_string() };
        Self::worded(error, message)
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// In how many milliseconds to try again.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }

    pub fn with_message(message: impl Into<String>, code: &'static str) -> Self {
        Self { success: false, message: message.into(), code, retry_after_ms: None }
    }

    /// Says `error` in words of the caller's.
    pub fn worded(error: &Error, message: impl Into<String>) -> Self {
        Self::with_message(message, error.code()).retry_after(error.retry_after_ms())
    }

    /// With the milliseconds after which to try again.
    pub fn retry_after(self, retry_after_ms: Option<u64>) -> Self {
        Self { retry_after_ms, ..self }
    }
}

/// `chat:message_failed { tempId, conversationId, message, code }`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendFailure<'a> {
    /// As the client sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temp_id: Option<&'a Value>,
    /// As the client sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<&'a Value>,
    /// The contract's text.
    pub message: String,
    pub code: &'static str,
    /// When to try again, where that is all it takes.
    #[serde(rename = "retry_after_ms", skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}
