//! `GET /sync`: what the caller missed.

use axum::{extract::State, response::Response};

use super::{answer::page, auth::Caller, errors::RestError, extract::QueryPayload, state::RestState};
use crate::protocol::SyncRequest;

/// As `chat:sync`, by `?conversations=id:lastSeq,…` or `?since=`.
pub async fn sync(
    State(state): State<RestState>,
    Caller(user): Caller,
    QueryPayload(query): QueryPayload,
) -> Result<Response, RestError> {
    let synced = state.chat.sync.catch_up(&user, SyncRequest::try_from(&query)?).await?;
    page(synced.view())
}
