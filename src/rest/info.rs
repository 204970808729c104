//! What the server says of itself, without a token.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::RestState;
use crate::{chat::DatabaseHealth, protocol::rfc3339};

/// `GET /`.
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

/// `GET /api/v1/health`: 503 where the database does not do its work.
pub async fn health(State(state): State<RestState>) -> Response {
    let failure = match state.chat.database_health().await {
        DatabaseHealth::Healthy => None,
        DatabaseHealth::NotWritable => Some(("database_not_writable", "The database takes no writes")),
        DatabaseHealth::Unavailable => Some(("database_unavailable", "The database does not answer")),
    };
    let mut body = json!({
        "success": failure.is_none(),
        "status": if failure.is_none() { "healthy" } else { "degraded" },
        "timestamp": rfc3339(&chrono::Utc::now()),
        "uptime": state.started.elapsed().as_secs_f64(),
        "environment": &*state.environment,
    });
    let Some((code, message)) = failure else { return Json(body).into_response() };
    body["code"] = code.into();
    body["message"] = message.into();
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], Json(body)).into_response()
}

/// `GET /api/chat/test`.
pub async fn test() -> Json<Value> {
    Json(json!({
        "success": true,
        "message": "Chat routes are working",
        "timestamp": rfc3339(&chrono::Utc::now()),
    }))
}
