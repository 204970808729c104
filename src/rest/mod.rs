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
    routing::{MethodRouter, delete, get, post, put},
};

pub use self::{
    body::Refused as BodyRefused,
    errors::{json_errors, refusal},
    state::RestState,
};
use crate::limits::Kind;

fn read(methods: MethodRouter<RestState>) -> MethodRouter<RestState> {
    methods.layer(Extension(Kind::Read))
}

fn action(methods: MethodRouter<RestState>) -> MethodRouter<RestState> {
    methods.layer(Extension(Kind::Action))
}

fn message(methods: MethodRouter<RestState>) -> MethodRouter<RestState> {
    methods.layer(Extension(Kind::Message))
}

fn search(methods: MethodRouter<RestState>) -> MethodRouter<RestState> {
    methods.layer(Extension(Kind::Search))
}

/// The routes whose bodies are large and may take their time.
pub fn files_router(state: RestState) -> Router {
    Router::new()
        .route("/api/chat/upload", post(files::upload).layer(Extension(Kind::Upload)))
        .route("/api/chat/files/{*path}", get(files::serve))
        .with_state(state)
}

/// Every other route. Those without a limit have no caller.
pub fn router(state: RestState) -> Router {
    let chat = Router::new()
        .route("/conversations", read(get(conversations::list)))
        .route("/conversations", action(post(conversations::open)))
        .route("/conversations/{id}/messages", read(get(messages::list)))
        .route("/conversations/{id}/messages", message(post(messages::send)))
        .route("/conversations/{id}/messages/reply", message(post(messages::reply)))
        .route("/conversations/{id}/read", action(post(messages::mark_read)))
        .route("/messages/{id}", action(put(actions::edit).delete(actions::delete)))
        .route("/messages/{id}/reactions", read(get(actions::reactions)))
        .route("/messages/{id}/reactions", action(post(actions::add_reaction)))
        .route("/messages/{id}/reactions/{reaction}", action(delete(actions::remove_reaction)))
        .route("/messages/{id}/history", read(get(actions::history)))
        .route("/messages/{id}/details", read(get(actions::details)))
        .route("/users/search", search(get(people::search)))
        .route("/users/available", search(get(people::available)))
        .route("/support-user", search(get(people::support)))
        .route("/sync", read(get(conversations::sync)))
        .route("/unread-count", read(get(messages::unread_count)))
        .route("/users/blocked", read(get(people::blocked)))
        .route("/users/{id}/block", action(post(people::block).delete(people::block)))
        .route("/users/{id}/status", read(get(people::status)))
        .route("/test", get(info::test));
    Router::new()
        .nest("/api/chat", chat)
        .route("/", get(info::index))
        .route("/api/v1/health", get(info::health))
        .fallback(errors::unknown_route)
        .method_not_allowed_fallback(errors::method_not_allowed)
        .with_state(state)
}
