//! What sockets are told: events, and answers to theirs.

use std::sync::{Arc, OnceLock};

use engineioxide::Frame;
use serde::Serialize;

use crate::{
    domain::ConversationId,
    protocol::{Happening, ack_packet, event_packet, json, with_position},
};

/// What most payloads fit in.
const PAYLOAD_BYTES: usize = 256;

/// An event, serialised once for all its receivers.
#[derive(Clone)]
pub struct Event {
    /// As it goes over the wire: a packet of Socket.IO in a message of Engine.IO, one buffer for all receivers.
    pub(super) packet: Frame,
    /// The new message that it brings: a socket that was told of it by the answer to its catching up is not told twice.
    pub(super) message: Option<(ConversationId, i64)>,
    /// What it tells of, where a client that was away is to hear of it later.
    happening: Option<Happening>,
    /// Made when the first socket needs it, once for all of them.
    positioned: OnceLock<Positioned>,
}

/// A recoverable event for the sockets that can come back.
#[derive(Clone)]
pub(super) struct Positioned {
    /// What their logs keep of it.
    pub happening: Arc<Happening>,
    /// The same packet with its position as last argument.
    pub packet: Frame,
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
        let packet = Frame::text_of(&event_packet(name, payload));
        Self { packet, message: None, happening: None, positioned: OnceLock::new() }
    }

    /// Says what this tells of: a socket that was away hears of it when it comes back.
    #[must_use]
    pub fn recoverable(self, happening: Happening) -> Self {
        Self { happening: Some(happening), ..self }
    }

    /// Whether it brings a message up to one of these numbers.
    pub(super) fn is_among(&self, told: &[(ConversationId, i64)]) -> bool {
        self.message.is_some_and(|(id, seq)| told.iter().any(|(told, up_to)| *told == id && seq <= *up_to))
    }

    /// The same, for one socket, whatever that was told before.
    pub(super) fn told_again(self) -> Self {
        Self { message: None, ..self }
    }

    /// Whether a socket that was away hears of it when it comes back.
    pub(super) fn is_recoverable(&self) -> bool {
        self.happening.is_some()
    }

    /// The event for sockets that can come back; `None` where it is lost on those that are away.
    pub(super) fn positioned(&self) -> Option<&Positioned> {
        let happening = self.happening.as_ref()?;
        Some(self.positioned.get_or_init(|| {
            let packet = Frame::text_of(&with_position(self.packet.message(), &happening.position().to_string()));
            Positioned { happening: Arc::new(happening.clone()), packet }
        }))
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
        Self(Frame::text_of(&ack_packet(itoa::Buffer::new().format(id), answer)))
    }
}
