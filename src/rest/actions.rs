//! The routes of one message: reply, edit, delete, react, details (contract §REST).

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    auth::Caller,
    errors::RestError,
    extract::{ConversationPath, JsonBody, MessagePath, QueryPayload},
    messages,
    state::RestState,
};
use crate::{
    domain::Emoji,
    error::Error,
    protocol::{Ack, EditView, ListEdits, MessageView, NewText, SendMessage, deletes_for_everyone, reaction},
};

type Answer = Result<Response, RestError>;

const WORDS: &[(Error, &str)] = &[
    (Error::NotAuthorized, "Not authorized to access this conversation"),
    (Error::NotYoursToEdit, "You can only edit your own messages"),
    (Error::NotYoursToDelete, "You can only delete for everyone your own messages"),
    (Error::MessageRequired, "Message text is required"),
];

fn worded(e: Error) -> RestError {
    RestError::worded(e, WORDS)
}

fn data<T: serde::Serialize>(data: T) -> Response {
    Json(Ack::new(data)).into_response()
}

/// `POST /conversations/:id/messages/reply`.
pub async fn reply(state: State<RestState>, caller: Caller, id: ConversationPath, JsonBody(body): JsonBody) -> Answer {
    messages::send_draft(state, caller, id, SendMessage::reply(&body)).await
}

/// `PUT /messages/:id`.
pub async fn edit(
    State(s): State<RestState>,
    Caller(user): Caller,
    id: MessagePath,
    JsonBody(body): JsonBody,
) -> Answer {
    let text = NewText::from_field(&body, "message").0;
    let message = s.chat.messages.edit(&user, id.required()?, text).await.map_err(worded)?;
    Ok(data(MessageView::from(&message)))
}

/// `DELETE /messages/:id`, with `deletionType` in the body or the query.
pub async fn delete(
    State(s): State<RestState>,
    Caller(user): Caller,
    id: MessagePath,
    QueryPayload(query): QueryPayload,
    JsonBody(body): JsonBody,
) -> Answer {
    let for_everyone = deletes_for_everyone(&body)? || deletes_for_everyone(&query)?;
    let deleted = s.chat.messages.delete(&user, id.required()?, for_everyone).await.map_err(worded)?;
    let deletion_type = deleted.deletion_type;
    Ok(Json(json!({ "success": true, "deletionType": deletion_type, "data": { "deletionType": deletion_type } }))
        .into_response())
}

/// `POST /messages/:id/reactions`.
pub async fn add_reaction(
    State(s): State<RestState>,
    Caller(user): Caller,
    id: MessagePath,
    JsonBody(body): JsonBody,
) -> Answer {
    let emoji = reaction(&body, true)?;
    Ok(data(s.chat.messages.react(&user, id.required()?, &emoji, true).await.map_err(worded)?.reactions))
}

/// `DELETE /messages/:id/reactions/:reaction`.
pub async fn remove_reaction(
    State(s): State<RestState>,
    Caller(user): Caller,
    Path((id, emoji)): Path<(String, String)>,
) -> Answer {
    let emoji = Emoji::stored(&emoji).ok_or(Error::InvalidReaction)?;
    Ok(data(
        s.chat.messages.react(&user, MessagePath::from(id).required()?, &emoji, false).await.map_err(worded)?.reactions,
    ))
}

/// `GET /messages/:id/reactions`.
pub async fn reactions(State(s): State<RestState>, Caller(user): Caller, id: MessagePath) -> Answer {
    Ok(data(s.chat.messages.reactions(&user, id.required()?).await.map_err(worded)?))
}

/// `GET /messages/:id/history?limit&before`: a page, how many there are in all, and where the next page begins.
pub async fn history(
    State(s): State<RestState>,
    Caller(user): Caller,
    id: MessagePath,
    QueryPayload(query): QueryPayload,
) -> Answer {
    let list = ListEdits::try_from(&query)?;
    let (history, _turn) = s.chat.messages.history(&user, id.required()?, list).await.map_err(worded)?;
    let edits: Vec<_> = history.edits.iter().map(EditView::from).collect();
    let next = history.edits.last().filter(|_| history.has_more).map(|e| e.id);
    Ok(Json(json!({ "success": true, "data": edits, "count": history.count, "next": next })).into_response())
}

/// `GET /messages/:id/details`.
pub async fn details(State(s): State<RestState>, Caller(user): Caller, id: MessagePath) -> Answer {
    let (details, _turn) = s.chat.messages.details(&user, id.required()?).await.map_err(worded)?;
    Ok(data(MessageView::from(&details)))
}
