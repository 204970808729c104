//! A message or a reply as clients send it, read as leniently as everything else that comes in.

use serde_json::Value;

use super::{ConversationRef, Payload, acting::reply_to};
use crate::{
    domain::{Attachment, Draft, MAX_ATTACHMENTS, MAX_CLIENT_ID_CHARS},
    error::{Error, Result},
};

/// `chat:send_message`, and the body of `POST /conversations/:id/messages`.
#[derive(Clone, Debug)]
pub struct SendMessage {
    pub conversation: ConversationRef,
    /// The message; an error if a field has the wrong shape.
    pub draft: Result<Draft>,
    /// The `tempId` as sent, given back in every answer.
    pub temp_id: Option<Value>,
    /// The `conversationId` as sent, given back on failure.
    pub raw_conversation_id: Option<Value>,
}

impl From<&Payload> for SendMessage {
    fn from(p: &Payload) -> Self {
        let short = |v: &&Value| match v {
            Value::String(s) => s.len() <= 4 * MAX_CLIENT_ID_CHARS,
            Value::Number(_) => true,
            _ => false,
        };
        Self {
            conversation: p.into(),
            draft: read_draft(p),
            temp_id: p.0.get("tempId").filter(short).cloned(),
            raw_conversation_id: p.0.get("conversationId").filter(short).cloned(),
        }
    }
}

impl SendMessage {
    /// Reads a reply: a message with `replyToMessageId`.
    pub fn reply(p: &Payload) -> Self {
        let mut send = Self::from(p);
        send.draft = send.draft.and_then(|draft| Ok(Draft { reply_to: Some(reply_to(p)?), ..draft }));
        send
    }
}

fn read_draft(p: &Payload) -> Result<Draft> {
    let text = match p.0.get("message") {
        Some(Value::String(s)) => s.clone(),
        None | Some(Value::Null) => String::new(),
        Some(_) => return Err(Error::MessageRequired),
    };
    let temp_id = match p.0.get("tempId") {
        Some(Value::Number(n)) => Some(n.to_string()),
        _ => p.optional_text("tempId", MAX_CLIENT_ID_CHARS)?,
    }
    .filter(|id| !id.is_empty());
    let client_message_id = p.optional_text("clientMessageId", MAX_CLIENT_ID_CHARS)?.filter(|id| !id.is_empty());
    Ok(Draft { text, attachments: read_attachments(p)?, client_message_id, temp_id, reply_to: None })
}

fn read_attachments(p: &Payload) -> Result<Vec<Attachment>> {
    match p.0.get("attachments") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) if items.len() > MAX_ATTACHMENTS => Err(Error::TooManyAttachments),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| {
                serde_json::from_value(item.clone()).map_err(|_| {
                    Error::InvalidAttachment("An attachment is { name, type, size, url, path } as uploaded".into())
                })
            })
            .collect(),
        Some(_) => Err(Error::InvalidAttachment("attachments must be an array".into())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_of_the_wrong_type_is_a_missing_message() {
        for value in [json!(1), json!({}), json!([]), json!(true)] {
            let send = SendMessage::from(&Payload::from(json!({ "message": value })));
            assert_eq!(send.draft.unwrap_err(), Error::MessageRequired);
        }
    }

    #[test]
    fn temp_ids_come_back_as_they_were_sent() {
        for id in [json!("temp_1"), json!(17)] {
            let send = SendMessage::from(&Payload::from(json!({ "message": "x", "tempId": id })));
            assert_eq!(send.temp_id, Some(id));
        }
    }

    #[test]
    fn placeholders_of_binary_are_no_attachments() {
        let p = Payload::from(json!({ "message": "x", "attachments": [{ "_placeholder": true, "num": 0 }] }));
        assert!(matches!(SendMessage::from(&p).draft, Err(Error::InvalidAttachment(_))));
    }
}
