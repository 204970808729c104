//! `GET /users/:userId/status`.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{auth::Caller, errors::RestError, state::RestState};
use crate::{
    domain::UserId,
    protocol::{Ack, rfc3339},
};

/// Returns the presence of a user: online, or the time at which they were last seen.
pub async fn status(
    State(state): State<RestState>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<Ack<Value>>, RestError> {
    let known = match UserId::parse(&id) {
        Some(user) => state.chat.presence.status(caller.id, user).await?.map(|s| (user, s)),
        None => None,
    };
    Ok(Json(Ack::new(match known {
        None => json!({ "is_online": false }),
        Some((user, s)) => json!({
            "user_id": user,
            "is_online": s.is_online,
            "last_seen_at": s.last_seen_at.as_ref().map(rfc3339),
            "socket_id": s.socket_id,
            "updated_at": s.updated_at.as_ref().map(rfc3339),
        }),
    })))
}
