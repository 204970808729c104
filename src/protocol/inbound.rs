//! The payloads of clients' events and requests, read leniently: a field of the wrong type is a missing field, and each use
//! case says whether it needs it (contract §Client events).

use serde_json::{Map, Value};

use super::lenient;
use crate::{
    domain::{ConversationId, UserId},
    error::{Error, Result},
};

/// A payload's fields; empty when the client sent no object.
#[derive(Clone, Debug, Default)]
pub struct Payload(pub(super) Map<String, Value>);

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(fields) => Self(fields),
            _ => Self::default(),
        }
    }
}

/// The query of a signed link to a file, `GET /files/…`.
#[derive(Clone, Debug)]
pub struct FileLink {
    pub name: String,
    /// Time at which it expires: seconds since 1970.
    pub expires: i64,
    /// The signature of path, name and expiry, in hexadecimal.
    pub signature: String,
}

impl Payload {
    /// Reads an event's payload. One field that cannot be read does not hide the others; anything but an object is empty.
    pub fn of_event(text: &str) -> Self {
        match lenient::value(text) {
            Some(value) => value.into(),
            None => Self(lenient::readable_fields(text)),
        }
    }

    /// Reads a request's JSON body; `None` where it is none.
    pub fn of_body(body: &[u8]) -> Option<Self> {
        lenient::bytes(body).map(Self::from)
    }

    pub fn token(&self) -> Option<&str> {
        self.text("token")
    }

    pub fn link(&self) -> Option<FileLink> {
        let text = |field| self.text(field).map(ToOwned::to_owned);
        Some(FileLink { name: text("name")?, expires: whole(self.0.get("expires"))?, signature: text("signature")? })
    }

    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field).and_then(Value::as_str)
    }

    pub(super) fn conversation_id(&self) -> Option<ConversationId> {
        self.text("conversationId").and_then(ConversationId::parse)
    }

    pub(super) fn optional_text(&self, field: &str, max: usize) -> Result<Option<String>> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(s)) if s.chars().count() <= max && !s.contains('\0') => Ok(Some(s.clone())),
            Some(_) => Err(Error::InvalidPayload(format!("{field} must be a string of at most {max} characters"))),
        }
    }
}

/// `{ conversationId }`.
#[derive(Clone, Copy, Debug)]
pub struct ConversationRef(pub Option<ConversationId>);

impl From<&Payload> for ConversationRef {
    fn from(p: &Payload) -> Self {
        Self(p.conversation_id())
    }
}

impl ConversationRef {
    /// The id, or the answer for a conversation that does not exist.
    /// Fails with [`Error::ConversationNotFound`] for a missing or malformed id, as the contract wants it.
    pub fn required(self) -> Result<ConversationId> {
        self.0.ok_or(Error::ConversationNotFound)
    }
}

/// `{ conversationId, isTyping }`.
#[derive(Clone, Copy, Debug)]
pub struct Typing {
    pub conversation: ConversationRef,
    pub is_typing: bool,
}

impl TryFrom<&Payload> for Typing {
    type Error = Error;
    fn try_from(p: &Payload) -> Result<Self> {
        let is_typing = p.0.get("isTyping").and_then(Value::as_bool);
        let is_typing = is_typing.ok_or_else(|| Error::InvalidPayload("isTyping must be true or false".into()))?;
        Ok(Self { conversation: p.into(), is_typing })
    }
}

pub(super) fn whole(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(n) => n.as_i64(),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    }
}

/// The body of `POST /conversations`.
#[derive(Clone, Debug)]
pub struct CreateConversation {
    pub participant: UserId,
    /// Kind, if given.
    pub kind: Option<String>,
    pub subject: Option<String>,
    pub related_entity_type: Option<String>,
    pub related_entity_id: Option<uuid::Uuid>,
    pub metadata: Value,
}

impl TryFrom<&Payload> for CreateConversation {
    type Error = Error;
    fn try_from(p: &Payload) -> Result<Self> {
        let participant = match p.0.get("participantId") {
            None | Some(Value::Null) => return Err(Error::ParticipantRequired),
            Some(Value::String(s)) if s.is_empty() => return Err(Error::ParticipantRequired),
            Some(Value::String(s)) => UserId::parse(s),
            Some(_) => None,
        };
        let related_entity_id = match p.optional_text("relatedEntityId", 36)? {
            None => None,
            Some(s) => {
                let id = ConversationId::parse(&s);
                Some(id.ok_or_else(|| Error::InvalidPayload("relatedEntityId must be a UUID".into()))?.0)
            }
        };
        let metadata = match p.0.get("metadata") {
            None | Some(Value::Null) => Value::Object(Map::new()),
            Some(v @ Value::Object(_)) if !v.to_string().contains("\\u0000") => v.clone(),
            Some(_) => return Err(Error::InvalidPayload("metadata must be an object without NUL".into())),
        };
        Ok(Self {
            participant: participant.ok_or(Error::InvalidParticipant("Participant ID is not valid"))?,
            kind: p.optional_text("type", 50)?,
            subject: p.optional_text("subject", 255)?,
            related_entity_type: p.optional_text("relatedEntityType", 50)?,
            related_entity_id,
            metadata,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn anything_but_an_object_is_an_empty_payload() {
        for value in [json!(null), json!([1]), json!("x"), json!(1)] {
            assert!(ConversationRef::from(&Payload::from(value)).0.is_none());
        }
    }

    #[test]
    fn the_participant_is_required_before_it_is_valid() {
        let read = |v: Value| CreateConversation::try_from(&Payload::from(v)).unwrap_err();
        assert_eq!(read(json!({})), Error::ParticipantRequired);
        assert_eq!(read(json!({ "participantId": "" })), Error::ParticipantRequired);
        assert!(matches!(read(json!({ "participantId": "x" })), Error::InvalidParticipant(_)));
        assert!(matches!(read(json!({ "participantId": [] })), Error::InvalidParticipant(_)));
    }
}
