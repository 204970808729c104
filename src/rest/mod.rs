//! REST under `/api/chat` (contract §REST). Each handler reads what its request says, calls one use case, and answers. The
//! table of routes is here: which path and method has which limit and which handler.

mod actions;
mod answer;
mod auth;
mod body;
mod conversations;
mod errors;
mod extract;
mod files;
mod form;
mod info;
mod messages;
mod people;
mod state;

use axum::{
    Extension, Router,
    http::StatusCode,
    routing::{MethodRouter, delete, get, post, put},
};

pub use self::{
    body::Refused as BodyRefused,
    errors::{json_errors, refusal},
    state::RestState,
};
use crate::limits::Kind::{self, Action, Message, Read, Search, Upload};

/// Routes that count against this limit of their caller.
fn limited(kind: Kind, methods: MethodRouter<RestState>) -> MethodRouter<RestState> {
    methods.layer(Extension(kind))
}

/// The routes whose bodies are large and may take their time.
pub fn files_router(state: RestState) -> Router {
    Router::new()
        .route("/api/chat/upload", limited(Upload, post(files::upload)))
        .route("/api/chat/files/{*path}", get(files::serve))
        .with_state(state)
}

/// Every other route. Those without a limit have no caller.
pub fn router(state: RestState) -> Router {
    let chat = Router::new()
        .route("/conversations", limited(Read, get(conversations::list)))
        .route("/conversations", limited(Action, post(conversations::open)))
        .route("/conversations/{id}/messages", limited(Read, get(messages::list)))
        .route("/conversations/{id}/messages", limited(Message, post(messages::send)))
        .route("/conversations/{id}/messages/reply", limited(Message, post(messages::reply)))
        .route("/conversations/{id}/read", limited(Action, post(messages::mark_read)))
        .route("/messages/{id}", limited(Action, put(actions::edit).delete(actions::delete)))
        .route("/messages/{id}/reactions", limited(Read, get(actions::reactions)))
        .route("/messages/{id}/reactions", limited(Action, post(actions::add_reaction)))
        .route("/messages/{id}/reactions/{reaction}", limited(Action, delete(actions::remove_reaction)))
        .route("/messages/{id}/history", limited(Read, get(actions::history)))
        .route("/messages/{id}/details", limited(Read, get(actions::details)))
        .route("/users/search", limited(Search, get(people::search)))
        .route("/users/available", limited(Search, get(people::available)))
        .route("/support-user", limited(Search, get(people::support)))
        .route("/sync", limited(Read, get(conversations::sync)))
        .route("/unread-count", limited(Read, get(messages::unread_count)))
        .route("/users/blocked", limited(Read, get(people::blocked)))
        .route("/users/{id}/block", limited(Action, post(people::block).delete(people::block)))
        .route("/users/{id}/status", limited(Read, get(people::status)))
        .route("/test", get(info::test));
    Router::new()
        .nest("/api/chat", chat)
        .route("/", get(info::index))
        .route("/api/v1/health", get(info::health))
        .fallback(async || errors::plain(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || errors::plain(StatusCode::METHOD_NOT_ALLOWED))
        .with_state(state)
}
