//! `GET` and `POST /conversations`.

use axum::{Json, extract::State, response::IntoResponse};

use super::{
    answer::page_with_next,
    auth::Caller,
    errors::RestError,
    extract::{JsonBody, QueryPayload},
    state::RestState,
};
use crate::{
    error::Error,
    protocol::{Ack, CreateConversation, ListConversations},
};

type Answer = Result<axum::response::Response, RestError>;

/// Opens a conversation, or finds the one there is.
pub async fn open(State(state): State<RestState>, Caller(user): Caller, JsonBody(body): JsonBody) -> Answer {
    let asked = CreateConversation::try_from(&body)?;
    let open = state.chat.conversations.open(&user, asked).await?;
    let view = open.view().ok_or(Error::Internal)?;
    Ok(Json(Ack::new(view)).into_response())
}

/// Lists the caller's conversations.
pub async fn list(State(state): State<RestState>, Caller(user): Caller, QueryPayload(query): QueryPayload) -> Answer {
    let list = ListConversations::try_from(&query)?;
    let listed = state.chat.conversations.list(&user, list).await?;
    page_with_next(listed.view(), listed.next.as_deref())
}
