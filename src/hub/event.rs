//! An event, and who is to get it.

use engineioxide::Frame;
use serde::Serialize;
use uuid::Uuid;

use super::Connection;
use crate::{
    domain::{ConversationId, UserId},
    protocol::json,
};

/// What most payloads fit in.
const PAYLOAD_BYTES: usize = 256;

/// An event, serialised once for all its receivers.
#[derive(Clone)]
pub struct Event {
    /// As it goes over the wire: an EVENT packet of Socket.IO in a message of Engine.IO, one buffer for all receivers.
    pub(super) packet: Frame,
    /// The new message that it brings: a socket that was told of it by the answer to its catching up is not told twice.
    pub(super) message: Option<(ConversationId, i64)>,
}

impl Event {
    /// Serialises `payload`.
    #[must_use]
    pub fn new<T: Serialize>(name: &'static str, payload: &T) -> Self {
        Self::of_json(name, &json::to_string(payload, PAYLOAD_BYTES))
    }

    /// An event with a payload that is serialised already.
    #[must_use]
    pub fn of_json(name: &'static str, payload: &str) -> Self {
        Self { packet: Frame::text_of(&["2[\"", name, "\",", payload, "]"]), message: None }
    }

    /// Says which new message this brings.
    #[must_use]
    pub fn of_message(self, conversation: ConversationId, seq: i64) -> Self {
        Self { message: Some((conversation, seq)), ..self }
    }
}

/// An answer to one event of one socket, as it goes over the wire: an ACK packet of Socket.IO.
pub struct Answer(pub(super) Frame);

impl Answer {
    /// Serialises the answer to the event whose packet has this id.
    #[must_use]
    pub fn new<T: Serialize>(id: i64, answer: &T) -> Self {
        Self::of_json(id, &json::to_string(answer, PAYLOAD_BYTES))
    }

    /// An answer that is serialised already.
    #[must_use]
    pub fn of_json(id: i64, answer: &str) -> Self {
        Self(Frame::text_of(&["3", itoa::Buffer::new().format(id), "[", answer, "]"]))
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
        Some(c.id) != self.not_socket && Some(c.user_id) != self.not_user
    }
}
