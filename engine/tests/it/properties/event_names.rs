//! Names of Socket.IO events, however they are written.

use engineioxide::{Str, internals::without_escapes};
use proptest::prelude::*;

fn rewritten(packet: &str) -> String {
    without_escapes(Str::copy_from_slice(packet)).as_str().to_owned()
}

/// What comes before an event's array: a type, the number of binaries, a namespace, an acknowledgement's id.
const HEAD: &str = "(2|5[0-9]{1,3}-)(/[^,]{0,8},)?[0-9]{0,5}";
const ESCAPES: [(&str, char); 8] = [
    (r#"\""#, '"'),
    (r"\\", '\\'),
    (r"\/", '/'),
    (r"\b", '\u{8}'),
    (r"\f", '\u{c}'),
    (r"\n", '\n'),
    (r"\r", '\r'),
    (r"\t", '\t'),
];

fn is_impossible_without_escape(c: char) -> bool {
    c < ' ' || c == '"' || c == '\\'
}

/// A part of a name, as it is written and in UTF-16.
fn part() -> impl Strategy<Value = (String, Vec<u16>)> {
    let units = |c: char| c.encode_utf16(&mut [0; 2]).to_vec();
    let plain = any::<char>().prop_filter("it needs an escape", |c| !is_impossible_without_escape(*c));
    let unit = prop_oneof![any::<u16>(), 0xd800_u16..0xe000, 0_u16..0x80];
    prop_oneof![
        plain.prop_map(move |c| (c.to_string(), units(c))),
        prop::sample::select(&ESCAPES[..]).prop_map(move |(escape, c)| (escape.to_owned(), units(c))),
        (unit, any::<bool>()).prop_map(|(unit, is_upper)| {
            let escape = if is_upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
            (escape, vec![unit])
        }),
    ]
}

proptest! {
    #![proptest_config(super::cases(2000))]

    #[test]
    fn a_name_keeps_its_meaning_without_escapes(
        head in HEAD,
        space in "[ \t\r\n]{0,3}",
        parts in prop::collection::vec(part(), 0..12),
        rest in ".{0,20}",
    ) {
        let written: String = parts.iter().map(|(written, _)| &**written).collect();
        let units: Vec<u16> = parts.iter().flat_map(|(_, units)| units).copied().collect();
        let possible = |c| if is_impossible_without_escape(c) { char::REPLACEMENT_CHARACTER } else { c };
        let name: String = String::from_utf16_lossy(&units).chars().map(possible).collect();
        let packet = format!("{head}[{space}\"{written}\"{rest}");
        prop_assert_eq!(rewritten(&packet), format!("{head}[{space}\"{name}\"{rest}"));
    }

    #[test]
    fn any_packet_is_rewritten_without_a_panic_and_once(
        head in prop_oneof![HEAD, ".{0,5}"],
        name in r#"(\[ ?"?)?[\\u0-9a-fA-F"/ü]{0,30}"#,
        rest in ".{0,10}",
    ) {
        let packet = format!("{head}{name}{rest}");
        let once = rewritten(&packet);
        prop_assert_eq!(&rewritten(&once), &once);
        if !packet.contains('\\') {
            prop_assert_eq!(once, packet);
        }
    }

    #[test]
    fn a_packet_that_is_no_event_stays_as_it_is(
        packet_type in "[^25]?",
        head in "[0-9-]{0,4}(/[a-z]{0,3},)?",
        parts in prop::collection::vec(part(), 0..12),
    ) {
        let written: String = parts.iter().map(|(written, _)| &**written).collect();
        let packet = format!("{packet_type}{head}[\"{written}\"]");
        prop_assume!(!packet.starts_with(['2', '5']));
        prop_assert_eq!(rewritten(&packet), packet);
    }
}
