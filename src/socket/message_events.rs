//! Events about one message: edit, delete, react (contract §Changing a message).

use serde::Serialize;

use super::dispatch::Call;
use crate::{
    error::{Error, Result},
    protocol::{
        Failure, MessageRef, MessageView, NewText, deletes_for_everyone,
        events::{incoming, outgoing},
        named_message, reaction,
    },
};

/// `chat:error` with the action that failed.
#[derive(Serialize)]
struct ActionFailure<'a> {
    #[serde(flatten)]
    failure: &'a Failure,
    action: &'static str,
    /// As the client sent it.
    #[serde(rename = "messageId", skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
}

pub async fn edit_message(mut call: Call) {
    let edited = async {
        let id = MessageRef::from(&*call.payload).required()?;
        let text = NewText::from_field(&call.payload, "newText").0;
        call.chat.edit(&call.connection.user(), id, text).await
    }
    .await;
    match edited {
        Ok(message) => call.succeed(MessageView::from(&message)),
        Err(e) => action_failed(&mut call, &Failure::new(&e, "Failed to edit message"), "edit_message"),
    }
}

pub async fn delete_message(mut call: Call) {
    let deleted = async {
        let id = MessageRef::from(&*call.payload).required()?;
        let for_everyone = deletes_for_everyone(&call.payload)?;
        call.chat.delete(&call.connection.user(), id, for_everyone).await
    }
    .await;
    match deleted {
        Ok(deleted) => call.succeed(deleted),
        Err(e) => action_failed(&mut call, &Failure::new(&e, "Failed to delete message"), "delete_message"),
    }
}

pub async fn react(mut call: Call) {
    let add = *call.event == *incoming::ADD_REACTION;
    let reacted: Result<_> = async {
        let id = MessageRef::from(&*call.payload).required()?;
        let emoji = reaction(&call.payload, add)?;
        call.chat.react(&call.connection.user(), id, &emoji, add).await
    }
    .await;
    match reacted {
        Ok(changed) => call.succeed(changed),
        Err(e) => {
            // The contract has one text for every reason; the code tells them apart.
            let (message, action) = if add {
                ("Failed to add reaction", "add_reaction")
            } else {
                ("Failed to remove reaction", "remove_reaction")
            };
            action_failed(&mut call, &Failure::worded(&e, message), action);
        }
    }
}

/// Answers an event that is not handled to its end.
pub fn refuse(mut call: Call, error: &Error) {
    let (message, action) = match &*call.event {
        incoming::EDIT_MESSAGE => ("Failed to edit message", "edit_message"),
        incoming::DELETE_MESSAGE => ("Failed to delete message", "delete_message"),
        incoming::ADD_REACTION => ("Failed to add reaction", "add_reaction"),
        _ => ("Failed to remove reaction", "remove_reaction"),
    };
    action_failed(&mut call, &Failure::new(error, message), action);
}

fn action_failed(call: &mut Call, failure: &Failure, action: &'static str) {
    let message_id = named_message(&call.payload);
    call.emit(outgoing::ERROR, &ActionFailure { failure, action, message_id });
    call.fail(failure);
}
