//! The routes of one message: edit, delete, react, details (contract §REST).

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    auth::Caller,
    errors::RestError,
    extract::{IdPath, JsonBody, QueryPayload},
    state::RestState,
};
use crate::{
    domain::{Emoji, MessageId},
    error::Error,
    protocol::{Ack, EditView, ListEdits, MessageView, NewText, deletes_for_everyone, reaction},
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

pub async fn edit(State(s): State<RestState>, Caller(user): Caller, id: IdPath, JsonBody(body): JsonBody) -> Answer {
    let text = NewText::from_field(&body, "message").0;
    let message = s.chat.messages.edit(&user, id.message()?, text).await.map_err(worded)?;
    Ok(data(MessageView::from(&message)))
}

/// `DELETE /messages/:id`, with `deletionType` in the body or the query.
pub async fn delete(
    State(s): State<RestState>,
    Caller(user): Caller,
    id: IdPath,
    QueryPayload(query): QueryPayload,
    JsonBody(body): JsonBody,
) -> Answer {
    let for_everyone = deletes_for_everyone(&body)? || deletes_for_everyone(&query)?;
    let deleted = s.chat.messages.delete(&user, id.message()?, for_everyone).await.map_err(worded)?;
    let deletion_type = deleted.deletion_type;
    Ok(Json(json!({ "success": true, "deletionType": deletion_type, "data": { "deletionType": deletion_type } }))
        .into_response())
}

pub async fn add_reaction(
    State(s): State<RestState>,
    Caller(user): Caller,
    id: IdPath,
    JsonBody(body): JsonBody,
) -> Answer {
    let emoji = reaction(&body, true)?;
    Ok(data(s.chat.messages.react(&user, id.message()?, &emoji, true).await.map_err(worded)?.reactions))
}

pub async fn remove_reaction(
    State(s): State<RestState>,
    Caller(user): Caller,
    Path((id, emoji)): Path<(String, String)>,
) -> Answer {
    let emoji = Emoji::stored(&emoji).ok_or(Error::InvalidReaction)?;
    Ok(data(
        s.chat
            .messages
            .react(&user, MessageId::parse(&id).ok_or(Error::MessageNotFound)?, &emoji, false)
            .await
            .map_err(worded)?
            .reactions,
    ))
}

pub async fn reactions(State(s): State<RestState>, Caller(user): Caller, id: IdPath) -> Answer {
    Ok(data(s.chat.messages.get(&user, id.message()?).await.map_err(worded)?.reactions))
}

/// `GET /messages/:id/history?limit&before`: a page, how many there are in all, and where the next page begins.
pub async fn history(
    State(s): State<RestState>,
    Caller(user): Caller,
    id: IdPath,
    QueryPayload(query): QueryPayload,
) -> Answer {
    let list = ListEdits::try_from(&query)?;
    let (history, _turn) = s.chat.messages.history(&user, id.message()?, list).await.map_err(worded)?;
    let edits: Vec<_> = history.edits.iter().map(EditView::from).collect();
    let next = history.edits.last().filter(|_| history.has_more).map(|e| e.id);
    Ok(Json(json!({ "success": true, "data": edits, "count": history.count, "next": next })).into_response())
}

pub async fn details(State(s): State<RestState>, Caller(user): Caller, id: IdPath) -> Answer {
    let (details, _turn) = s.chat.messages.details(&user, id.message()?).await.map_err(worded)?;
    Ok(data(MessageView::from(&details)))
}
