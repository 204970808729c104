//! WebSocket frames from a client, as their bytes come. Nothing is held between messages, and of a message that is not
//! complete only what has come.

use std::borrow::Cow;

/// A message from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// A close frame, with the code it had.
    Close(Option<u16>),
}

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Against the protocol.
    Protocol,
    /// A text that is none.
    NotText,
    /// More than is allowed.
    TooLarge,
}

impl Fault {
    /// The code of the close frame (RFC 6455 §7.4.1).
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::NotText => 1007,
            Self::TooLarge => 1009,
        }
    }
}

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const MAX_HEADER: usize = 14;
const MAX_CONTROL: usize = 125;

/// A frame whose header has come.
#[derive(Clone, Copy, Debug)]
struct Frame {
    is_final: bool,
    opcode: u8,
    mask: [u8; 4],
    length: usize,
    /// Bytes of the payload that have come.
    come: usize,
}

impl Frame {
    fn is_control(&self) -> bool {
        self.opcode >= CLOSE
    }
}

/// Decodes one connection's frames.
#[derive(Debug, Default)]
pub struct Decoder {
    header: [u8; MAX_HEADER],
    header_come: u8,
    frame: Option<Frame>,
    /// The message of which a part has come, with its opcode.
    message: Option<(u8, Vec<u8>)>,
    control: Vec<u8>,
}

impl Decoder {
    /// Takes bytes off `input`, in which they are unmasked, until a message is complete. `None` once all were taken.
    ///
    /// # Errors
    /// [`Fault`]: nothing more can be decoded.
    pub fn decode<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        max_frame: usize,
        max_message: usize,
    ) -> Result<Option<Message<'a>>, Fault> {
        loop {
            let mut frame = match self.frame {
                Some(frame) => frame,
                None => match self.read_header(input, max_frame)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            if !frame.is_control() {
                let before = self.message.as_ref().map_or(0, |(_, data)| data.len());
                if before + (frame.length - frame.come) > max_message {
                    return Err(Fault::TooLarge);
                }
            }
            let count = input.len().min(frame.length - frame.come);
            let (part, rest) = std::mem::take(input).split_at_mut(count);
            *input = rest;
            unmask(part, frame.mask, frame.come);
            let is_whole = frame.come == 0 && count == frame.length;
            frame.come += count;
            let is_complete = frame.come == frame.length;
            self.frame = (!is_complete).then_some(frame);
            if let Some(message) = self.take(frame, part, is_whole, is_complete)? {
                return Ok(Some(message));
            }
            if !is_complete {
                return Ok(None);
            }
        }
    }

    /// The header, once all of it has come.
    fn read_header(&mut self, input: &mut &mut [u8], max_frame: usize) -> Result<Option<Frame>, Fault> {
        loop {
            let come = usize::from(self.header_come);
            let needed = match self.header[1] & 0x7f {
                _ if come < 2 => 2,
                126 => 8,
                127 => MAX_HEADER,
                _ => 6,
            };
            if come == 2 {
                self.check_start()?;
            }
            if come == needed {
                break;
            }
            let count = input.len().min(needed - come);
            if count == 0 {
                return Ok(None);
            }
            let (part, rest) = std::mem::take(input).split_at_mut(count);
            self.header[come..come + count].copy_from_slice(part);
            self.header_come += u8::try_from(count).unwrap_or_default();
            *input = rest;
        }
        let header = &self.header[..usize::from(self.header_come)];
        let (length, mask) = header[2..].split_at(header.len() - 6);
        let length = match length {
            [] => u64::from(header[1] & 0x7f),
            bytes => bytes.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        if length > max_frame as u64 {
            return Err(Fault::TooLarge);
        }
        let frame = Frame {
            is_final: header[0] & 0x80 != 0,
            opcode: header[0] & 0x0f,
            mask: mask.try_into().map_err(|_| Fault::Protocol)?,
            length: usize::try_from(length).map_err(|_| Fault::TooLarge)?,
            come: 0,
        };
        self.header_come = 0;
        Ok(Some(frame))
    }

    /// Checks the first two bytes of a frame.
    fn check_start(&self) -> Result<(), Fault> {
        let (first, second) = (self.header[0], self.header[1]);
        let (opcode, length) = (first & 0x0f, usize::from(second & 0x7f));
        let has_extensions = first & 0x70 != 0;
        let is_masked = second & 0x80 != 0;
        if has_extensions || !is_masked {
            return Err(Fault::Protocol);
        }
        let is_expected = match opcode {
            CONTINUATION => self.message.is_some(),
            TEXT | BINARY => self.message.is_none(),
            CLOSE | PING | PONG => first & 0x80 != 0 && length <= MAX_CONTROL,
            _ => false,
        };
        if is_expected { Ok(()) } else { Err(Fault::Protocol) }
    }

    /// Takes a part of a frame's payload; the message that it completes.
    fn take<'a>(
        &mut self,
        frame: Frame,
        part: &'a [u8],
        is_whole: bool,
        is_complete: bool,
    ) -> Result<Option<Message<'a>>, Fault> {
        if frame.is_control() {
            self.control.extend_from_slice(part);
            return if is_complete {
                control(frame.opcode, std::mem::take(&mut self.control)).map(Some)
            } else {
                Ok(None)
            };
        }
        // The usual case: a message in one frame, all of which is here.
        if is_whole && frame.is_final && self.message.is_none() {
            return data(frame.opcode, Cow::Borrowed(part)).map(Some);
        }
        let message = self.message.get_or_insert_with(|| (frame.opcode, Vec::new()));
        message.1.extend_from_slice(part);
        if !is_complete || !frame.is_final {
            return Ok(None);
        }
        match self.message.take() {
            Some((opcode, bytes)) => data(opcode, Cow::Owned(bytes)).map(Some),
            None => Ok(None),
        }
    }
}

fn data(opcode: u8, bytes: Cow<'_, [u8]>) -> Result<Message<'_>, Fault> {
    if opcode == BINARY {
        return Ok(Message::Binary(bytes));
    }
    let text = match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Fault::NotText)?,
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Fault::NotText)?,
    };
    Ok(Message::Text(text))
}

fn control(opcode: u8, bytes: Vec<u8>) -> Result<Message<'static>, Fault> {
    match (opcode, &bytes[..]) {
        (PING, _) => Ok(Message::Ping(bytes)),
        (PONG, _) => Ok(Message::Pong),
        (_, []) => Ok(Message::Close(None)),
        (_, [_]) => Err(Fault::Protocol),
        (_, [high, low, ..]) => Ok(Message::Close(Some(u16::from_be_bytes([*high, *low])))),
    }
}

/// Undoes the mask of payload bytes, the first of which is at `offset` in its frame.
fn unmask(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    let mut mask = mask;
    mask.rotate_left(offset % 4);
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
