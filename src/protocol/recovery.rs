//! Connection state recovery: the positions that recoverable events carry, and the `pid` and offset of a client that comes back.
//! *(new)*: Socket.IO ≥ 4.6 does this by itself.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::Payload;
use crate::domain::{ConversationId, MessageId, Position, UserId};

/// Longest `pid` and `offset` that are looked at.
const MAX_BYTES: usize = 200;

/// A recoverable event, without any text: the text is read from the database again when the event is sent again.
#[derive(Clone, Debug)]
pub struct Happening {
    pub conversation: ConversationId,
    /// When it was stored or, of a change, told.
    pub at: DateTime<Utc>,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// A message came: `chat:new_message`, `chat:new_reply`.
    New {
        message: MessageId,
        seq: i64,
        /// True if it was sent while a message was late: the time at which it was stored does not show which other messages were
        /// sent before it.
        is_late: bool,
    },
    /// The socket's own message was stored: `chat:message_sent`, `chat:reply_sent`.
    Sent {
        message: MessageId,
        seq: i64,
        /// As with a new message.
        is_late: bool,
        /// The client's `tempId`, as it was sent.
        temp_id: Option<Box<Value>>,
    },
    /// `chat:message_edited`.
    Edited { message: MessageId, version: i64 },
    /// `chat:reaction_added`, `chat:reaction_removed`.
    Reacted {
        message: MessageId,
        version: i64,
        by: UserId,
        /// True if the reaction was added, false if it was removed.
        added: bool,
    },
    /// `chat:message_deleted`.
    Deleted {
        message: MessageId,
        /// Its version after a deletion for everyone; one for a user alone makes none.
        version: Option<i64>,
    },
    /// `chat:messages_read`.
    Read {
        by: UserId,
        /// Number of the newest message that they read.
        last_read_seq: i64,
    },
}

impl Happening {
    /// The position after it.
    pub fn position(&self) -> Position {
        let in_conversation = self.conversation.0;
        let (kind, id, number) = match &self.what {
            What::New { seq, is_late: false, .. } => (Position::NEW, in_conversation, *seq),
            What::New { seq, is_late: true, .. } => (b'n', in_conversation, *seq),
            What::Sent { seq, is_late: false, .. } => (Position::SENT, in_conversation, *seq),
            What::Sent { seq, is_late: true, .. } => (b't', in_conversation, *seq),
            What::Edited { message, version } => (b'e', message.0, *version),
            What::Reacted { message, version, .. } => (b'r', message.0, *version),
            What::Deleted { message, version } => (b'd', message.0, version.unwrap_or_default()),
            What::Read { last_read_seq, .. } => (b'w', in_conversation, *last_read_seq),
        };
        Position { kind, id, number, micros: self.at.timestamp_micros() }
    }

    /// The message that has to be read to tell of it again.
    pub fn message(&self) -> Option<MessageId> {
        match &self.what {
            What::New { message, .. }
            | What::Sent { message, .. }
            | What::Edited { message, .. }
            | What::Reacted { message, .. } => Some(*message),
            What::Deleted { .. } | What::Read { .. } => None,
        }
    }
}

impl Position {
    const NEW: u8 = b'm';
    /// A message of the socket itself, answered.
    pub const SENT: u8 = b's';

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let kind = text.bytes().next().filter(|kind| b"mnsterdw".contains(kind))?;
        let mut parts = text[1..].split('.');
        let id = Uuid::try_parse(parts.next()?).ok()?;
        let mut number = || i64::from_str_radix(parts.next()?, 16).ok();
        let (number, micros) = (number()?, number()?);
        let position = Self { kind, id, number, micros };
        (parts.next().is_none() && DateTime::from_timestamp_micros(micros).is_some()).then_some(position)
    }

    /// The last message that the client got, by conversation and number; `None` if its last event was another one, or a late
    /// message.
    pub fn message(&self) -> Option<(ConversationId, i64)> {
        matches!(self.kind, Self::NEW | Self::SENT).then_some((ConversationId(self.id), self.number))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, id, number, micros } = self;
        write!(f, "{}{}.{number:x}.{micros:x}", char::from(*kind), id.simple())
    }
}

impl Payload {
    /// True if the client says that its handlers accept a further argument: `auth.recovery`.
    pub fn wants_recovery(&self) -> bool {
        self.0.get("recovery") == Some(&Value::Bool(true))
    }

    /// The `pid` with which a client comes back, and the offset of the last event that it got.
    pub fn comes_back(&self) -> Option<(&str, Option<&str>)> {
        let text = |field| self.0.get(field).and_then(Value::as_str);
        Some((text("pid").filter(|pid| pid.len() <= MAX_BYTES)?, text("offset")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let (conversation, message) = (ConversationId(Uuid::from_u128(7)), MessageId(Uuid::from_u128(8)));
        let at = DateTime::from_timestamp_micros(1_764_241_482_123_456).unwrap();
        let by = UserId(Uuid::from_u128(9));
        for what in [
            What::New { message, seq: 300, is_late: false },
            What::New { message, seq: 300, is_late: true },
            What::Sent { message, seq: 1, is_late: false, temp_id: None },
            What::Sent { message, seq: 1, is_late: true, temp_id: None },
            What::Edited { message, version: 2 },
            What::Reacted { message, version: 3, by, added: true },
            What::Deleted { message, version: None },
            What::Read { by, last_read_seq: 12 },
        ] {
            let position = Happening { conversation, at, what }.position();
            let text = position.to_string();
            assert_eq!(Position::parse(&text), Some(position), "{text}");
            assert!(text.len() <= 60 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'), "{text}");
        }
    }

    #[test]
    fn a_late_message_is_a_position_but_does_not_say_what_was_told_before() {
        let conversation = ConversationId(Uuid::from_u128(7));
        let message = |is_late| {
            let what = What::New { message: MessageId(Uuid::from_u128(8)), seq: 3, is_late };
            Happening { conversation, at: DateTime::UNIX_EPOCH, what }.position().message()
        };
        assert_eq!(message(false), Some((conversation, 3)));
        assert_eq!(message(true), None);
    }

    #[test]
    fn what_is_no_position_is_refused() {
        let good = "m00000000000000000000000000000007.12c.64495ed8c1940";
        assert!(Position::parse(good).is_some());
        let long = format!("{good}{}", "0".repeat(200));
        for bad in ["", "m", "chat:new_message", &good[1..], &good[..36], "é", &long, &format!("{good}.1")] {
            assert_eq!(Position::parse(bad), None, "{bad}");
        }
        assert_eq!(Position::parse("m00000000000000000000000000000007.1.7fffffffffffffff"), None, "no time");
    }
}
