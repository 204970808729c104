//! Part A's events: parse, call the use case, reply (contract §2, Socket events).

use serde_json::{Value, json};

use super::dispatch::Call;
use crate::{
    chat::{Origin, Sent},
    domain::ConversationId,
    error::{Error, Result},
    protocol::{
        ConversationRef, Failure, ListConversations, ListMessages, MessagesPage, SendFailure, SendMessage, Typing,
        events::{incoming, outgoing},
    },
};

/// The table of events. Whatever comes after a message waits until that is stored, so that it sees it.
pub async fn dispatch(call: Call, lane: &mut Option<usize>) {
    if call.event == incoming::SEND_MESSAGE {
        return send_message(call, lane).await;
    }
    call.session.sends_done().await;
    match call.event.as_str() {
        incoming::JOIN => join(call).await,
        incoming::LEAVE => leave(call).await,
        incoming::TYPING => typing(call).await,
        incoming::MARK_READ => mark_read(call).await,
        incoming::GET_CONVERSATIONS => get_conversations(call).await,
        incoming::GET_MESSAGES => get_messages(call).await,
        _ => unknown(call),
    }
}

/// Answers an event that is not handled at all, because too many wait.
pub fn refuse(mut call: Call, error: &Error) {
    if call.event == incoming::SEND_MESSAGE {
        let send = SendMessage::from(&call.payload);
        send_failed(&mut call, &send.into(), error);
    } else {
        call.error(error, "Server is busy");
    }
}

async fn join(mut call: Call) {
    let joined = async {
        let id = ConversationRef::from(&call.payload).required()?;
        call.chat.join(&call.connection, id).await?;
        Ok(id)
    };
    match joined.await {
        Ok(id) => {
            let payload = json!({ "conversationId": id });
            call.emit(outgoing::JOINED, &payload);
            call.succeed(payload);
        }
        Err(e) => call.error(&e, "Failed to join conversation"),
    }
}

async fn leave(mut call: Call) {
    match ConversationRef::from(&call.payload).required() {
        Ok(id) => {
            let left = call.chat.leave(&call.connection, id).await;
            call.succeed(json!({ "conversationId": id, "left": left }));
        }
        // To leave what one is not in is no error on the wire; only who asks hears of it.
        Err(e) => call.fail(&Failure::new(&e, "Failed to leave conversation")),
    }
}

async fn typing(mut call: Call) {
    let typed = async {
        let typing = Typing::try_from(&call.payload)?;
        let id = typing.conversation.required()?;
        call.chat.typing(&call.connection, id, typing.is_typing).await?;
        Ok(json!({ "conversationId": id, "isTyping": typing.is_typing }))
    };
    match typed.await {
        Ok(data) => call.succeed(data),
        Err(e) => call.fail(&Failure::new(&e, "Failed to update typing status")),
    }
}

async fn mark_read(mut call: Call) {
    let marked: Result<(ConversationId, i64)> = async {
        let id = ConversationRef::from(&call.payload).required()?;
        Ok((id, call.chat.mark_read(&call.connection.user, id, Some(&call.connection)).await?))
    }
    .await;
    match marked {
        Ok((id, count)) => call.succeed(json!({ "conversationId": id, "count": count })),
        Err(e) => call.error(&e, "Failed to mark messages as read"),
    }
}

async fn get_conversations(mut call: Call) {
    let listed = async {
        let list = ListConversations::try_from(&call.payload)?;
        call.chat.conversations(&call.connection.user, &list).await
    };
    match listed.await {
        Ok(list) => {
            let view = list.view();
            call.emit(outgoing::CONVERSATIONS, &view);
            call.succeed(view);
        }
        // The contract has one text for every reason; the code tells them apart.
        Err(e) => call.fail_with_error(&Failure::with_message("Failed to get conversations", e.code())),
    }
}

async fn get_messages(mut call: Call) {
    let list = ListMessages::from(&call.payload);
    let page = async {
        let id = list.conversation.required()?;
        Ok((id, call.chat.messages(&call.connection.user, id, &list).await?))
    };
    match page.await {
        Ok((conversation_id, page)) => {
            let view = MessagesPage { conversation_id, messages: page.view() };
            call.emit(outgoing::MESSAGES, &view);
            call.succeed(view);
        }
        Err(e) => call.error(&e, "Failed to get messages"),
    }
}

fn unknown(mut call: Call) {
    // Socket.IO ignores events that nobody listens to; who asked for an answer gets one.
    call.fail(&Failure::with_message("Unknown event", "unknown_event"));
}

/// What a failed send gives back of what the client sent.
struct Sender {
    temp_id: Option<Value>,
    conversation_id: Option<Value>,
}

impl From<SendMessage> for Sender {
    fn from(send: SendMessage) -> Self {
        Self { temp_id: send.temp_id, conversation_id: send.raw_conversation_id }
    }
}

async fn send_message(mut call: Call, lane: &mut Option<usize>) {
    let asked = SendMessage::from(&call.payload);
    let conversation = asked.conversation.required();
    if let Ok(id) = conversation {
        // Another lane could overtake what is still on its way in this one.
        let next = call.chat.lane_of(id);
        if lane.replace(next).is_some_and(|last| last != next) {
            call.session.sends_done().await;
        }
    }
    let Ok(permit) = call.session.sends.clone().acquire_owned().await else { return };
    let draft = asked.draft.clone();
    let draws_itself = asked.temp_id.as_ref().is_some_and(|id| *id != Value::String(String::new()));
    let origin = Origin { connection: call.connection.clone(), draws_itself };
    let sender = Sender::from(asked);
    let chat = call.chat.clone();
    let user = call.connection.user.clone();
    let done = Box::new(move |result: Result<&Sent>| match result {
        Ok(sent) => {
            call.emit(outgoing::MESSAGE_SENT, &sent.view().with_temp_id(sender.temp_id.as_ref()));
            call.succeed(sent.view().with_temp_id(sender.temp_id.as_ref()));
        }
        Err(e) => send_failed(&mut call, &sender, &e),
    });
    chat.send(user, conversation, draft, Some(origin), Some(permit), done);
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
        },
    );
    if sender.temp_id.is_none() {
        call.emit(outgoing::ERROR, &failure);
    }
    call.fail(&failure);
}
