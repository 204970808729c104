//! Events that read: lists, pages, and what a client missed (contract §Client events). The socket is on hold meanwhile: what
//! happens to what it reads is told after the answer.

use super::call::Call;
use crate::{
    error::Result,
    protocol::{ListConversations, ListMessages, MessagesPage, SyncRequest, events::outgoing},
};

pub async fn get_conversations(call: &mut Call) -> Result<()> {
    let list = ListConversations::try_from(&call.payload)?;
    let (hub, connection) = (call.hub.clone(), call.connection.clone());
    let _hold = hub.hold(&connection);
    let list = call.chat.conversations.list(&connection.user(), list).await?;
    let view = list.view();
    call.emit_now(outgoing::CONVERSATIONS, &view);
    call.succeed_page(view, list.next.as_deref());
    Ok(())
}

pub async fn get_messages(call: &mut Call) -> Result<()> {
    let list = ListMessages::from(&call.payload);
    let conversation_id = list.conversation.required()?;
    let (hub, connection) = (call.hub.clone(), call.connection.clone());
    let _hold = hub.hold(&connection);
    let page = call.chat.messages.page(&connection.user(), conversation_id, &list).await?;
    let view = MessagesPage { conversation_id, messages: page.view() };
    call.emit_now(outgoing::MESSAGES, &view);
    call.succeed(view);
    Ok(())
}

pub async fn sync(call: &mut Call) -> Result<()> {
    let request = SyncRequest::try_from(&call.payload)?;
    let (hub, connection) = (call.hub.clone(), call.connection.clone());
    let hold = hub.hold(&connection);
    let synced = call.chat.sync.catch_up(&connection.user(), request).await?;
    for (conversation, seq) in synced.covers() {
        hold.tell(conversation, seq);
    }
    // It may be large: it is sent once.
    if call.wants_answer() {
        call.succeed(synced.view());
    } else {
        call.emit_now(outgoing::SYNCED, &synced.view());
    }
    Ok(())
}
