//! Messages of a conversation: page, send, reply, read; and the unread count.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    answer::{json_body, page},
    auth::Caller,
    errors::RestError,
    extract::{IdPath, JsonBody, QueryPayload},
    state::RestState,
};
use crate::{
    chat::sending::{ReplyTo, SendRequest},
    error::Error,
    protocol::{ListMessages, SendMessage, ack_around},
};

type Answer = Result<Response, RestError>;

const NO_ACCESS: &[(Error, &str)] = &[(Error::NotAuthorized, "Not authorized to access this conversation")];
const NO_SEND: &[(Error, &str)] = &[
    (Error::NotAuthorized, "Not authorized to send messages in this conversation"),
    (Error::MessageRequired, "Message text is required"),
];

pub async fn list(
    State(state): State<RestState>,
    Caller(user): Caller,
    id: IdPath,
    QueryPayload(query): QueryPayload,
) -> Answer {
    let worded = |e: Error| RestError::worded(e, NO_ACCESS);
    let id = id.conversation().map_err(worded)?;
    let messages = state.chat.messages.page(&user, id, &ListMessages::from(&query)).await.map_err(worded)?;
    page(messages.view())
}

/// Sends a message: everyone connected gets the same events as from a socket.
pub async fn send(state: State<RestState>, caller: Caller, id: IdPath, JsonBody(body): JsonBody) -> Answer {
    send_draft(state, caller, id, SendMessage::from(&body)).await
}

pub async fn reply(state: State<RestState>, caller: Caller, id: IdPath, JsonBody(body): JsonBody) -> Answer {
    send_draft(state, caller, id, SendMessage::reply(&body)).await
}

async fn send_draft(State(state): State<RestState>, Caller(user): Caller, id: IdPath, asked: SendMessage) -> Answer {
    let (reply, told) = ReplyTo::task();
    let destination = id.conversation().map(|id| state.chat.sending.destination(id));
    let (temp_id_again, permit) = (false, None);
    state.chat.sending.send(SendRequest {
        sender: user,
        destination,
        draft: asked.draft,
        temp_id_again,
        permit,
        reply,
    });
    let sent = told.await.unwrap_or(Err(Error::Internal)).map_err(|e| RestError::worded(e, NO_SEND))?;
    let answer = ack_around(&sent.json().with_temp_id(asked.temp_id.as_ref()));
    Ok((StatusCode::CREATED, json_body(answer)).into_response())
}

pub async fn mark_read(State(state): State<RestState>, Caller(user): Caller, id: IdPath) -> Answer {
    let worded = |e: Error| RestError::worded(e, NO_ACCESS);
    let id = id.conversation().map_err(worded)?;
    let count = state.chat.reading.mark_read(&user, id, None).await.map_err(worded)?;
    let data = json!({ "success": true, "count": count });
    Ok(Json(json!({ "success": true, "count": count, "data": data })).into_response())
}

pub async fn unread_count(State(state): State<RestState>, Caller(user): Caller) -> Answer {
    let count = state.chat.reading.unread_count(&user).await?;
    Ok(Json(json!({ "success": true, "count": count, "data": { "count": count } })).into_response())
}
