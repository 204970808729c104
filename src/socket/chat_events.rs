//! The table of events, and those of a conversation: join, typing, read, list. Parse, call the use case, reply (contract §Client events).

use serde_json::json;

use super::{auth, dispatch::Call, message_events, send_events};
use crate::{
    domain::ConversationId,
    error::{Error, Result},
    limits::Kind,
    protocol::{
        ConversationRef, Failure, JoinedView, ListConversations, ListMessages, MessagesPage, SyncRequest, Typing,
        events::{incoming, outgoing},
        last_seq,
    },
};

/// The table of events. Whatever comes after a message waits until that is stored, so that it sees it.
pub async fn dispatch(call: Call) {
    let (limits, user) = (call.chat.limits(), call.connection.user_id);
    if let Err(e) = limits.rates.check(kind_of(&call.event), user) {
        if limits.rates.is_flooding(user) {
            call.chat.hub().expel(&call.connection);
        }
        return refuse(call, &e);
    }
    if is_send(&call.event) {
        return send_events::send(call).await;
    }
    call.session.sends_done().await;
    match &*call.event {
        incoming::JOIN => join(call).await,
        incoming::LEAVE => leave(call).await,
        incoming::TYPING => typing(call).await,
        incoming::MARK_READ => mark_read(call).await,
        incoming::GET_CONVERSATIONS => get_conversations(call).await,
        incoming::GET_MESSAGES => get_messages(call).await,
        incoming::SYNC => sync(call).await,
        incoming::AUTHENTICATE => auth::renew(call).await,
        incoming::EDIT_MESSAGE => message_events::edit_message(call).await,
        incoming::DELETE_MESSAGE => message_events::delete_message(call).await,
        incoming::ADD_REACTION | incoming::REMOVE_REACTION => message_events::react(call).await,
        _ => unknown(call),
    }
}

/// Of which limit an event takes its share.
fn kind_of(event: &str) -> Kind {
    match event {
        incoming::SEND_MESSAGE | incoming::SEND_REPLY => Kind::Message,
        incoming::TYPING => Kind::Typing,
        incoming::JOIN | incoming::LEAVE => Kind::Join,
        incoming::GET_CONVERSATIONS | incoming::GET_MESSAGES | incoming::SYNC => Kind::Read,
        _ => Kind::Action,
    }
}

fn is_send(event: &str) -> bool {
    matches!(event, incoming::SEND_MESSAGE | incoming::SEND_REPLY)
}

/// Answers an event that is not handled to its end: too many came or wait, or its handler panicked or took too long.
pub fn refuse(mut call: Call, error: &Error) {
    let failed = match &*call.event {
        incoming::SEND_MESSAGE | incoming::SEND_REPLY => return send_events::refuse(&call, error),
        incoming::EDIT_MESSAGE | incoming::DELETE_MESSAGE | incoming::ADD_REACTION | incoming::REMOVE_REACTION => {
            return message_events::refuse(call, error);
        }
        // Nobody waits to hear that typing was not told.
        incoming::TYPING => return call.fail(&Failure::new(error, "Failed to update typing status")),
        incoming::JOIN => "Failed to join conversation",
        incoming::LEAVE => "Failed to leave conversation",
        incoming::MARK_READ => "Failed to mark messages as read",
        incoming::GET_CONVERSATIONS => "Failed to get conversations",
        incoming::GET_MESSAGES => "Failed to get messages",
        incoming::SYNC => "Failed to sync",
        _ => "Internal server error",
    };
    call.error(error, failed);
}

async fn join(mut call: Call) {
    let chat = call.chat.clone();
    let connection = call.connection.clone();
    let joined = async {
        let id = ConversationRef::from(&*call.payload).required()?;
        let Some(last_seq) = last_seq(&call.payload)? else {
            chat.join(&connection, id).await?;
            return Ok((id, None));
        };
        let hold = chat.hub().hold(&connection);
        let missed = chat.join_after(&connection, id, last_seq).await?;
        hold.tell(id, missed.up_to);
        Ok((id, Some((missed, hold))))
    };
    match joined.await {
        Ok((conversation_id, missed)) => {
            let sync = missed.as_ref().map(|(missed, _)| missed.view());
            let payload = JoinedView { conversation_id, sync };
            call.emit_now(outgoing::JOINED, &payload);
            call.succeed(payload);
        }
        Err(e) => call.error(&e, "Failed to join conversation"),
    }
}

async fn sync(mut call: Call) {
    let chat = call.chat.clone();
    let connection = call.connection.clone();
    let synced = async {
        let request = SyncRequest::try_from(&*call.payload)?;
        let hold = chat.hub().hold(&connection);
        let synced = chat.sync(&connection.user(), request).await?;
        for (conversation, seq) in synced.covers() {
            hold.tell(conversation, seq);
        }
        Ok((synced, hold))
    };
    match synced.await {
        // It may be large: once is enough.
        Ok((synced, _hold)) if call.wants_answer() => call.succeed(synced.view()),
        Ok((synced, _hold)) => call.emit_now(outgoing::SYNCED, &synced.view()),
        Err(e) => call.error(&e, "Failed to sync"),
    }
}

async fn leave(mut call: Call) {
    match ConversationRef::from(&*call.payload).required() {
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
        let typing = Typing::try_from(&*call.payload)?;
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
        let id = ConversationRef::from(&*call.payload).required()?;
        Ok((id, call.chat.mark_read(&call.connection.user(), id, Some(&call.connection)).await?))
    }
    .await;
    match marked {
        Ok((id, count)) => call.succeed(json!({ "conversationId": id, "count": count })),
        Err(e) => call.error(&e, "Failed to mark messages as read"),
    }
}

async fn get_conversations(mut call: Call) {
    let (chat, connection) = (call.chat.clone(), call.connection.clone());
    let listed = async {
        let list = ListConversations::try_from(&*call.payload)?;
        // What happens to their newest messages meanwhile is told after the list.
        let hold = chat.hub().hold(&connection);
        Ok((chat.conversations(&connection.user(), list).await?, hold))
    };
    match listed.await {
        Ok((list, _hold)) => {
            let view = list.view();
            call.emit_now(outgoing::CONVERSATIONS, &view);
            call.succeed_page(view, list.next.as_deref());
        }
        // The contract has one text for every reason; the code tells them apart.
        Err(e) => call.fail_with_error(&Failure::worded(&e, "Failed to get conversations")),
    }
}

async fn get_messages(mut call: Call) {
    let list = ListMessages::from(&*call.payload);
    let (chat, connection) = (call.chat.clone(), call.connection.clone());
    let page = async {
        let id = list.conversation.required()?;
        // What happens to these messages meanwhile is told after the page.
        let hold = chat.hub().hold(&connection);
        Ok((id, chat.messages(&connection.user(), id, &list).await?, hold))
    };
    match page.await {
        Ok((conversation_id, page, _hold)) => {
            let view = MessagesPage { conversation_id, messages: page.view() };
            call.emit_now(outgoing::MESSAGES, &view);
            call.succeed(view);
        }
        Err(e) => call.error(&e, "Failed to get messages"),
    }
}

fn unknown(mut call: Call) {
    // Socket.IO ignores events that nobody listens to; who asked for an answer gets one.
    call.fail(&Failure::with_message("Unknown event", "unknown_event"));
}
