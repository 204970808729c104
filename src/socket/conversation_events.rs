//! Events in a conversation: enter and leave its room, type, mark it read (contract §Client events).

use serde_json::json;

use super::call::Call;
use crate::{
    error::Result,
    protocol::{ConversationRef, Failure, JoinedView, Typing, events::outgoing, last_seq},
};

pub async fn join(call: &mut Call) -> Result<()> {
    let conversation_id = ConversationRef::from(&call.payload).required()?;
    let connection = call.connection.clone();
    let Some(last_seq) = last_seq(&call.payload)? else {
        call.chat.rooms.join(&connection, conversation_id).await?;
        joined(call, &JoinedView { conversation_id, sync: None });
        return Ok(());
    };
    let hub = call.hub.clone();
    let hold = hub.hold(&connection);
    let missed = call.chat.sync.join_after(&connection, conversation_id, last_seq).await?;
    hold.tell(conversation_id, missed.up_to);
    joined(call, &JoinedView { conversation_id, sync: Some(missed.view()) });
    Ok(())
}

fn joined(call: &mut Call, joined: &JoinedView<'_>) {
    call.emit_now(outgoing::JOINED, joined);
    call.succeed(joined);
}

pub async fn leave(call: &mut Call) -> Result<()> {
    match ConversationRef::from(&call.payload).required() {
        Ok(id) => {
            let left = call.chat.rooms.leave(&call.connection, id).await;
            call.succeed(json!({ "conversationId": id, "left": left }));
        }
        // Leaving a room that the socket is not in is no error on the wire; only the acknowledgement says so.
        Err(e) => call.fail(&Failure::new(&e, "Failed to leave conversation")),
    }
    Ok(())
}

pub async fn typing(call: &mut Call) -> Result<()> {
    let typing = Typing::try_from(&call.payload)?;
    let id = typing.conversation.required()?;
    call.chat.typing.set(&call.connection, id, typing.is_typing).await?;
    call.succeed(json!({ "conversationId": id, "isTyping": typing.is_typing }));
    Ok(())
}

pub async fn mark_read(call: &mut Call) -> Result<()> {
    let id = ConversationRef::from(&call.payload).required()?;
    let count = call.chat.reading.mark_read(&call.connection.user(), id, Some(&call.connection)).await?;
    call.succeed(json!({ "conversationId": id, "count": count }));
    Ok(())
}
