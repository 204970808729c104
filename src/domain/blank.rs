//! Invisible characters.

/// True for a text without a visible character: only white space, control characters, and characters that Unicode draws as
/// nothing. A NUL does not count as blank: it has a refusal of its own.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(shows_nothing)
}

/// White space, controls, the property `Default_Ignorable_Code_Point` of Unicode 17 (`DerivedCoreProperties.txt`), and
/// characters whose glyph is empty.
fn shows_nothing(c: char) -> bool {
    c.is_whitespace()
        || (c.is_control() && c != '\0')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        // Annotation marks; a Braille pattern without dots; a musical note without a head; blank Egyptian signs.
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{2800}' | '\u{1d159}' | '\u{13441}'..='\u{13442}')
}

#[cfg(test)]
mod tests {
    use super::is_blank;

    #[test]
    fn what_shows_nothing_is_blank_alone_and_together() {
        for blank in ["", " \n", "\u{200b}", "\u{2800}", "\u{3164}", "\u{200b}\u{2800} \u{3164}", "\u{1}", "\u{e0041}"]
        {
            assert!(is_blank(blank), "{blank:?}");
        }
    }

    #[test]
    fn one_character_that_shows_makes_a_text() {
        for text in ["a", ".", "\u{200b}x", "\u{301}", "❤\u{fe0f}", "\u{fffd}", "می\u{200c}خ", "\0"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
