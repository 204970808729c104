//! Finding users (contract §REST).

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{auth::Caller, errors::RestError, extract::QueryPayload, state::RestState};
use crate::{
    domain::{Person, Role},
    protocol::{PersonView, SearchUsers},
};

type Answer = Result<Json<Value>, RestError>;

/// `GET /users/search`.
pub async fn search(State(s): State<RestState>, Caller(user): Caller, QueryPayload(query): QueryPayload) -> Answer {
    let found = s.chat.users.search(&user, &SearchUsers::from(&query)).await?;
    let data: Vec<PersonView> = found.users.iter().map(PersonView::from).collect();
    Ok(Json(json!({ "success": true, "data": data, "count": data.len(), "complete": found.is_complete })))
}

/// `GET /users/available`.
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

/// `GET /support-user`.
pub async fn support(State(s): State<RestState>, Caller(user): Caller) -> Answer {
    let p = s.chat.users.support(&user).await?;
    let data = json!({ "supportUserId": p.id, "supportUserName": p.name, "supportUserRole": p.role });
    Ok(Json(json!({ "success": true, "data": data })))
}
