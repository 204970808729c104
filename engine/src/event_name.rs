//! Event names without escapes. socketioxide borrows a name from the packet that holds it, and closes the socket where the
//! name has an escape, as in `2["chat\u003ajoin"]`. Any JSON encoder may write a name like that.

use engineioxide_core::Str;

/// Writes the name of a Socket.IO event without escapes.
///
/// A character that JSON cannot have without one becomes U+FFFD. No event has it in its name, so the client hears that
/// the event is unknown. Every other packet stays as it is.
#[must_use]
pub fn without_escapes(packet: Str) -> Str {
    rewritten(packet.as_str()).map_or(packet, Str::from)
}

fn rewritten(packet: &str) -> Option<String> {
    let (before, name, after) = around_name(packet)?;
    if !name.contains('\\') {
        return None;
    }
    let mut new = before.to_owned();
    new.extend(unescaped(name)?);
    new.push_str(after);
    Some(new)
}

/// An event's packet in three parts, the second of which stands between the quotes of the name. A packet is a type, the
/// number of its binaries and `-`, a namespace and `,`, an acknowledgement's id, and an array that begins with the name.
fn around_name(packet: &str) -> Option<(&str, &str, &str)> {
    let rest = match packet.as_bytes().first()? {
        b'2' => &packet[1..],
        b'5' => packet.split_once('-')?.1,
        _ => return None,
    };
    let rest = if rest.starts_with('/') { rest.split_once(',')?.1 } else { rest };
    let array = rest.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix('[')?;
    let text = array.trim_start_matches([' ', '\t', '\n', '\r']).strip_prefix('"')?;
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })?;
    let (before, _) = packet.split_at(packet.len() - text.len());
    Some((before, &text[..end], &text[end..]))
}

/// The characters of a JSON string. `None` if it has an escape that JSON has not.
fn unescaped(text: &str) -> Option<impl Iterator<Item = char>> {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        units.extend(before.encode_utf16());
        let (unit, length) = match escape.as_bytes().first()? {
            // These stay impossible, whichever of them it is.
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => (0, 1),
            b'/' => (u16::from(b'/'), 1),
            b'u' => (hexadecimal(escape.get(1..5)?)?, 5),
            _ => return None,
        };
        units.push(unit);
        rest = &escape[length..];
    }
    units.extend(rest.encode_utf16());
    Some(char::decode_utf16(units).map(|decoded| match decoded {
        Ok(c) if c >= ' ' && c != '"' && c != '\\' => c,
        _ => char::REPLACEMENT_CHARACTER,
    }))
}

fn hexadecimal(digits: &str) -> Option<u16> {
    let is_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hexadecimal.then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(packet: &str) -> String {
        without_escapes(Str::copy_from_slice(packet)).as_str().to_owned()
    }

    #[test]
    fn a_name_is_written_without_escapes_wherever_it_stands() {
        for head in ["2", "217", "2/custom,", "2/custom,17", "52-", "52-/custom,17"] {
            let packet = rewritten(&format!(r#"{head}[ "\u0063hat:jo\/\uD83d\ude00","\u0063"]"#));
            assert_eq!(packet, format!(r#"{head}[ "chat:jo/😀","\u0063"]"#));
        }
    }

    #[test]
    fn a_character_that_needs_an_escape_is_replaced() {
        for escape in [r#"\""#, r"\\", r"\n", r"\b", r"\u0000", r"\u0022", r"\u005c", r"\ud83d", r"\uDE00"] {
            assert_eq!(rewritten(&format!(r#"2["a{escape}",1]"#)), "2[\"a\u{fffd}\",1]", "{escape}");
        }
    }

    #[test]
    fn every_other_packet_stays_as_it_is() {
        for packet in [
            "",
            "2",
            r#"2["chat:join",{"a":"\u0063"}]"#,
            r#"0{"token":"\u0063"}"#,
            r#"31["\u0063"]"#,
            r#"2["a\x"]"#,
            r#"2["a\u00g0"]"#,
            r#"2["a\u00+1"]"#,
            r#"2["a\"#,
            r#"2["a\u00"#,
            r#"2["a\u00üb"]"#,
            r#"2[1,"\u0063"]"#,
            r#"2{"\u0063":1}"#,
        ] {
            assert_eq!(rewritten(packet), packet);
        }
    }
}
