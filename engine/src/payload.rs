//! The polling transport's encoding: packets joined by a record separator, binary ones in base64.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use engineioxide_core::Str;

use crate::frame::Frame;

const SEPARATOR: u8 = 0x1e;
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A packet from a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// The client ends the session.
    Close,
    /// A ping, which only a probe may be.
    Ping {
        /// True for the probe of an upgrade.
        probe: bool,
    },
    /// The answer to a ping.
    Pong,
    /// A text message.
    Message(Str),
    /// A binary message.
    Binary(Bytes),
    /// The end of an upgrade.
    Upgrade,
    /// Nothing.
    Noop,
}

impl Incoming {
    /// A packet that is text. `None` for what is none.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        match *text.as_bytes().first()? {
            b'4' => Some(Self::Message(Str::copy_from_slice(text.get(1..)?))),
            other => Self::control(other, text.get(1..)?),
        }
    }

    /// As [`Incoming::of_text`], with the text's memory for the message.
    #[must_use]
    pub fn of_string(text: String) -> Option<Self> {
        match *text.as_bytes().first()? {
            b'4' => Some(Self::Message(Str::from(text).slice(1..))),
            other => Self::control(other, text.get(1..)?),
        }
    }

    fn control(packet_type: u8, data: &str) -> Option<Self> {
        match packet_type {
            b'1' => Some(Self::Close),
            b'2' => Some(Self::Ping { probe: data == "probe" }),
            b'3' => Some(Self::Pong),
            b'5' => Some(Self::Upgrade),
            b'6' => Some(Self::Noop),
            _ => None,
        }
    }
}

/// The packets of a payload, in order; `None` in place of one that is none. The caller stops there.
pub fn decode(payload: String) -> impl Iterator<Item = Option<Incoming>> + Send {
    let mut rest = Some(payload);
    let mut at = 0;
    std::iter::from_fn(move || {
        let payload = rest.as_ref()?;
        let tail = &payload[at..];
        let Some(length) = tail.bytes().position(|byte| byte == SEPARATOR) else {
            // A payload of one packet is not copied.
            let last = if at == 0 { packet_of(rest.take()?) } else { packet(tail) };
            rest = None;
            return Some(last);
        };
        at += length + 1;
        Some(packet(&tail[..length]))
    })
}

fn packet_of(text: String) -> Option<Incoming> {
    if text.starts_with('b') { packet(&text) } else { Incoming::of_string(text) }
}

fn packet(text: &str) -> Option<Incoming> {
    match text.strip_prefix('b') {
        Some(base64) => Some(Incoming::Binary(from_base64(base64)?.into())),
        None => Incoming::of_text(text),
    }
}

/// Some encoders break their lines, and end the last one too: Java's does.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        return BASE64.decode(text).ok();
    }
    BASE64.decode(text).ok()
}

/// Binaries that follow a Socket.IO packet: a binary event or answer says how many, as in `51-["event",…]`.
pub(crate) fn announced_binaries(message: &str) -> u32 {
    let count = message.strip_prefix(['5', '6']).and_then(|rest| rest.split_once('-'));
    count.and_then(|(count, _)| count.parse().ok()).unwrap_or(0)
}

/// Bytes that a frame takes in a payload, with its separator.
pub(crate) fn encoded_len(frame: &Frame) -> usize {
    let packet = frame.packet().len();
    if frame.is_binary() { packet.div_ceil(3) * 4 + 2 } else { packet + 1 }
}

/// The payload of these frames.
#[must_use]
pub fn encode(frames: &[Frame]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(frames.iter().map(encoded_len).sum());
    for frame in frames {
        if !payload.is_empty() {
            payload.push(SEPARATOR);
        }
        if frame.is_binary() {
            payload.push(b'b');
            payload.extend_from_slice(BASE64.encode(frame.packet()).as_bytes());
        } else {
            payload.extend_from_slice(frame.packet());
        }
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(payload: &str) -> Vec<Option<Incoming>> {
        decode(payload.to_owned()).collect()
    }

    #[test]
    fn packets_come_in_order() {
        let expected = [Some(Incoming::Message("a".into())), Some(Incoming::Pong), Some(Incoming::Message("".into()))];
        assert_eq!(all("4a\x1e3\x1e4"), expected);
        let binary = Some(Incoming::Binary(Bytes::from_static(&[1, 2, 3, 4])));
        assert_eq!(all("4hello\x1ebAQIDBA=="), [Some(Incoming::Message("hello".into())), binary]);
    }

    #[test]
    fn base64_may_be_broken_into_lines_and_end_in_one() {
        let binary = Some(Incoming::Binary(Bytes::from_static(&[1, 2, 3, 4])));
        for text in ["bAQIDBA==\n", "bAQID\r\nBA==\r\n", "bAQIDBA", "bAQIDBA=="] {
            assert_eq!(all(text), std::slice::from_ref(&binary), "{text:?}");
        }
        assert_eq!(all("b!!!!"), [None]);
    }

    #[test]
    fn what_is_no_packet_is_none() {
        for text in ["", "abc", "9", "0{}", "ü"] {
            assert_eq!(all(text), [None], "{text:?}");
        }
        assert_eq!(all("4a\x1e"), [Some(Incoming::Message("a".into())), None]);
    }

    #[test]
    fn a_packet_says_how_many_binaries_follow_it() {
        for (message, binaries) in [(r#"52-["a"]"#, 2), ("610-7[]", 10), (r#"2["a-b"]"#, 0), ("5", 0), ("5x-[]", 0)] {
            assert_eq!(announced_binaries(message), binaries, "{message}");
        }
    }

    #[test]
    fn frames_become_a_payload() {
        let frames = [Frame::text("hello"), Frame::binary(&[1, 2, 3, 4]), Frame::PING];
        assert_eq!(encode(&frames), b"4hello\x1ebAQIDBA==\x1e2");
        let room: usize = frames.iter().map(encoded_len).sum();
        assert_eq!(room, encode(&frames).len() + 1);
    }
}
