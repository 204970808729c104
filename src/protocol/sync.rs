//! Catching up: what a client knows, and what it missed. *(new)*: `chat:sync`, `GET /sync`, and `lastSeq` of `chat:join`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{
    Failure, MessageView, Payload,
    inbound::whole,
    time::{opt_time, time},
};
use crate::{
    domain::{ConversationId, MessageId, UserId},
    error::{Error, Result},
};

/// Most conversations of one request.
const MAX_CONVERSATIONS: usize = 100;
/// Messages of one conversation in one answer.
const DEFAULT_MESSAGES: i64 = 200;
const MAX_MESSAGES: i64 = 500;

/// `chat:sync { conversations: { id: lastSeq, … } }` or `{ since }`, with `limit`.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    pub known: KnownToClient,
    /// Most messages of one conversation.
    pub limit: i64,
}

#[derive(Clone, Debug)]
pub enum KnownToClient {
    /// In each of these conversations every message up to a number. An id that is malformed stays as the client wrote it.
    Conversations(Vec<(String, i64)>),
    /// Every message that was stored by this time.
    Since(DateTime<Utc>),
}

impl TryFrom<&Payload> for SyncRequest {
    type Error = Error;
    fn try_from(p: &Payload) -> Result<Self> {
        let known = match (present(p, "conversations"), present(p, "since")) {
            (Some(conversations), _) => KnownToClient::Conversations(conversations_of(conversations)?),
            (None, Some(since)) => {
                let since = since.as_str().and_then(|s| DateTime::parse_from_rfc3339(s).ok());
                KnownToClient::Since(since.ok_or_else(|| invalid("since must be an RFC 3339 time"))?.to_utc())
            }
            (None, None) => return Err(invalid("conversations or since is required")),
        };
        let limit = whole(p.0.get("limit")).filter(|n| *n >= 1).unwrap_or(DEFAULT_MESSAGES).min(MAX_MESSAGES);
        Ok(Self { known, limit })
    }
}

/// `lastSeq` of `chat:join`: the client has every message up to this number and wants what came after.
/// Fails with [`Error::InvalidPayload`] for what is no whole number from 0 on.
pub fn last_seq(p: &Payload) -> Result<Option<i64>> {
    present(p, "lastSeq").map(seq_of).transpose()
}

/// The largest answer to a `chat:join` with `lastSeq`.
pub fn join_limit() -> i64 {
    MAX_MESSAGES
}

fn present<'a>(p: &'a Payload, field: &str) -> Option<&'a Value> {
    p.0.get(field).filter(|v| !v.is_null())
}

fn invalid(message: &str) -> Error {
    Error::InvalidPayload(message.into())
}

fn seq_of(value: &Value) -> Result<i64> {
    whole(Some(value)).filter(|n| *n >= 0).ok_or_else(|| invalid("lastSeq must be a whole number from 0 on"))
}

/// An object of ids and numbers; in a query string `id:number,id:number`.
fn conversations_of(value: &Value) -> Result<Vec<(String, i64)>> {
    let pairs: Vec<(String, i64)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(id, seq)| Ok((id.clone(), seq_of(seq)?))).collect::<Result<_>>()?
        }
        Value::String(list) => {
            let pair = |pair: &str| {
                let (id, seq) = pair.split_once(':').ok_or_else(|| invalid("conversations must be id:lastSeq,…"))?;
                Ok((id.trim().to_owned(), seq_of(&Value::String(seq.to_owned()))?))
            };
            list.split(',').filter(|p| !p.trim().is_empty()).map(pair).collect::<Result<_>>()?
        }
        _ => return Err(invalid("conversations must be an object of ids and their lastSeq")),
    };
    if pairs.len() > MAX_CONVERSATIONS {
        return Err(invalid("at most 100 conversations at once"));
    }
    Ok(pairs)
}

/// The answer to `chat:sync`.
#[derive(Serialize)]
pub struct SyncView<'a> {
    /// By id, as the client wrote it.
    pub conversations: BTreeMap<&'a str, SyncedView<'a>>,
    /// Some conversation has more: ask again from its `up_to` on.
    pub has_more: bool,
    /// More conversations changed than one answer holds: fetch the list anew.
    pub reset: bool,
    /// The client's next `since`.
    #[serde(serialize_with = "time")]
    pub server_time: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub enum SyncedView<'a> {
    Missed(MissedView<'a>),
    Failed(Failure),
}

/// The messages and changes of one conversation that a client missed.
#[derive(Serialize)]
pub struct MissedView<'a> {
    /// The newest message's number.
    pub last_seq: i64,
    /// The messages after the client's `lastSeq`, oldest first; after a reset the newest page.
    pub messages: Vec<MessageView<'a>>,
    /// With this answer the client has every message up to this number: its next `lastSeq`.
    pub up_to: i64,
    /// There are more after that.
    pub has_more: bool,
    /// The gap is too large, or the client knows what is not there: it must forget what it has.
    pub reset: bool,
    /// Known messages that were edited, deleted for everyone or reacted to since; some may be known in this state.
    pub changes: Vec<MessageView<'a>>,
    /// The messages that the caller deleted for themselves; their numbers are missing above.
    pub deleted_for_me: Vec<HiddenView>,
    pub reads: Vec<ReadView>,
    pub unread_count: i64,
}

#[derive(Serialize)]
pub struct HiddenView {
    pub message_id: MessageId,
    pub seq: i64,
}

#[derive(Serialize)]
pub struct ReadView {
    pub user_id: UserId,
    /// Read up to this number.
    pub last_read_seq: i64,
    #[serde(serialize_with = "opt_time")]
    pub read_at: Option<DateTime<Utc>>,
    /// Delivered up to this number.
    pub last_delivered_seq: i64,
    #[serde(serialize_with = "opt_time")]
    pub delivered_at: Option<DateTime<Utc>>,
}

/// `chat:joined { conversationId, sync? }`.
#[derive(Serialize)]
pub struct JoinedView<'a> {
    #[serde(rename = "conversationId")]
    pub conversation_id: ConversationId,
    /// The messages and changes that the client missed, if it gave `lastSeq`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<MissedView<'a>>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<SyncRequest> {
        SyncRequest::try_from(&Payload::from(value))
    }

    fn pairs(value: Value) -> Vec<(String, i64)> {
        match read(value).unwrap().known {
            KnownToClient::Conversations(pairs) => pairs,
            KnownToClient::Since(_) => panic!("not conversations"),
        }
    }

    #[test]
    fn an_object_and_a_query_say_the_same() {
        let wanted = vec![("a".to_owned(), 1), ("b".to_owned(), 0)];
        assert_eq!(pairs(json!({ "conversations": { "a": 1, "b": 0 } })), wanted);
        assert_eq!(pairs(json!({ "conversations": "a:1, b:0," })), wanted);
    }

    #[test]
    fn what_is_known_must_be_said_and_be_a_number() {
        for bad in [
            json!({}),
            json!({ "since": "yesterday" }),
            json!({ "since": 5 }),
            json!({ "conversations": [] }),
            json!({ "conversations": { "a": -1 } }),
            json!({ "conversations": { "a": 1.5 } }),
            json!({ "conversations": { "a": null } }),
            json!({ "conversations": "a" }),
        ] {
            assert!(matches!(read(bad.clone()), Err(Error::InvalidPayload(_))), "{bad}");
        }
        let many: serde_json::Map<String, Value> = (0..101).map(|n| (n.to_string(), json!(0))).collect();
        assert!(read(json!({ "conversations": many })).is_err());
    }

    #[test]
    fn limits_are_clamped() {
        for (asked, got) in [(json!(null), 200), (json!(0), 200), (json!(7), 7), (json!(9999), 500)] {
            assert_eq!(read(json!({ "since": "2026-01-02T03:04:05Z", "limit": asked })).unwrap().limit, got);
        }
    }
}
