//! The requests for pages of conversations, messages and users.

use std::fmt;

use chrono::{DateTime, Datelike as _};
use serde_json::Value;

use super::{ConversationRef, Payload, inbound::whole, rfc3339};
use crate::{
    domain::{Before, ConversationId},
    error::{Error, Result},
};

/// The default and the largest page (contract §REST).
const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

/// Clamps a page size: `default` when there is none or it is not a whole number, at most 200.
pub fn page_limit(asked: Option<i64>) -> i64 {
    match asked {
        Some(n) if n >= 1 => n.min(MAX_LIMIT),
        _ => DEFAULT_LIMIT,
    }
}

impl Before {
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
    pub limit: i64,
    /// The start of the page: the `next` of the page before, an RFC 3339 time, or the id of the last conversation that the client
    /// has.
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
    pub conversation: ConversationRef,
    pub limit: i64,
    /// The number of newest messages to skip.
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

/// `GET /users/search?search=&role=&limit=`.
#[derive(Clone, Debug)]
pub struct SearchUsers {
    /// Part of the name or e-mail; empty for every user.
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

    #[test]
    fn page_sizes_are_clamped() {
        let table = [(None, 50), (Some(0), 50), (Some(-3), 50), (Some(20), 20), (Some(1000), 200)];
        for (asked, got) in table {
            assert_eq!(page_limit(asked), got);
        }
    }

    #[test]
    fn a_list_begins_at_a_time_or_a_conversation() {
        let read = |v: Value| ListConversations::try_from(&Payload::from(json!({ "before": v }))).map(|l| l.before);
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
}
