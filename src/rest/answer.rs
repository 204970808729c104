//! Answers that are serialised by us, in one buffer.

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;

use super::errors::RestError;
use crate::{
    error::Error,
    protocol::{Ack, AckPage, json},
};

/// First size of the buffer for a page; most pages of 50 messages fit.
const PAGE_BYTES: usize = 48 << 10;

/// `{ success: true, data }` of a page, in one buffer that need not grow while it is written.
pub fn page(data: impl Serialize) -> Result<Response, RestError> {
    let body = json::to_vec(&Ack::new(data), PAGE_BYTES).map_err(|_| Error::Internal)?;
    Ok(json_body(body))
}

/// `{ success: true, data, next }`, as [`page`].
pub fn page_with_next(data: impl Serialize, next: Option<&str>) -> Result<Response, RestError> {
    let body = json::to_vec(&AckPage::new(data, next), PAGE_BYTES).map_err(|_| Error::Internal)?;
    Ok(json_body(body))
}

pub fn json_body(body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}
