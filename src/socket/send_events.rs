//! Sending a message or a reply, and saying so when it failed (contract §Sending).

use serde_json::Value;

use super::dispatch::Call;
use crate::{
    chat::{Origin, Sent},
    error::{Error, Result},
    hub::Event,
    protocol::{
        Failure, SendFailure, SendMessage,
        events::{incoming, outgoing},
    },
};

/// What a failed send gives back of what the client sent.
struct Sender {
    temp_id: Option<Value>,
    conversation_id: Option<Value>,
}

/// `chat:send_message` and `chat:send_reply`.
pub async fn send(call: Call) {
    let is_reply = *call.event == *incoming::SEND_REPLY;
    let asked = if is_reply { SendMessage::reply(&call.payload) } else { SendMessage::from(&*call.payload) };
    let conversation = asked.conversation.required();
    if let Ok(id) = conversation {
        // Another lane could overtake what is still on its way in this one.
        let next = call.chat.lane_of(id);
        let last = *call.session.lane.lock();
        if last.is_some_and(|last| last != next) {
            call.session.sends_done().await;
        }
        *call.session.lane.lock() = Some(next);
    }
    let Ok(permit) = call.session.sends.clone().acquire_owned().await else { return };
    let SendMessage { draft, temp_id, raw_conversation_id, .. } = asked;
    let draws_itself = temp_id.as_ref().is_some_and(draws);
    let temp_id_again = temp_id.as_ref().is_some_and(|id| call.session.is_temp_id_again(id));
    let origin = Origin { connection: call.connection.clone(), draws_itself, temp_id_again };
    let sender = Sender { temp_id, conversation_id: raw_conversation_id };
    let chat = call.chat.clone();
    let user = call.connection.user();
    let mut unanswered = Unanswered(Some((call, sender)));
    let done = Box::new(move |result: Result<&Sent>| {
        unanswered.answer(result, is_reply);
    });
    chat.send(user, conversation, draft, Some(origin), Some(permit), done);
}

/// Whether a client that sends this `tempId` draws the message itself.
fn draws(temp_id: &Value) -> bool {
    *temp_id != Value::String(String::new())
}

/// A send whose client waits for the outcome. Where nobody tells it, because what was to tell panicked, it hears that
/// sending failed.
struct Unanswered(Option<(Call, Sender)>);

impl Unanswered {
    fn answer(&mut self, result: Result<&Sent>, is_reply: bool) {
        let Some((call, sender)) = &mut self.0 else { return };
        match result {
            Ok(sent) => {
                let event = if is_reply { outgoing::REPLY_SENT } else { outgoing::MESSAGE_SENT };
                let message = sent.json().with_temp_id(sender.temp_id.as_ref());
                let event = Event::of_json(event, &message);
                // Who draws no message waits for no answer: the message itself comes to it, too.
                let temp_id = sender.temp_id.as_ref().filter(|id| draws(id) && call.connection.pid.is_some());
                let event = match sent.happening(temp_id) {
                    Some(happening) => event.recoverable(happening),
                    None => event,
                };
                call.chat.hub().emit_to(&call.connection, &event);
                call.succeed_with(&message);
            }
            Err(e) => send_failed(call, sender, &e),
        }
        self.0 = None;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        // A server that stops drops what waits: its clients ask again when they are back.
        if let Some((mut call, sender)) = self.0.take().filter(|(call, _)| !call.chat.is_stopping()) {
            send_failed(&mut call, &sender, &Error::Internal);
        }
    }
}

/// Answers a send that is not handled at all.
pub fn refuse(mut call: Call, error: &Error) {
    let SendMessage { temp_id, raw_conversation_id: conversation_id, .. } = SendMessage::from(&*call.payload);
    let sender = Sender { temp_id, conversation_id };
    send_failed(&mut call, &sender, error);
}

fn send_failed(call: &mut Call, sender: &Sender, error: &Error) {
    const FAILED: &str = "Failed to send message";
    let failure = Failure::new(error, FAILED);
    let message = failure.message().to_owned();
    call.emit(
        outgoing::MESSAGE_FAILED,
        &SendFailure {
            temp_id: sender.temp_id.as_ref(),
            conversation_id: sender.conversation_id.as_ref(),
            message,
            code: error.code(),
            retry_after_ms: error.retry_after_ms(),
        },
    );
    if sender.temp_id.is_none() {
        call.emit(outgoing::ERROR, &failure);
    }
    call.fail(&failure);
}
