//! Reactions: one emoji.

use unicode_segmentation::UnicodeSegmentation as _;

const MAX_CHARS: usize = 10;
/// The selector that asks for the picture of a character that can also be drawn as text. Keyboards send some emoji with or
/// without it.
const DRAWN_AS_EMOJI: char = '\u{fe0f}';

/// One emoji of 1 to 10 characters (contract §Changing a message), as the Unicode tables list them: what a user sees as one
/// character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emoji(String);

impl Emoji {
    /// Reads an emoji; `None` for anything else. With or without U+FE0F it is the same emoji: the database compares them as
    /// equal, and keeps the form that came first.
    pub fn parse(text: &str) -> Option<Self> {
        if text.chars().count() > MAX_CHARS || text.graphemes(true).count() != 1 {
            return None;
        }
        if emojis::get(text).is_some() {
            return Some(Self(text.to_owned()));
        }
        // Some keyboards add the selector to emoji that have none in the tables.
        emojis::get(&text.replace(DRAWN_AS_EMOJI, "")).map(|emoji| Self(emoji.as_str().to_owned()))
    }

    /// Reads a reaction that is to be removed: adopted ones need not be emoji. `None` for an empty one, or one that cannot
    /// have been stored.
    pub fn stored(text: &str) -> Option<Self> {
        let fits = (1..=MAX_CHARS).contains(&text.chars().count()) && !text.contains('\0');
        fits.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Emoji;

    #[test]
    fn an_emoji_is_what_the_tables_list() {
        for good in ["👍", "❤️", "❤", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "1️⃣", "👍🏽", "😂", "ℹ️", "ℹ", "🅰️", "Ⓜ️", "👩🏽‍❤️‍💋‍👨🏿", "🫡"]
        {
            assert!(Emoji::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            " ",
            "a",
            "ok",
            "1",
            "👍👍",
            "<b>",
            "ü",
            "漢",
            "\u{0}",
            "\n",
            "e\u{301}x",
            "\u{200d}",
            "\u{fe0f}",
            "👍\u{301}",
            "👍\u{fe01}",
            "👍\u{200d}",
            "→",
            "∑",
            "‽",
        ] {
            assert!(Emoji::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_selector_that_is_not_in_the_tables_is_left_out() {
        assert_eq!(Emoji::parse("😂\u{fe0f}").unwrap().as_str(), "😂");
    }
}
