//! The packets that sockets get: events, and acknowledgements of their events.

use std::sync::{Arc, OnceLock};

use engineioxide::Frame;
use serde::Serialize;

use crate::{
    domain::ConversationId,
    protocol::{Happening, ack_packet, event_packet, json, with_position},
};

/// First size of the buffer for a payload; most payloads fit.
const PAYLOAD_BYTES: usize = 256;

/// An event, serialised once for all its receivers.
#[derive(Clone)]
pub struct Event {
    /// As it goes over the wire: a packet of Socket.IO in a message of Engine.IO, one buffer for all receivers.
    pub(super) packet: Frame,
    /// The new message that it brings: a socket that was told of it by the answer to its catching up is not told twice.
    pub(super) message: Option<(ConversationId, i64)>,
    /// The recoverable event without its text, from which it is made again for a client that was away. `None` if it is not
    /// recoverable.
    happening: Option<Happening>,
    /// Made when the first socket needs it, once for all of them.
    positioned: OnceLock<Positioned>,
}

/// A recoverable event for the sockets that can come back.
#[derive(Clone)]
pub(super) struct Positioned {
    /// The entry in their logs.
    pub happening: Arc<Happening>,
    /// The same packet with its position as last argument.
    pub packet: Frame,
}

impl Event {
    pub fn new<T: Serialize>(name: &'static str, payload: &T) -> Self {
        Self::of_json(name, &json::to_string(payload, PAYLOAD_BYTES))
    }

    /// An event with a payload that is serialised already.
    pub fn of_json(name: &'static str, payload: &str) -> Self {
        let packet = Frame::text_of(&event_packet(name, payload));
        Self { packet, message: None, happening: None, positioned: OnceLock::new() }
    }

    /// Makes this a recoverable event: a client that was away gets it when it comes back.
    pub fn recoverable(self, happening: Happening) -> Self {
        Self { happening: Some(happening), ..self }
    }

    /// True if it brings a message of one of these conversations with at most that number.
    pub(super) fn is_among(&self, told: &[(ConversationId, i64)]) -> bool {
        self.message.is_some_and(|(id, seq)| told.iter().any(|(told, up_to)| *told == id && seq <= *up_to))
    }

    /// The same event, sent to a socket even if an answer gave it the message before.
    pub(super) fn told_again(self) -> Self {
        Self { message: None, ..self }
    }

    /// True if a client that was away gets it when it comes back.
    pub(super) fn is_recoverable(&self) -> bool {
        self.happening.is_some()
    }

    /// The packet for sockets that can come back; `None` if the event is not recoverable.
    pub(super) fn positioned(&self) -> Option<&Positioned> {
        let happening = self.happening.as_ref()?;
        Some(self.positioned.get_or_init(|| {
            let packet = Frame::text_of(&with_position(self.packet.message(), &happening.position().to_string()));
            Positioned { happening: Arc::new(happening.clone()), packet }
        }))
    }

    /// Says which new message this brings.
    pub fn of_message(self, conversation: ConversationId, seq: i64) -> Self {
        Self { message: Some((conversation, seq)), ..self }
    }
}

/// An answer to one event of one socket, as it goes over the wire: an ACK packet of Socket.IO.
pub struct Answer(pub(super) Frame);

impl Answer {
    /// Serialises the answer to the event whose packet has this id.
    pub fn new<T: Serialize>(id: i64, answer: &T) -> Self {
        Self::of_json(id, &json::to_string(answer, PAYLOAD_BYTES))
    }

    pub fn of_json(id: i64, answer: &str) -> Self {
        Self(Frame::text_of(&ack_packet(itoa::Buffer::new().format(id), answer)))
    }
}
