//! Identifiers. Each is a UUID of its own type, so that a user's id cannot be used as a message's.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Reads the hyphenated form (36 characters, either case); any other spelling is refused.
            pub fn parse(text: &str) -> Option<Self> {
                if text.len() != 36 {
                    return None;
                }
                Uuid::try_parse(text).ok().map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A row of the shop's `users`.
    UserId
);
id!(ConversationId);
id!(MessageId);

impl UserId {
    /// The id of no user. A message read for it shows no effect of deletions "for me".
    pub const NOBODY: Self = Self(Uuid::nil());
}

impl MessageId {
    /// A new id that sorts by time (UUID version 7, RFC 9562), which keeps index inserts at the right edge.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for MessageId {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let id = "00000000-0000-4000-8000-00000000000A";
        assert_eq!(UserId::parse(id).unwrap().to_string(), id.to_lowercase());
        for bad in ["", "1", "0000000000004000800000000000000a", "{00000000-0000-4000-8000-00000000000a}"] {
            assert!(UserId::parse(bad).is_none(), "{bad}");
        }
    }
}
