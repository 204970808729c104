//! Takes numbers out of JSON without parsing it: the generator looks at tens of thousands of messages a second.

use memchr::memmem::Finder;

/// Finds a field by its name.
pub struct Field(Finder<'static>);

impl Field {
    /// The field whose name and opening are `opening`, as in `"seq":`.
    pub fn new(opening: &'static str) -> Self {
        Self(Finder::new(opening))
    }

    /// What follows the opening.
    pub fn rest<'a>(&self, json: &'a [u8]) -> Option<&'a [u8]> {
        let at = self.0.find(json)? + self.0.needle().len();
        json.get(at..)
    }

    /// The number that follows the opening.
    pub fn number(&self, json: &[u8]) -> Option<u64> {
        Some(leading_number(self.rest(json)?)?.0)
    }
}

/// What the generator writes into a message: its number and when it was sent.
pub struct Stamp {
    text: Field,
    seq: Field,
}

/// A stamp as read.
pub struct Stamped {
    /// The message's number among those of its sender, from 0.
    pub number: u64,
    /// When it was sent.
    pub sent: u64,
    /// The server's number for it.
    pub seq: u64,
}

impl Default for Stamp {
    fn default() -> Self {
        Self { text: Field::new(r#""message_text":""#), seq: Field::new(r#""seq":"#) }
    }
}

impl Stamp {
    /// Of a message on the wire; `None` for one that the generator did not send.
    pub fn read(&self, json: &[u8]) -> Option<Stamped> {
        let (number, rest) = leading_number(self.text.rest(json)?)?;
        let (sent, _) = leading_number(rest.strip_prefix(b" ")?)?;
        Some(Stamped { number, sent, seq: self.seq.number(json)? })
    }
}

fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let number = text[..digits].iter().try_fold(0u64, |n, b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')))?;
    (digits > 0).then(|| (number, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_wherever_they_are() {
        let json = br#""chat:new_message",{"id":"x","seq":17,"message_text":"3 42000 good morning"}]"#;
        let stamped = Stamp::default().read(json).unwrap();
        assert_eq!((stamped.number, stamped.sent, stamped.seq), (3, 42_000, 17));
        assert!(Stamp::default().read(br#"{"seq":1,"message_text":"hello"}"#).is_none());
    }
}
