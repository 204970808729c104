//! Outgoing packets, ready for the wire.

use bytes::{BufMut as _, Bytes};

/// Bits of a WebSocket frame's first byte: final fragment, and the opcode (RFC 6455 §5.2).
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PONG: u8 = 0x8a;
const CLOSE: u8 = 0x88;
/// The packet type of a text message.
const MESSAGE: u8 = b'4';

/// One outgoing message, made once for all its receivers: clones share the bytes.
///
/// It is a whole WebSocket frame. A server's frames are not masked, so the same bytes go to every receiver; a polling
/// session takes what follows the header.
#[derive(Clone, Debug)]
pub struct Frame(Bytes);

impl Frame {
    pub(crate) const PING: Self = Self(Bytes::from_static(b"\x81\x012"));
    pub(crate) const PROBE_ANSWER: Self = Self(Bytes::from_static(b"\x81\x063probe"));

    /// A text message.
    #[must_use]
    pub fn text(message: &str) -> Self {
        Self::text_of(&[message])
    }

    /// A text message of these parts.
    #[must_use]
    pub fn text_of(parts: &[&str]) -> Self {
        Self::made(TEXT, Some(MESSAGE), parts)
    }

    /// A binary message.
    #[must_use]
    pub fn binary(message: &[u8]) -> Self {
        Self::made(BINARY, None, &[message])
    }

    /// The `open` packet, with the handshake's JSON.
    pub(crate) fn open(json: &str) -> Self {
        Self::made(TEXT, Some(b'0'), &[json])
    }

    /// A WebSocket pong.
    pub(crate) fn pong(data: &[u8]) -> Self {
        Self::made(PONG, None, &[data])
    }

    /// A WebSocket close frame.
    pub(crate) fn close(code: u16) -> Self {
        Self::made(CLOSE, None, &[code.to_be_bytes()])
    }

    fn made(first: u8, packet_type: Option<u8>, parts: &[impl AsRef<[u8]>]) -> Self {
        let length = parts.iter().map(|part| part.as_ref().len()).sum::<usize>() + usize::from(packet_type.is_some());
        let mut bytes = Vec::with_capacity(length + 10);
        bytes.push(first);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short), _) if short < 126 => bytes.push(short),
            (_, Ok(medium)) => {
                bytes.push(126);
                bytes.put_u16(medium);
            }
            _ => {
                bytes.push(127);
                bytes.put_u64(length as u64);
            }
        }
        bytes.extend(packet_type);
        parts.iter().for_each(|part| bytes.extend_from_slice(part.as_ref()));
        Self(bytes.into())
    }

    /// All bytes of the WebSocket frame.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The bytes after the WebSocket header: the packet as text, or the binary message.
    pub(crate) fn packet(&self) -> &[u8] {
        let header = match self.0[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        &self.0[header..]
    }

    /// The text that was made into this frame; nothing for a binary message.
    #[must_use]
    pub fn message(&self) -> &str {
        let text = self.packet().get(1..).filter(|_| !self.is_binary()).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// True for the answer to a Socket.IO CONNECT packet, of any namespace.
    pub(crate) fn is_connect_answer(&self) -> bool {
        self.packet().starts_with(b"40")
    }

    pub(crate) fn is_binary(&self) -> bool {
        self.0[0] == BINARY
    }

    /// Bytes of the WebSocket frame.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a frame has a header at least")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The packet, as the test harness hands it on.
    #[cfg(feature = "__test_harness")]
    pub(crate) fn into_packet(self) -> Option<engineioxide_core::Packet> {
        use engineioxide_core::{Packet, Str};
        let packet = self.packet();
        if self.is_binary() {
            return Some(Packet::Binary(self.0.slice_ref(packet)));
        }
        let text = std::str::from_utf8(packet).ok()?.strip_prefix('4')?;
        Some(Packet::Message(Str::copy_from_slice(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::Frame;

    #[test]
    fn the_header_has_the_length_of_the_packet() {
        for (length, header) in [(0, 2), (124, 2), (125, 4), (65_534, 4), (65_535, 10)] {
            let frame = Frame::text(&"x".repeat(length));
            assert_eq!(frame.len(), header + 1 + length);
            assert_eq!(frame.packet().len(), 1 + length);
            assert_eq!(frame.packet()[0], b'4');
        }
    }

    #[test]
    fn a_text_is_found_again() {
        for length in [0, 124, 125, 65_535] {
            let text = "x".repeat(length);
            assert_eq!(Frame::text(&text).message(), text);
        }
        assert_eq!(Frame::binary(b"4text").message(), "");
    }

    #[test]
    fn clones_share_their_bytes() {
        let frame = Frame::binary(&[1, 2, 3]);
        assert_eq!(frame.clone().wire().as_ptr(), frame.wire().as_ptr());
        assert!(frame.is_binary());
        assert_eq!(frame.packet(), [1, 2, 3]);
    }
}
