//! The wire: the server's event names, what comes in and what goes out (contract §Client events, contract §Server events).

mod acting;
mod answers;
pub mod events;
mod inbound;
pub mod json;
mod lenient;
mod lists;
mod message;
mod outbound;
mod packet;
mod recovery;
mod sending;
mod sync;
mod time;

pub use crate::domain::{Before, Position};
pub use acting::{ListEdits, MessageRef, NewText, deletes_for_everyone, named_message, not_an_entry, reaction};
pub use answers::{Ack, AckPage, Failure, SendFailure, ack_around};
pub use inbound::{ConversationRef, CreateConversation, FileLink, Payload, Typing};
pub use lists::{ListConversations, ListMessages, SearchUsers};
pub use message::{EditView, MessageJson, MessageView};
pub use outbound::{
    ConversationView, MessageDeleted, MessageDelivered, MessagesPage, MessagesRead, ParticipantView, PersonView,
    ReactionChanged, RoomMember, UserStatus, UserTyping,
};
pub use packet::{ack_packet, event_packet, parse_event, with_position};
pub use recovery::{Happening, What};
pub use sending::SendMessage;
pub use sync::{
    HiddenView, JoinedView, KnownToClient, MissedView, ReadView, SyncRequest, SyncView, SyncedView, join_limit,
    last_seq,
};
pub use time::rfc3339;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    /// Field names that clients send, and some that they do not.
    fn field() -> impl Strategy<Value = String> {
        const KNOWN: &[&str] = &[
            "conversationId",
            "message",
            "tempId",
            "clientMessageId",
            "attachments",
            "replyToMessageId",
            "isTyping",
            "limit",
            "offset",
            "before",
            "after",
            "since",
            "conversations",
            "lastSeq",
            "messageId",
            "newText",
            "deletionType",
            "reaction",
            "participantId",
            "type",
            "metadata",
            "subject",
            "relatedEntityId",
            "search",
            "role",
            "token",
            "name",
            "expires",
            "signature",
        ];
        prop_oneof![9 => proptest::sample::select(KNOWN).prop_map(str::to_owned), 1 => any::<String>()]
    }

    /// Values of every type, and strings that are nearly what is wanted.
    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            Just("00000000-0000-4000-8000-000000000001".to_owned()),
            Just("2026-01-02T03:04:05Z".to_owned()),
            "[0-9a-f-]{30,40}",
            "-?[0-9]{1,25}",
            "([0-9a-f-]{36}:[0-9]{1,3},?){0,4}",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..12).prop_map(Value::from),
                proptest::collection::vec((field(), inner), 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Whatever comes, it is read or refused; what is read keeps to its bounds.
        #[test]
        fn no_payload_is_too_strange(fields in proptest::collection::vec((field(), value()), 0..10)) {
            let payload = Payload::from(Value::Object(fields.into_iter().collect()));
            let send = SendMessage::from(&payload);
            drop(send.draft.and_then(|draft| draft.check(5000)));
            drop(SendMessage::reply(&payload).draft.and_then(|draft| draft.check(5000)));
            prop_assert!((1..=200).contains(&ListMessages::from(&payload).limit));
            if let Ok(list) = ListConversations::try_from(&payload) {
                prop_assert!((1..=200).contains(&list.limit));
            }
            if let Ok(sync) = SyncRequest::try_from(&payload) {
                prop_assert!((1..=500).contains(&sync.limit));
                if let KnownToClient::Conversations(known) = sync.known {
                    prop_assert!(known.len() <= 100 && known.iter().all(|(_, seq)| *seq >= 0));
                }
            }
            if let Ok(Some(seq)) = last_seq(&payload) {
                prop_assert!(seq >= 0);
            }
            drop(CreateConversation::try_from(&payload));
            if let Ok(list) = ListEdits::try_from(&payload) {
                prop_assert!((1..=200).contains(&list.limit));
            }
            prop_assert!((1..=100).contains(&SearchUsers::from(&payload).limit));
            drop((Typing::try_from(&payload).map(|t| t.conversation.required()), ConversationRef::from(&payload).required()));
            drop((MessageRef::from(&payload).required(), NewText::from_field(&payload, "newText")));
            drop((deletes_for_everyone(&payload), reaction(&payload, true), reaction(&payload, false), payload.link()));
        }
    }
}
