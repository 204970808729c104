//! REST under `/api/chat`: extract, call the use case, reply (contract §REST).

mod actions;
mod auth;
mod blocks;
mod body;
mod conversations;
mod errors;
mod extract;
mod files;
mod form;
mod info;
mod messages;
mod people;
mod status;
mod sync;

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    http::header,
    response::{IntoResponse as _, Response},
    routing::{delete, get, post, put},
};
use serde::Serialize;

use self::errors::RestError;
pub use self::{
    body::Refused as BodyRefused,
    errors::{json_errors, refusal},
};
use crate::{
    auth::Tokens,
    chat::Chat,
    error::Error,
    protocol::{Ack, AckPage, json},
};

/// What most pages of 50 fit in.
const PAGE_BYTES: usize = 48 << 10;

/// What the handlers work with.
#[derive(Clone)]
pub struct RestState {
    /// The use cases.
    pub chat: Arc<Chat>,
    /// Checks `Authorization`.
    pub tokens: Arc<Tokens>,
    /// When the process started.
    pub started: Instant,
    /// `NODE_ENV`.
    pub environment: Arc<str>,
    /// `PUBLIC_URL`.
    pub public_url: Option<Arc<str>>,
    /// `MAX_BODY_BYTES`.
    pub max_body: usize,
}

/// The routes whose bodies are large and may take their time.
pub fn files_router(state: RestState) -> Router {
    Router::new()
        .route("/api/chat/upload", post(files::upload))
        .route("/api/chat/files/{*path}", get(files::serve))
        .with_state(state)
}

/// Every other route.
pub fn router(state: RestState) -> Router {
    let chat = Router::new()
        .route("/conversations", get(conversations::list).post(conversations::open))
        .route("/conversations/{id}/messages", get(messages::list).post(messages::send))
        .route("/conversations/{id}/messages/reply", post(actions::reply))
        .route("/messages/{id}", put(actions::edit).delete(actions::delete))
        .route("/messages/{id}/reactions", get(actions::reactions).post(actions::add_reaction))
        .route("/messages/{id}/reactions/{reaction}", delete(actions::remove_reaction))
        .route("/messages/{id}/history", get(actions::history))
        .route("/messages/{id}/details", get(actions::details))
        .route("/users/search", get(people::search))
        .route("/users/available", get(people::available))
        .route("/support-user", get(people::support))
        .route("/conversations/{id}/read", post(messages::mark_read))
        .route("/sync", get(sync::sync))
        .route("/unread-count", get(messages::unread_count))
        .route("/users/blocked", get(blocks::list))
        .route("/users/{id}/block", post(blocks::block).delete(blocks::unblock))
        .route("/users/{id}/status", get(status::status))
        .route("/test", get(info::test));
    Router::new()
        .nest("/api/chat", chat)
        .route("/", get(info::index))
        .route("/api/v1/health", get(info::health))
        .fallback(errors::unknown_route)
        .method_not_allowed_fallback(errors::method_not_allowed)
        .with_state(state)
}

/// `{ success: true, data }` of a page, in one buffer that need not grow while it is written.
fn page(data: impl Serialize) -> Result<Response, RestError> {
    let body = json::to_vec(&Ack::new(data), PAGE_BYTES).map_err(|_| Error::Internal)?;
    Ok(json_body(body))
}

/// `{ success: true, data, next }`, as [`page`].
fn page_with_next(data: impl Serialize, next: Option<&str>) -> Result<Response, RestError> {
    let body = json::to_vec(&AckPage::new(data, next), PAGE_BYTES).map_err(|_| Error::Internal)?;
    Ok(json_body(body))
}

/// A body that is JSON already.
fn json_body(body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}
