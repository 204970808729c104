//! Sending a message or a reply (contract §Sending). The answer comes from the sending pipeline (`chat/sending/reply`).

use serde_json::Value;

use super::dispatch::Call;
use crate::{
    chat::sending::{ReplyTo, SendRequest, SenderSocket},
    error::Error,
    protocol::{SendMessage, events::incoming},
};

/// `chat:send_message` and `chat:send_reply`.
pub async fn send(call: Call) {
    let asked = if is_reply(&call) { SendMessage::reply(&call.payload) } else { SendMessage::from(&*call.payload) };
    let SendMessage { conversation, draft, temp_id, raw_conversation_id } = asked;
    let destination = conversation.required().map(|id| call.chat.destination(id));
    if let Ok(destination) = destination {
        // In another lane it could overtake what is still on its way in this one.
        let next = destination.lane();
        let last = *call.session.lane.lock();
        if last.is_some_and(|last| last != next) {
            call.session.sends_done().await;
        }
        *call.session.lane.lock() = Some(next);
    }
    let Ok(permit) = call.session.sends.clone().acquire_owned().await else { return };
    let temp_id_again = temp_id.as_ref().is_some_and(|id| call.session.is_temp_id_again(id));
    let (sender, permit) = (call.connection.user(), Some(permit));
    let reply = reply_to(&call, temp_id, raw_conversation_id);
    call.chat.send(SendRequest { sender, destination, draft, temp_id_again, permit, reply });
}

/// Answers a send that is not handled at all.
pub fn refuse(call: &Call, error: &Error) {
    let SendMessage { temp_id, raw_conversation_id, .. } = SendMessage::from(&*call.payload);
    reply_to(call, temp_id, raw_conversation_id).failed(error);
}

fn is_reply(call: &Call) -> bool {
    *call.event == *incoming::SEND_REPLY
}

fn reply_to(call: &Call, temp_id: Option<Value>, conversation_id: Option<Value>) -> ReplyTo {
    ReplyTo::from(SenderSocket {
        hub: call.chat.hub().clone(),
        in_flight: call.chat.in_flight().clone(),
        connection: call.connection.clone(),
        ack: call.take_ack(),
        is_reply: is_reply(call),
        temp_id,
        conversation_id,
    })
}
