//! Finding users, blocking them, and their presence (contract §REST).

use axum::{
    Json,
    extract::{Path, State},
    http::Method,
};
use serde_json::{Value, json};

use super::{auth::Caller, errors::RestError, extract::QueryPayload, state::RestState};
use crate::{
    domain::{Person, Role, UserId},
    error::Error,
    protocol::{Ack, PersonView, SearchUsers, rfc3339},
};

type Answer = Result<Json<Value>, RestError>;

pub async fn search(State(s): State<RestState>, Caller(user): Caller, QueryPayload(query): QueryPayload) -> Answer {
    let found = s.chat.users.search(&user, &SearchUsers::from(&query)).await?;
    let data: Vec<PersonView> = found.users.iter().map(PersonView::from).collect();
    Ok(Json(json!({ "success": true, "data": data, "count": data.len(), "complete": found.is_complete })))
}

pub async fn available(State(s): State<RestState>, Caller(user): Caller) -> Answer {
    let found = s.chat.users.available(&user).await?;
    let of = |role: Role| -> Vec<PersonView> {
        found.iter().filter(|p: &&Person| p.role == role).map(PersonView::from).collect()
    };
    let data = json!({
        "customers": of(Role::Customer),
        "sellers": of(Role::Seller),
        "admins": of(Role::Admin),
        "managers": of(Role::Manager),
    });
    Ok(Json(json!({ "success": true, "data": data, "totalCount": found.len() })))
}

pub async fn support(State(s): State<RestState>, Caller(user): Caller) -> Answer {
    let p = s.chat.users.support(&user).await?;
    let data = json!({ "supportUserId": p.id, "supportUserName": p.name, "supportUserRole": p.role });
    Ok(Json(json!({ "success": true, "data": data })))
}

/// `POST` and `DELETE /users/:id/block`.
pub async fn block(
    State(s): State<RestState>,
    Caller(user): Caller,
    Path(id): Path<String>,
    method: Method,
) -> Result<Json<Ack<Value>>, RestError> {
    let other = UserId::parse(&id).ok_or(Error::UserNotFound)?;
    let blocked = method == Method::POST;
    s.chat.blocks.set(&user, other, blocked).await?;
    Ok(Json(Ack::new(json!({ "user_id": other, "blocked": blocked }))))
}

pub async fn blocked(State(s): State<RestState>, Caller(user): Caller) -> Answer {
    let found = s.chat.blocks.list(&user).await?;
    let data: Vec<PersonView> = found.iter().map(PersonView::from).collect();
    Ok(Json(json!({ "success": true, "data": data, "count": data.len() })))
}

/// Returns the presence of a user: online, or the time at which they were last seen.
pub async fn status(
    State(s): State<RestState>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<Ack<Value>>, RestError> {
    let known = match UserId::parse(&id) {
        Some(user) => s.chat.presence.status(caller.id, user).await?.map(|status| (user, status)),
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
