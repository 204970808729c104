//! JSON as JavaScript clients write it. serde_json refuses half of a surrogate pair (`"\ud83d"`, an emoji cut in two),
//! which JavaScript strings may hold; Node writes it as U+FFFD, and so do we.

use std::{borrow::Cow, fmt};

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};

/// Stands for a field that cannot be read: the wrong type for every field that is looked at.
const UNREADABLE: &str = "unreadable";

/// Parses a JSON text. Only a text that was refused is looked at for surrogates.
pub(super) fn value(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| {
        let mended = replace_lone_surrogates(text)?;
        serde_json::from_str(&mended).ok()
    })
}

/// Parses the bytes of a JSON body: UTF-8 with or without a byte order mark, in which anything that is no UTF-8
/// becomes U+FFFD.
pub(super) fn bytes(body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    serde_json::from_slice(body).ok().or_else(|| value(&String::from_utf8_lossy(body)))
}

/// Parses an object with fields that cannot be read, such as one nested too deep. Only those are lost: each becomes a
/// value of the wrong type. Anything but an object has no fields.
pub(super) fn readable_fields(text: &str) -> Map<String, Value> {
    let mended = replace_lone_surrogates(text).map_or(Cow::Borrowed(text), Cow::Owned);
    let mut fields = Map::new();
    let mut json = serde_json::Deserializer::from_str(&mended);
    if json.deserialize_map(Fields(&mut fields)).is_err() {
        fields.clear();
    }
    fields
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let text = map.next_value::<&RawValue>()?.get();
            let value = serde_json::from_str(text).unwrap_or_else(|_| serde_json::json!({ UNREADABLE: true }));
            self.0.insert(name, value);
        }
        Ok(())
    }
}

/// Replaces each `\uD800`–`\uDFFF` that is not half of a pair with `\ufffd`. `None` where there is none.
fn replace_lone_surrogates(text: &str) -> Option<String> {
    let mut mended: Option<String> = None;
    // Up to here everything is in `mended`, if there is one.
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        let start = at + found;
        at = match (escaped_unit(text, start), escaped_unit(text, start + UNIT)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => start + 2 * UNIT,
            (Some(0xD800..=0xDFFF), _) => {
                let mended = mended.get_or_insert_with(|| String::with_capacity(text.len()));
                mended.push_str(&text[copied..start]);
                mended.push_str("\\ufffd");
                copied = start + UNIT;
                copied
            }
            (Some(_), _) => start + UNIT,
            // A backslash and what it escapes, be it a backslash: neither begins another escape.
            (None, _) => start + 1 + text[start + 1..].chars().next().map_or(0, char::len_utf8),
        };
    }
    mended.map(|mut mended| {
        mended.push_str(&text[copied..]);
        mended
    })
}

/// The length of `\u0000`.
const UNIT: usize = 6;

/// The UTF-16 unit that is escaped at `at`.
fn escaped_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + UNIT)?.strip_prefix("\\u")?;
    // A sign would be parsed too.
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn half_a_pair_becomes_the_replacement_character_and_a_pair_stays() {
        let table = [
            (r#""a \ud83d""#, "a \u{fffd}"),
            (r#""\uDE00 b""#, "\u{fffd} b"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud83d\ud83d\ude00\ude00""#, "\u{fffd}😀\u{fffd}"),
            (r#""\ud83d😀é""#, "\u{fffd}😀é"),
            (r#""\\ud83d \ud83d""#, "\\ud83d \u{fffd}"),
            (r#""\\\ud83d""#, "\\\u{fffd}"),
            (r#""\ud83d\n\u00e9""#, "\u{fffd}\né"),
            (r#""\ud83d\\ude00""#, "\u{fffd}\\ude00"),
        ];
        for (text, read) in table {
            assert_eq!(value(text), Some(json!(read)), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in ["", r#""\ud83d"#, r#""\ud8""#, r#"{"\ud83d"}"#, "\\", "\\é", r#""\u+123""#] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn a_body_may_begin_with_a_byte_order_mark_and_hold_broken_utf_8() {
        assert_eq!(bytes(b"\xef\xbb\xbf{\"a\":1}"), Some(json!({ "a": 1 })));
        assert_eq!(bytes(b"\"\xff\""), Some(json!("\u{fffd}")));
    }

    #[test]
    fn a_field_that_is_too_deep_does_not_hide_the_others() {
        let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
        let fields = readable_fields(&format!(r#"{{"tempId":"t","message":{deep},"x":"\ud83d"}}"#));
        assert_eq!(Value::Object(fields), json!({ "tempId": "t", "message": { UNREADABLE: true }, "x": "\u{fffd}" }));
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        for text in ["", "[1]", r#"{"tempId":"t","a":NaN}"#] {
            assert!(readable_fields(text).is_empty(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_javascript_writes_is_read(units in proptest::collection::vec(any::<u16>(), 0..40)) {
            let mut escaped = String::new();
            units.iter().try_for_each(|unit| write!(escaped, "\\u{unit:04x}"))?;
            prop_assert_eq!(value(&format!("\"{escaped}\"")), Some(json!(String::from_utf16_lossy(&units))));
        }
    }
}
