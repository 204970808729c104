//! Checks that bytes are a text. The result depends on the bytes only, never on how they were split.

/// Ctrl-Z: the end of a text in DOS and CP/M, still written by some programs.
const CTRL_Z: u16 = 0x1a;
/// A text that begins with one of these is an HTML page.
const MARKUP: &[&str] = &["<!doctype", "<html", "<head", "<body", "<script", "<svg", "<iframe", "<?xml"];

/// The check of a text so far: bytes in any encoding, or UTF-16 if a byte order mark says so.
pub struct TextCheck {
    encoding: Encoding,
    /// The first byte of a UTF-16 unit whose second byte has not come yet.
    half: Option<u8>,
    /// True if a UTF-16 surrogate waits for the second one of its pair.
    in_pair: bool,
    /// Ctrl-Z was seen: nothing else may follow.
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Bytes,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    fn of(head: &[u8]) -> Self {
        match head {
            [0xff, 0xfe, ..] => Self::Utf16Le,
            [0xfe, 0xff, ..] => Self::Utf16Be,
            _ => Self::Bytes,
        }
    }

    fn unit(self, bytes: [u8; 2]) -> u16 {
        if self == Self::Utf16Be { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }
}

impl TextCheck {
    /// Makes the check of a text that begins with `head`; no byte is checked yet.
    pub fn new(head: &[u8]) -> Self {
        Self { encoding: Encoding::of(head), half: None, in_pair: false, ended: false }
    }

    /// Takes the next bytes; false if they cannot be part of a text.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        if self.encoding == Encoding::Bytes {
            return bytes.iter().all(|b| self.takes(u16::from(*b)));
        }
        bytes.iter().all(|b| match self.half.take() {
            None => {
                self.half = Some(*b);
                true
            }
            Some(first) => self.takes_utf16(self.encoding.unit([first, *b])),
        })
    }

    fn takes_utf16(&mut self, unit: u16) -> bool {
        let is_first = (0xd800..0xdc00).contains(&unit);
        let is_second = (0xdc00..0xe000).contains(&unit);
        if self.in_pair != is_second {
            return false;
        }
        self.in_pair = is_first;
        // U+FFFE is a byte order mark in the wrong order; U+FFFF is no character.
        unit < 0xfffe && self.takes(unit)
    }

    /// True for control characters that no text has: all but white space and those of terminals (bell, backspace, escape).
    fn takes(&mut self, character: u16) -> bool {
        if character == CTRL_Z {
            self.ended = true;
            return true;
        }
        !self.ended && matches!(character, 0x07..=0x0d | 0x1b | 0x20..)
    }

    /// True if the text may end here.
    pub fn is_complete(&self) -> bool {
        self.half.is_none() && !self.in_pair
    }
}

/// True if a file that begins with `head` can be a text and is not an HTML page.
pub fn begins_as_text(head: &[u8]) -> bool {
    TextCheck::new(head).push(head) && !begins_with_markup(head)
}

/// True if a browser that guesses types would take it for an HTML page. (The served headers tell browsers not to guess.)
fn begins_with_markup(head: &[u8]) -> bool {
    let encoding = Encoding::of(head);
    let text = if encoding == Encoding::Bytes {
        String::from_utf8_lossy(head).to_lowercase()
    } else {
        let units: Vec<u16> = head.chunks_exact(2).map(|pair| encoding.unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units).to_lowercase()
    };
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let mut rest = text.trim_start_matches(blank);
    while let Some(comment) = rest.strip_prefix("<!--") {
        match comment.split_once("-->") {
            Some((_, after)) => rest = after.trim_start_matches(blank),
            None => return true,
        }
    }
    MARKUP.iter().any(|tag| rest.starts_with(tag))
}
