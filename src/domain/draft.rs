//! A message before it is accepted, and the limits that it must keep.

use super::{Attachment, MessageId, is_blank};
use crate::error::Error;

/// Most attachments of one message (contract §Sending).
pub const MAX_ATTACHMENTS: usize = 10;
/// Longest `tempId` or `clientMessageId`, in characters.
pub const MAX_CLIENT_ID_CHARS: usize = 128;

/// A message that a client asks to send, before the database is asked.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Text; may be empty when there are attachments.
    pub text: String,
    pub attachments: Vec<Attachment>,
    /// The client's own id for the message, without a time limit (contract §Sending).
    pub client_message_id: Option<String>,
    /// The client's temporary id, with a time limit (contract §Sending).
    pub temp_id: Option<String>,
    pub reply_to: Option<MessageId>,
}

impl Draft {
    /// Checks a draft against the contract's limits; `max_chars` is `MAX_MESSAGE_CHARS`.
    /// Fails with one of the refusals of a text and its attachments (contract §Sending), in this order.
    pub fn check(&self, max_chars: usize) -> Result<(), Error> {
        if self.attachments.is_empty() && is_blank(&self.text) {
            return Err(Error::MessageRequired);
        }
        // The byte length bounds the count from both sides, so most texts need no counting.
        if self.text.len() > max_chars && self.text.chars().count() > max_chars {
            return Err(Error::MessageTooLong);
        }
        if self.text.contains('\0') {
            return Err(Error::InvalidText);
        }
        if self.attachments.len() > MAX_ATTACHMENTS {
            return Err(Error::TooManyAttachments);
        }
        self.attachments.iter().try_for_each(Attachment::check)
    }

    /// `image` or `file`, depending on the attachments; `text` without any (contract §Shapes).
    pub fn kind(&self) -> &'static str {
        if self.attachments.is_empty() {
            "text"
        } else if self.attachments.iter().all(|a| a.kind.starts_with("image/")) {
            "image"
        } else {
            "file"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(text: &str) -> Draft {
        Draft { text: text.into(), ..Draft::default() }
    }

    fn file(kind: &str, url: &str) -> Attachment {
        Attachment { name: "a".into(), kind: kind.into(), size: 1, url: url.into(), path: String::new() }
    }

    #[test]
    fn a_message_needs_text_or_an_attachment() {
        assert_eq!(draft(" \n").check(10), Err(Error::MessageRequired));
        assert_eq!(draft("x").check(10), Ok(()));
        let mut d = draft("");
        d.attachments.push(file("image/png", "/f"));
        assert_eq!(d.check(10), Ok(()));
    }

    #[test]
    fn length_counts_characters_not_bytes() {
        assert_eq!(draft(&"ü".repeat(10)).check(10), Ok(()));
        assert_eq!(draft(&"ü".repeat(11)).check(10), Err(Error::MessageTooLong));
    }

    #[test]
    fn what_postgres_cannot_store_is_refused_before_it_gets_there() {
        assert_eq!(draft("a\0b").check(10), Err(Error::InvalidText));
    }

    #[test]
    fn attachments_are_bounded_and_their_links_harmless() {
        let mut d = draft("x");
        d.attachments = vec![file("", "/f"); 11];
        assert_eq!(d.check(10), Err(Error::TooManyAttachments));
        for bad in ["javascript:alert(1)", "data:text/html,x", "ftp://x"] {
            d.attachments = vec![file("", bad)];
            assert!(matches!(d.check(10), Err(Error::InvalidAttachment(_))), "{bad}");
        }
    }

    #[test]
    fn the_kind_follows_the_attachments() {
        let mut d = draft("x");
        assert_eq!(d.kind(), "text");
        d.attachments = vec![file("image/png", "/f")];
        assert_eq!(d.kind(), "image");
        d.attachments.push(file("application/pdf", "/g"));
        assert_eq!(d.kind(), "file");
    }
}
