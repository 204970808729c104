//! Reactions: one emoji.

use unicode_segmentation::UnicodeSegmentation as _;

const MAX_CHARS: usize = 10;

/// One emoji of 1 to 10 characters (contract §3): what a person sees as one sign, and not a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emoji(String);

impl Emoji {
    /// Reads it; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_one_sign = text.graphemes(true).count() == 1 && text.chars().count() <= MAX_CHARS;
        // Keycaps begin with a digit and end in a sign of their own; letters of any script have none.
        // Some letters are drawn as signs when the variation selector for that follows (Unicode TR 51).
        let drawn_letter =
            text.ends_with('\u{fe0f}') && text.starts_with(|c: char| c.is_alphanumeric() && c >= '\u{2100}');
        let is_picture = drawn_letter || text.chars().any(is_pictorial);
        (is_one_sign && is_picture).then(|| Self(text.to_owned()))
    }

    /// What may be taken away: adopted reactions need not be emoji. `None` for nothing, or for what was never stored.
    #[must_use]
    pub fn stored(text: &str) -> Option<Self> {
        let fits = (1..=MAX_CHARS).contains(&text.chars().count()) && !text.contains('\0');
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a character is drawn as a sign: not a letter, and none of those that only change or join others.
fn is_pictorial(c: char) -> bool {
    let is_modifier = matches!(c, '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}');
    let is_symbol = matches!(c, '\u{a9}' | '\u{ae}') || c >= '\u{203c}';
    is_symbol && !is_modifier && !c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::Emoji;

    #[test]
    fn an_emoji_is_one_sign_and_no_letter() {
        for good in ["👍", "❤️", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "1️⃣", "👍🏽", "😂", "ℹ️", "🅰️", "Ⓜ️"]
        {
            assert!(Emoji::parse(good).is_some(), "{good}");
        }
        for bad in
            ["", " ", "a", "ok", "1", "👍👍", "<b>", "ü", "漢", "\u{0}", "\n", "e\u{301}x", "\u{200d}", "\u{fe0f}"]
        {
            assert!(Emoji::parse(bad).is_none(), "{bad:?}");
        }
    }
}
