//! What clients send, read leniently: a field of the wrong type is a missing field, and each use case says
//! what it thinks of that (contract §Client events).

use std::fmt;

use chrono::{DateTime, Datelike as _, Utc};
use serde_json::{Map, Value};

use super::{lenient, rfc3339};
use crate::{
    domain::{Conversation, ConversationId, UserId},
    error::{Error, Result},
};

/// The default and the largest page (contract §REST).
const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

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

/// What makes a link to a file good: the query of `GET /files/…`.
#[derive(Clone, Debug)]
pub struct FileLink {
    /// The name to save under.
    pub name: String,
    /// Until when: seconds since 1970.
    pub expires: i64,
    /// Over all of it, in hexadecimal.
    pub signature: String,
}

impl Payload {
    /// Reads an event's payload. One field that cannot be read does not hide the others; anything but an object is empty.
    #[must_use]
    pub fn of_event(text: &str) -> Self {
        match lenient::value(text) {
            Some(value) => value.into(),
            None => Self(lenient::readable_fields(text)),
        }
    }

    /// Reads a request's JSON body; `None` where it is none.
    #[must_use]
    pub fn of_body(body: &[u8]) -> Option<Self> {
        lenient::bytes(body).map(Self::from)
    }

    /// A token.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.text("token")
    }

    /// A file's link.
    #[must_use]
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
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`] for a missing or malformed id, as the contract wants it.
    pub fn required(self) -> Result<ConversationId> {
        self.0.ok_or(Error::ConversationNotFound)
    }
}

/// `{ conversationId, isTyping }`.
#[derive(Clone, Copy, Debug)]
pub struct Typing {
    /// Where.
    pub conversation: ConversationRef,
    /// Began or ended.
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

/// Clamps a page size: `default` when there is none or it is not a whole number, at most 200.
#[must_use]
pub fn page_limit(asked: Option<i64>) -> i64 {
    match asked {
        Some(n) if n >= 1 => n.min(MAX_LIMIT),
        _ => DEFAULT_LIMIT,
    }
}

pub(super) fn whole(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(n) => n.as_i64(),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    }
}

/// Where a page of conversations begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Before {
    /// Activity before this time.
    Time(DateTime<Utc>),
    /// After this conversation in the list, wherever it is by now.
    Conversation(ConversationId),
    /// After the place that a conversation had in the list: its time and its id. What a page gives as `next`.
    Place(DateTime<Utc>, ConversationId),
}

impl Before {
    /// The place of a conversation in the list.
    #[must_use]
    pub fn place_of(conversation: &Conversation) -> Self {
        Self::Place(conversation.last_message_at.unwrap_or(conversation.created_at), conversation.id)
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some((micros, id)) = text.split_once('_') {
            let at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
            // Of what the database cannot say nothing is active.
            return (0..=99_999).contains(&at.year()).then_some(Self::Place(at, ConversationId::parse(id)?));
        }
        let time = || DateTime::parse_from_rfc3339(text).ok().map(|t| Self::Time(t.to_utc()));
        ConversationId::parse(text).map(Self::Conversation).or_else(time)
    }
}

/// As `before` takes it. A place is microseconds since 1970 and an id, with nothing that a query string has to escape.
impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(at) => f.write_str(&rfc3339(at)),
            Self::Conversation(id) => id.fmt(f),
            Self::Place(at, id) => write!(f, "{}_{id}", at.timestamp_micros()),
        }
    }
}

/// `chat:get_conversations`: `{ limit?, before? }`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListConversations {
    /// Page size.
    pub limit: i64,
    /// Where the page begins: the `next` of the page before, an RFC 3339 time, or the id of the last conversation already
    /// seen.
    pub before: Option<Before>,
}

impl TryFrom<&Payload> for ListConversations {
    type Error = Error;
    fn try_from(p: &Payload) -> Result<Self> {
        let before = match p.0.get("before") {
            None | Some(Value::Null) => None,
            Some(Value::String(s)) => Some(Before::parse(s).ok_or_else(invalid_before)?),
            Some(_) => return Err(invalid_before()),
        };
        Ok(Self { limit: page_limit(whole(p.0.get("limit"))), before })
    }
}

fn invalid_before() -> Error {
    Error::InvalidPayload("before must be the next of another page, an RFC 3339 time or a conversation id".into())
}

/// `chat:get_messages`: `{ conversationId, limit, offset, before?, after? }`.
#[derive(Clone, Copy, Debug)]
pub struct ListMessages {
    /// Where.
    pub conversation: ConversationRef,
    /// Page size.
    pub limit: i64,
    /// How many of the newest to pass over.
    pub offset: i64,
    /// Only messages with a smaller `seq`.
    pub before: Option<i64>,
    /// Only messages with a larger `seq`: the page then starts there and goes forward.
    pub after: Option<i64>,
}

impl From<&Payload> for ListMessages {
    fn from(p: &Payload) -> Self {
        Self {
            conversation: p.into(),
            limit: page_limit(whole(p.0.get("limit"))),
            offset: whole(p.0.get("offset")).unwrap_or(0).clamp(0, i64::from(i32::MAX)),
            before: whole(p.0.get("before")),
            after: whole(p.0.get("after")),
        }
    }
}

/// The body of `POST /conversations`.
#[derive(Clone, Debug)]
pub struct CreateConversation {
    /// The other one.
    pub participant: UserId,
    /// Kind, if given.
    pub kind: Option<String>,
    /// Title.
    pub subject: Option<String>,
    /// What it is about.
    pub related_entity_type: Option<String>,
    /// Which one of those.
    pub related_entity_id: Option<uuid::Uuid>,
    /// Anything.
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

/// `GET /users/search?search=&role=&limit=`.
#[derive(Clone, Debug)]
pub struct SearchUsers {
    /// What the name or e-mail contains; empty for everyone.
    pub text: String,
    /// Only this role.
    pub role: Option<String>,
    /// Most users.
    pub limit: usize,
}

impl From<&Payload> for SearchUsers {
    fn from(p: &Payload) -> Self {
        let text: String = p.text("search").unwrap_or_default().trim().chars().take(100).collect();
        let role = p.text("role").filter(|r| !r.is_empty()).map(ToOwned::to_owned);
        let limit = whole(p.0.get("limit")).filter(|n| *n >= 1).unwrap_or(20).min(100);
        Self { text, role, limit: usize::try_from(limit).unwrap_or(20) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn payload(value: Value) -> Payload {
        Payload::from(value)
    }

    #[test]
    fn anything_but_an_object_is_an_empty_payload() {
        for value in [json!(null), json!([1]), json!("x"), json!(1)] {
            assert!(ConversationRef::from(&payload(value)).0.is_none());
        }
    }

    #[test]
    fn page_sizes_are_clamped() {
        let table = [(None, 50), (Some(0), 50), (Some(-3), 50), (Some(20), 20), (Some(1000), 200)];
        for (asked, got) in table {
            assert_eq!(page_limit(asked), got);
        }
    }

    #[test]
    fn a_list_begins_at_a_time_or_a_conversation() {
        let read = |v: Value| ListConversations::try_from(&payload(json!({ "before": v }))).map(|l| l.before);
        assert!(matches!(read(json!("2026-01-02T03:04:05Z")), Ok(Some(Before::Time(_)))));
        assert!(matches!(read(json!("00000000-0000-4000-8000-000000000001")), Ok(Some(Before::Conversation(_)))));
        let place = json!("1767323045123456_00000000-0000-4000-8000-000000000001");
        let next = read(place.clone()).unwrap().unwrap();
        assert!(matches!(next, Before::Place(..)));
        assert_eq!(json!(next.to_string()), place);
        for bad in [
            "_",
            "1_x",
            "x_00000000-0000-4000-8000-000000000001",
            "-9223372036854775808_00000000-0000-4000-8000-000000000001",
        ] {
            assert!(read(json!(bad)).is_err(), "{bad}");
        }
        assert!(read(json!("yesterday")).is_err());
        assert!(read(json!(5)).is_err());
    }

    #[test]
    fn the_participant_is_required_before_it_is_valid() {
        let read = |v: Value| CreateConversation::try_from(&payload(v)).unwrap_err();
        assert_eq!(read(json!({})), Error::ParticipantRequired);
        assert_eq!(read(json!({ "participantId": "" })), Error::ParticipantRequired);
        assert!(matches!(read(json!({ "participantId": "x" })), Error::InvalidParticipant(_)));
        assert!(matches!(read(json!({ "participantId": [] })), Error::InvalidParticipant(_)));
    }
}
