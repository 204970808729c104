//! Events about one message: edit, delete, react (contract §Changing a message).

use super::call::Call;
use crate::{
    error::Result,
    protocol::{MessageRef, MessageView, NewText, deletes_for_everyone, reaction},
};

pub async fn edit_message(call: &mut Call) -> Result<()> {
    let id = MessageRef::from(&call.payload).required()?;
    let text = NewText::from_field(&call.payload, "newText").0;
    let message = call.chat.messages.edit(&call.connection.user(), id, text).await?;
    call.succeed(MessageView::from(&message));
    Ok(())
}

pub async fn delete_message(call: &mut Call) -> Result<()> {
    let id = MessageRef::from(&call.payload).required()?;
    let for_everyone = deletes_for_everyone(&call.payload)?;
    let deleted = call.chat.messages.delete(&call.connection.user(), id, for_everyone).await?;
    call.succeed(deleted);
    Ok(())
}

pub async fn add_reaction(call: &mut Call) -> Result<()> {
    react(call, true).await
}

pub async fn remove_reaction(call: &mut Call) -> Result<()> {
    react(call, false).await
}

async fn react(call: &mut Call, add: bool) -> Result<()> {
    let id = MessageRef::from(&call.payload).required()?;
    let emoji = reaction(&call.payload, add)?;
    let changed = call.chat.messages.react(&call.connection.user(), id, &emoji, add).await?;
    call.succeed(changed);
    Ok(())
}
