//! `POST` and `DELETE /users/:id/block`, `GET /users/blocked`.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{auth::Caller, errors::RestError, state::RestState};
use crate::{
    domain::UserId,
    error::Error,
    protocol::{Ack, PersonView},
};

type Answer = Result<Json<Ack<Value>>, RestError>;

/// Blocks a user.
pub async fn block(state: State<RestState>, caller: Caller, id: Path<String>) -> Answer {
    set(state, caller, id, true).await
}

/// Unblocks a user.
pub async fn unblock(state: State<RestState>, caller: Caller, id: Path<String>) -> Answer {
    set(state, caller, id, false).await
}

async fn set(State(s): State<RestState>, Caller(user): Caller, Path(id): Path<String>, blocked: bool) -> Answer {
    let other = UserId::parse(&id).ok_or(Error::UserNotFound)?;
    s.chat.blocks.set(&user, other, blocked).await?;
    Ok(Json(Ack::new(json!({ "user_id": other, "blocked": blocked }))))
}

/// Lists the users whom the caller blocked.
pub async fn list(State(s): State<RestState>, Caller(user): Caller) -> Result<Json<Value>, RestError> {
    let found = s.chat.blocks.list(&user).await?;
    let data: Vec<PersonView> = found.iter().map(PersonView::from).collect();
    Ok(Json(json!({ "success": true, "data": data, "count": data.len() })))
}
