//! The payloads that act on a stored message: edit, delete, react, reply.

use serde_json::Value;
use uuid::Uuid;

use super::{Payload, inbound::whole, lists::page_limit};
use crate::{
    domain::{Emoji, MessageId},
    error::{Error, Result},
};

/// `{ messageId, … }`: an id that is none is no message.
#[derive(Clone, Copy, Debug)]
pub struct MessageRef(pub Option<MessageId>);

impl From<&Payload> for MessageRef {
    fn from(p: &Payload) -> Self {
        Self(p.text("messageId").and_then(MessageId::parse))
    }
}

/// The `messageId` as the client sent it, to be given back in a failure; `None` for what is too long to be one.
pub fn named_message(p: &Payload) -> Option<&str> {
    p.text("messageId").filter(|id| id.len() <= 64)
}

impl MessageRef {
    /// The id, or the answer for a message that does not exist.
    /// Fails with [`Error::MessageNotFound`].
    pub fn required(self) -> Result<MessageId> {
        self.0.ok_or(Error::MessageNotFound)
    }
}

/// The new text of an edit: `newText` on sockets, `message` in REST.
#[derive(Clone, Debug)]
pub struct NewText(pub String);

impl NewText {
    /// Reads it from a field; of the wrong type it is as good as none.
    pub fn from_field(p: &Payload, field: &str) -> Self {
        Self(p.text(field).unwrap_or_default().to_owned())
    }
}

/// `GET /messages/:id/history?limit&before`.
#[derive(Clone, Copy, Debug)]
pub struct ListEdits {
    pub limit: i64,
    /// The last entry that the caller has seen.
    pub before: Option<Uuid>,
}

impl TryFrom<&Payload> for ListEdits {
    type Error = Error;
    fn try_from(p: &Payload) -> Result<Self> {
        let before = match p.text("before") {
            None => None,
            Some(id) => Some(Uuid::parse_str(id).map_err(|_| not_an_entry())?),
        };
        Ok(Self { limit: page_limit(whole(p.0.get("limit"))), before })
    }
}

/// For a `before` that is no entry of the message's history.
pub fn not_an_entry() -> Error {
    Error::InvalidPayload("before must be the id of an entry of this history".into())
}

/// Reads `deletionType`; true for everyone, false (the default) for the caller alone.
/// Fails with [`Error::InvalidPayload`] for another word.
pub fn deletes_for_everyone(p: &Payload) -> Result<bool> {
    match p.0.get("deletionType") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::String(s)) if s == "for_me" => Ok(false),
        Some(Value::String(s)) if s == "for_everyone" => Ok(true),
        Some(_) => Err(Error::InvalidPayload("Invalid deletion type".into())),
    }
}

/// Reads `reaction`, to be added or to be taken away.
/// Fails with [`Error::ReactionRequired`] where there is none, [`Error::InvalidReaction`] for what is no emoji.
pub fn reaction(p: &Payload, add: bool) -> Result<Emoji> {
    let read = if add { Emoji::parse } else { Emoji::stored };
    match p.0.get("reaction") {
        None | Some(Value::Null) => Err(Error::ReactionRequired),
        Some(Value::String(s)) if s.is_empty() => Err(Error::ReactionRequired),
        Some(Value::String(s)) => read(s).ok_or(Error::InvalidReaction),
        Some(_) => Err(Error::InvalidReaction),
    }
}

/// `replyToMessageId` of a reply.
/// Fails with [`Error::ReplyIdRequired`] where there is none, [`Error::ReplyNotFound`] for an id that is none.
pub fn reply_to(p: &Payload) -> Result<MessageId> {
    match p.0.get("replyToMessageId") {
        None | Some(Value::Null) => Err(Error::ReplyIdRequired),
        Some(Value::String(s)) if s.is_empty() => Err(Error::ReplyIdRequired),
        Some(Value::String(s)) => MessageId::parse(s).ok_or(Error::ReplyNotFound),
        Some(_) => Err(Error::ReplyNotFound),
    }
}
