//! Part B's events: reply, edit, delete, react (contract §3, Socket events).

use serde::Serialize;

use super::dispatch::Call;
use crate::{
    error::Result,
    protocol::{
        Failure, MessageRef, MessageView, NewText, deletes_for_everyone,
        events::{incoming, outgoing},
        reaction,
    },
};

/// `chat:error` with the action that failed.
#[derive(Serialize)]
struct ActionFailure<'a> {
    #[serde(flatten)]
    failure: &'a Failure,
    action: &'static str,
}

pub async fn edit_message(mut call: Call) {
    let edited = async {
        let id = MessageRef::from(&*call.payload).required()?;
        let text = NewText::from_field(&call.payload, "newText").0;
        call.chat.edit(&call.connection.user, id, text).await
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
        call.chat.delete(&call.connection.user, id, for_everyone).await
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
        call.chat.react(&call.connection.user, id, &emoji, add).await
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

fn action_failed(call: &mut Call, failure: &Failure, action: &'static str) {
    call.emit(outgoing::ERROR, &ActionFailure { failure, action });
    call.fail(failure);
}
