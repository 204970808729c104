//! The Node server served the browser's client script under its Socket.IO path. Souk does not: it answers with the place where to
//! get the script, instead of the engine's "Transport unknown".

use axum::{
    Json,
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::protocol::Failure;

const MESSAGE: &str = "This server does not serve the client script: install socket.io-client 4 from npm, \
                       or load it from https://cdn.socket.io/4.8.1/socket.io.min.js";

/// Answers requests for the client script with 404.
pub async fn refuse_client_script(request: Request, next: Next) -> Response {
    if is_client_script(request.uri().path()) {
        return (StatusCode::NOT_FOUND, Json(Failure::with_message(MESSAGE, "no_client_script"))).into_response();
    }
    next.run(request).await
}

/// Matches what the Node server serves: `socket.io.js`, with `.msgpack` or `.esm` and `.min` in it, and their `.map`.
fn is_client_script(path: &str) -> bool {
    let Some(file) = path.strip_prefix("/socket.io/socket.io").filter(|rest| rest.starts_with('.')) else {
        return false;
    };
    let script = file.strip_suffix(".map").unwrap_or(file);
    script.strip_suffix(".js").is_some_and(|form| !form.contains('/'))
}
