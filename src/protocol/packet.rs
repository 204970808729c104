//! Socket.IO's packets on namespace `/`, as text: an event is `2["name",payload]`, an acknowledgement `3<id>[answer]`.
//! Packets that go out are given in pieces, which the hub puts into one buffer for all receivers.

use serde::de::{Deserializer as _, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::{Value, value::RawValue};

use super::Payload;

/// An event, with a payload that is JSON already.
pub fn event_packet<'a>(name: &'a str, payload: &'a str) -> [&'a str; 5] {
    ["2[\"", name, "\",", payload, "]"]
}

/// An event's packet with a further argument: its position, which a client that comes back gives as its `offset`.
pub fn with_position<'a>(packet: &'a str, position: &'a str) -> [&'a str; 4] {
    [packet.strip_suffix(']').unwrap_or_default(), ",\"", position, "\"]"]
}

/// The answer, which is JSON already, to the event whose packet has this id.
pub fn ack_packet<'a>(id: &'a str, answer: &'a str) -> [&'a str; 5] {
    ["3", id, "[", answer, "]"]
}

/// Reads the array of an event's packet, `["name", payload, …]`, in one go. Of a broken payload the readable fields are
/// kept, and a broken packet keeps its name: each event answers it like its error case. Binary leaves placeholder objects.
pub fn parse_event(array: &str) -> (String, Payload) {
    let mut name = String::new();
    let mut json = serde_json::Deserializer::from_str(array);
    let parsed = json.deserialize_seq(Parts(&mut name)).and_then(|payload| json.end().map(|()| payload.into()));
    let payload = parsed.unwrap_or_else(|_| {
        // Seldom: something in it cannot be read, such as half an emoji or a value that is nested too deep.
        let parts: Vec<&RawValue> = serde_json::from_str(array).unwrap_or_default();
        parts.get(1).map_or_else(Payload::default, |payload| Payload::of_event(payload.get()))
    });
    (name, payload)
}

/// Reads the parts of an event, the name first: it is kept whatever follows.
struct Parts<'a>(&'a mut String);

impl<'de> Visitor<'de> for Parts<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array with a name and a payload")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Value, A::Error> {
        *self.0 = parts.next_element()?.ok_or_else(|| A::Error::custom("no name"))?;
        let payload = parts.next_element()?.unwrap_or_default();
        while parts.next_element::<IgnoredAny>()?.is_some() {}
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::Error,
        protocol::{ConversationRef, SendMessage},
    };

    #[test]
    fn one_bad_field_does_not_hide_which_message_failed() {
        let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
        let text = format!(r#"["chat:send_message",{{"message":"hi","attachments":{deep},"tempId":"t"}}]"#);
        let send = SendMessage::from(&parse_event(&text).1);
        assert_eq!(send.temp_id, Some("t".into()));
        assert!(matches!(send.draft, Err(Error::InvalidAttachment(_))));
    }

    fn parsed(text: &str) -> (String, bool) {
        let (event, payload) = parse_event(text);
        (event, ConversationRef::from(&payload).0.is_some())
    }

    #[test]
    fn a_bad_payload_does_not_hide_the_event() {
        let good = r#"["chat:join",{"conversationId":"00000000-0000-4000-8000-000000000001"}]"#;
        assert_eq!(parsed(good), ("chat:join".to_owned(), true));
        let more = good.replace("}]", r#"},"\ud83d",[1]]"#);
        assert_eq!(parsed(&more), ("chat:join".to_owned(), true));
        let deep = format!(r#"["chat:join",{}1{}]"#, "[".repeat(10_000), "]".repeat(10_000));
        for bad in [r#"["chat:join"]"#, r#"["chat:join",null]"#, r#"["chat:join",NaN]"#, r#"["chat:join",{"#, &deep] {
            assert_eq!(parsed(bad), ("chat:join".to_owned(), false));
        }
        let broken_end = good.replace("}]", "},NaN]");
        assert_eq!(parsed(&broken_end), ("chat:join".to_owned(), false));
        for nameless in ["", "[", "[]", "[1]", "{}"] {
            assert_eq!(parsed(nameless), (String::new(), false));
        }
    }
}
