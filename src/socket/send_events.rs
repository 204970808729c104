//! Sending a message or a reply (contract §Sending). The answer comes from the sending pipeline (`chat/sending/reply`).

use serde_json::Value;

use super::call::Call;
use crate::{
    chat::sending::{ReplyTo, SendRequest, SenderSocket},
    error::{Error, Result},
    protocol::SendMessage,
};

pub async fn send_message(call: &mut Call) -> Result<()> {
    let asked = SendMessage::from(&call.payload);
    send(call, asked, false).await
}

pub async fn send_reply(call: &mut Call) -> Result<()> {
    let asked = SendMessage::reply(&call.payload);
    send(call, asked, true).await
}

async fn send(call: &mut Call, asked: SendMessage, is_reply: bool) -> Result<()> {
    let SendMessage { conversation, draft, temp_id, raw_conversation_id } = asked;
    let destination = conversation.required().map(|id| call.chat.sending.destination(id));
    if let Ok(destination) = destination {
        // In another lane it could overtake what is still on its way in this one.
        let next = destination.lane;
        let last = *call.session.lane.lock();
        if last.is_some_and(|last| last != next) {
            call.session.sends_done().await;
        }
        *call.session.lane.lock() = Some(next);
    }
    let Ok(permit) = call.session.sends.clone().acquire_owned().await else { return Ok(()) };
    let temp_id_again = temp_id.as_ref().is_some_and(|id| call.session.is_temp_id_again(id));
    let (sender, permit) = (call.connection.user(), Some(permit));
    let reply = reply_to(call, temp_id, raw_conversation_id, is_reply);
    call.chat.sending.send(SendRequest { sender, destination, draft, temp_id_again, permit, reply });
    Ok(())
}

/// Answers a send whose handler did not run, or not to its end.
pub fn refuse_send(call: &mut Call, error: &Error) {
    let SendMessage { temp_id, raw_conversation_id, .. } = SendMessage::from(&call.payload);
    reply_to(call, temp_id, raw_conversation_id, false).failed(error);
}

fn reply_to(call: &mut Call, temp_id: Option<Value>, conversation_id: Option<Value>, is_reply: bool) -> ReplyTo {
    ReplyTo::from(SenderSocket {
        hub: call.hub.clone(),
        in_flight: call.chat.core.tasks.in_flight.clone(),
        connection: call.connection.clone(),
        ack: call.take_ack(),
        is_reply,
        temp_id,
        conversation_id,
    })
}
