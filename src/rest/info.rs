//! The routes that need no token: the server's name, and its health.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::state::RestState;
use crate::{chat::DatabaseHealth, protocol::rfc3339};

pub async fn index() -> Json<Value> {
    Json(json!({
        "success": true,
        "name": "Souk",
        "version": env!("CARGO_PKG_VERSION"),
        "endpoints": {
            "socket": "/socket.io/",
            "chat": "/api/chat",
            "health": "/api/v1/health",
        },
    }))
}

/// `GET /api/v1/health`: 503 where the database does not do its work. A server that has much to do is degraded, but
/// answers 200: to take it out or start it anew would make it worse for the others.
pub async fn health(State(state): State<RestState>) -> Response {
    let (status, trouble) = match state.chat.health.database().await {
        DatabaseHealth::Healthy => (StatusCode::OK, None),
        DatabaseHealth::Busy => (StatusCode::OK, Some(("database_busy", "Every connection to the database is in use"))),
        DatabaseHealth::NotWritable => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(("database_not_writable", "The database takes no writes")))
        }
        DatabaseHealth::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(("database_unavailable", "The database does not answer")))
        }
    };
    let mut body = json!({
        "success": status.is_success(),
        "status": if trouble.is_none() { "healthy" } else { "degraded" },
        "timestamp": rfc3339(&state.chat.core.clock.now()),
        "uptime": state.started.elapsed().as_secs_f64(),
        "environment": &*state.environment,
    });
    if let Some((code, message)) = trouble {
        body["code"] = code.into();
        body["message"] = message.into();
    }
    if status.is_success() {
        return Json(body).into_response();
    }
    (status, [(header::RETRY_AFTER, "1")], Json(body)).into_response()
}

pub async fn test(State(state): State<RestState>) -> Json<Value> {
    Json(json!({
        "success": true,
        "message": "Chat routes are working",
        "timestamp": rfc3339(&state.chat.core.clock.now()),
    }))
}
