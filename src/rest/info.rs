//! What the server says of itself, without a token.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::RestState;
use crate::protocol::rfc3339;

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

/// `GET /api/v1/health`.
pub async fn health(State(state): State<RestState>) -> Json<Value> {
    Json(json!({
        "success": true,
        "status": "healthy",
        "timestamp": rfc3339(&chrono::Utc::now()),
        "uptime": state.started.elapsed().as_secs_f64(),
        "environment": &*state.environment,
    }))
}

/// `GET /api/chat/test`.
pub async fn test() -> Json<Value> {
    Json(json!({
        "success": true,
        "message": "Chat routes are working",
        "timestamp": rfc3339(&chrono::Utc::now()),
    }))
}
