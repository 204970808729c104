//! `GET` and `POST /conversations`, and what the caller missed in them: `GET /sync`.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};

use super::{
    answer::{page, page_with_next},
    auth::Caller,
    errors::RestError,
    extract::{JsonBody, QueryPayload},
    state::RestState,
};
use crate::{
    error::Error,
    protocol::{Ack, CreateConversation, ListConversations, SyncRequest},
};

type Answer = Result<Response, RestError>;

pub async fn open(State(state): State<RestState>, Caller(user): Caller, JsonBody(body): JsonBody) -> Answer {
    let asked = CreateConversation::try_from(&body)?;
    let open = state.chat.conversations.open(&user, asked).await?;
    let view = open.view().pop().ok_or(Error::Internal)?;
    Ok(Json(Ack::new(view)).into_response())
}

pub async fn list(State(state): State<RestState>, Caller(user): Caller, QueryPayload(query): QueryPayload) -> Answer {
    let list = ListConversations::try_from(&query)?;
    let listed = state.chat.conversations.list(&user, list).await?;
    page_with_next(listed.view(), listed.next.as_deref())
}

/// As `chat:sync`, by `?conversations=id:lastSeq,…` or `?since=`.
pub async fn sync(State(state): State<RestState>, Caller(user): Caller, QueryPayload(query): QueryPayload) -> Answer {
    page(state.chat.sync.catch_up(&user, SyncRequest::try_from(&query)?).await?.view())
}
