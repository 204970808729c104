//! Random payloads, frames, event names and bodies.

mod bodies;
mod event_names;

use bytes::Bytes;
use engineioxide::{
    Frame,
    internals::{Decoder, Incoming, Message, decode, encode},
};
use proptest::prelude::*;

const MAX: usize = 1000;

fn cases(usual: u32) -> ProptestConfig {
    ProptestConfig::with_cases(crate::support::runs(usual))
}

fn frame(first: u8, mask: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match data.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        medium => {
            frame.push(0x80 | 126);
            frame.extend((medium as u16).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(data.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// All that a decoder makes of these bytes, when they come in pieces.
fn decoded(bytes: &[u8], pieces: &[usize]) -> Vec<String> {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    let mut rest = bytes.to_vec();
    let mut pieces = pieces.iter().cycle();
    while !rest.is_empty() {
        let count = pieces.next().map_or(rest.len(), |size| (*size).clamp(1, rest.len()));
        let mut piece: Vec<u8> = rest.drain(..count).collect();
        let mut input = &mut piece[..];
        loop {
            match decoder.decode(&mut input, MAX, MAX) {
                Ok(Some(Message::Text(text))) => found.push(format!("text {text}")),
                Ok(Some(Message::Binary(data))) => found.push(format!("binary {data:?}")),
                Ok(Some(other)) => found.push(format!("{other:?}")),
                Ok(None) => break,
                Err(fault) => {
                    found.push(format!("{fault:?}"));
                    return found;
                }
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn any_payload_is_decoded_without_a_panic(payload in any::<String>()) {
        let packets = decode(payload.clone()).count();
        prop_assert_eq!(packets, payload.matches('\x1e').count() + 1);
    }

    #[test]
    fn messages_come_out_of_a_payload_as_they_went_in(texts in prop::collection::vec("[^\u{1e}]{0,20}", 1..8)) {
        let payload: Vec<String> = texts.iter().map(|text| format!("4{text}")).collect();
        let decoded: Vec<_> = decode(payload.join("\x1e")).collect();
        let expected: Vec<_> = texts.iter().map(|text| Some(Incoming::Message(text.clone().into()))).collect();
        prop_assert_eq!(decoded, expected);
    }

    #[test]
    fn frames_come_out_of_their_payload_as_they_went_in(
        messages in prop::collection::vec((any::<bool>(), "[^\u{1e}]{0,200}"), 1..8),
    ) {
        let frame = |(is_text, text): &(bool, String)| {
            if *is_text { Frame::text(text) } else { Frame::binary(text.as_bytes()) }
        };
        let payload = encode(&messages.iter().map(frame).collect::<Vec<_>>());
        let decoded: Vec<_> = decode(String::from_utf8(payload).unwrap()).collect();
        let packet = |(is_text, text): &(bool, String)| {
            let text = text.clone();
            if *is_text { Incoming::Message(text.into()) } else { Incoming::Binary(Bytes::from(text)) }
        };
        prop_assert_eq!(decoded, messages.iter().map(|message| Some(packet(message))).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic_however_they_are_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        pieces in prop::collection::vec(1usize..40, 1..5),
    ) {
        prop_assert_eq!(decoded(&bytes, &pieces), decoded(&bytes, &[bytes.len().max(1)]));
    }

    #[test]
    fn frames_are_decoded_however_they_are_cut_and_split(
        messages in prop::collection::vec((any::<bool>(), ".{0,100}", 1usize..4, any::<[u8; 4]>()), 1..6),
        pieces in prop::collection::vec(1usize..200, 1..5),
    ) {
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        for (is_text, text, fragments, mask) in &messages {
            let data = text.as_bytes();
            let size = data.len().div_ceil(*fragments).max(1);
            let parts: Vec<&[u8]> = if data.is_empty() { vec![data] } else { data.chunks(size).collect() };
            for (i, part) in parts.iter().enumerate() {
                let opcode = if i > 0 { 0 } else if *is_text { 1 } else { 2 };
                let last = if i + 1 == parts.len() { 0x80 } else { 0 };
                wire.extend(frame(last | opcode, *mask, part));
                // A control frame may come between the fragments.
                wire.extend(frame(0x89, *mask, b"p"));
                if i + 1 < parts.len() {
                    expected.push("Ping([112])".to_owned());
                }
            }
            expected.push(if *is_text { format!("text {text}") } else { format!("binary {data:?}") });
            expected.push("Ping([112])".to_owned());
        }
        prop_assert_eq!(decoded(&wire, &pieces), expected);
    }
}

#[test]
fn faults_are_told_apart() {
    let fault = |bytes: &[u8]| decoded(bytes, &[1]).pop().unwrap();
    let mask = [1, 2, 3, 4];
    assert_eq!(fault(&frame(0x81, mask, &[0xff])), "NotText");
    assert_eq!(fault(&frame(0x81, mask, &[b'x'; MAX + 1])), "TooLarge");
    assert_eq!(fault(&[frame(0x01, mask, &[b'x'; 600]), frame(0x80, mask, &[b'x'; 600])].concat()), "TooLarge");
    for protocol in [
        vec![0x81, 0x01, b'x'],
        frame(0xc1, mask, b"x"),
        frame(0x83, mask, b"x"),
        frame(0x80, mask, b"x"),
        frame(0x09, mask, b"x"),
        frame(0x88, mask, b"x"),
        [frame(0x01, mask, b"x"), frame(0x81, mask, b"x")].concat(),
        frame(0x89, mask, &[0; 126]),
    ] {
        assert_eq!(fault(&protocol), "Protocol", "{protocol:?}");
    }
}
