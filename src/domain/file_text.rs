//! Whether bytes are a text. The verdict depends on the bytes alone, never on how they were cut.

/// Ctrl-Z: the end of a text in DOS and CP/M, still written by some programs.
const CTRL_Z: u16 = 0x1a;
/// A text that begins with one of these is a page.
const MARKUP: &[&str] = &["<!doctype", "<html", "<head", "<body", "<script", "<svg", "<iframe", "<?xml"];

/// A text so far. In bytes, whatever their encoding, or in UTF-16 where a byte order mark says so.
pub struct TextCheck {
    encoding: Encoding,
    /// The first byte of a UTF-16 unit whose second is not here yet.
    half: Option<u8>,
    /// A UTF-16 surrogate that waits for the second of its pair.
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
    /// Nothing seen yet of a text that begins with `head`.
    #[must_use]
    pub fn new(head: &[u8]) -> Self {
        Self { encoding: Encoding::of(head), half: None, in_pair: false, ended: false }
    }

    /// Takes the next bytes; false once they cannot be those of a text.
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

    /// Control characters but white space and those of terminals (bell, backspace, escape) make it no text.
    fn takes(&mut self, character: u16) -> bool {
        if character == CTRL_Z {
            self.ended = true;
            return true;
        }
        !self.ended && matches!(character, 0x07..=0x0d | 0x1b | 0x20..)
    }

    /// Whether the text may end here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.half.is_none() && !self.in_pair
    }
}

/// Whether a file that begins with `head` can be a text, and is no page.
#[must_use]
pub fn begins_as_text(head: &[u8]) -> bool {
    TextCheck::new(head).push(head) && !begins_with_markup(head)
}

/// Whether a browser that guesses, which ours are told not to, would take it for a page.
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
