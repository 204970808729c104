//! An event, and who is to get it.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::Connection;
use crate::domain::{ConversationId, UserId};

/// An event, serialised once for all its receivers.
#[derive(Clone)]
pub struct Event {
    pub(super) name: &'static str,
    pub(super) payload: Box<RawValue>,
    /// The new message that it brings: a socket that was told of it by the answer to its catching up is not told twice.
    pub(super) message: Option<(ConversationId, i64)>,
}

impl Event {
    /// Serialises `payload`.
    #[must_use]
    pub fn new<T: Serialize>(name: &'static str, payload: &T) -> Self {
        // Our payloads are plain structs with string keys, which always serialise; `null` is the honest rest.
        let payload = to_raw_value(payload).unwrap_or_else(|e| {
            tracing::error!(error = %e, event = name, "payload does not serialise");
            RawValue::NULL.to_owned()
        });
        Self { name, payload, message: None }
    }

    /// The payload as it goes out, to be used again in another answer.
    #[must_use]
    pub fn payload(&self) -> &RawValue {
        &self.payload
    }

    /// Says which new message this brings.
    #[must_use]
    pub fn of_message(self, conversation: ConversationId, seq: i64) -> Self {
        Self { message: Some((conversation, seq)), ..self }
    }
}

/// Who is to get an event: the sockets in a room, as far as their users are `members`, and all sockets of `users`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Audience<'a> {
    /// A conversation's room.
    pub room: Option<ConversationId>,
    /// Of the room, only these: a participant who was removed may still sit in it.
    pub members: &'a [UserId],
    /// Every socket of these, wherever it is.
    pub users: &'a [UserId],
    /// But not this socket.
    pub not_socket: Option<Uuid>,
    /// But no socket of this user.
    pub not_user: Option<UserId>,
}

impl Audience<'_> {
    pub(super) fn spares(&self, c: &Connection) -> bool {
        Some(c.id) != self.not_socket && Some(c.user.id) != self.not_user
    }
}
