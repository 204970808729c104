//! What a participant does to a message that is there already: edit, delete, react; and looking at one message.
//! The message's own conversation decides who may act and who is told, whatever the client says of it.

use std::sync::Arc;

use super::Chat;
use crate::{
    db::{Acted, Action, Page},
    domain::{ConversationId, Details, Draft, Edit, Emoji, Message, MessageId, Reaction, User},
    error::{Error, Result},
    hub::{Audience, Event},
    protocol::{MessageDeleted, MessageView, ReactionChanged, events::outgoing},
};

impl Chat {
    /// Changes a message's text, keeps the old one, and tells everyone in the conversation.
    ///
    /// # Errors
    /// The text's own faults, [`Error::MessageNotFound`], [`Error::NotAuthorized`], [`Error::NotYoursToEdit`].
    pub async fn edit(&self, user: &Arc<User>, id: MessageId, text: String) -> Result<Message> {
        let draft = Draft { text, ..Draft::default() };
        draft.check(self.max_message_chars)?;
        let action = self.db.edit_message(id, user.id, &draft.text).await?;
        let (changed, _) = judge(&action, Error::NotYoursToEdit)?;
        let message = self.message(user, id).await?;
        if changed {
            let view = MessageView::from(&message).from_sender(user.name(), user.role);
            self.tell(&action, &Event::new(outgoing::MESSAGE_EDITED, &view));
        }
        Ok(message)
    }

    /// Deletes a message for the caller alone, whose own sockets hear of it, or for everyone, who all do.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`], [`Error::NotAuthorized`], [`Error::NotYoursToDelete`].
    pub async fn delete(&self, user: &User, message_id: MessageId, for_everyone: bool) -> Result<MessageDeleted> {
        let action = self.db.delete_message(message_id, user.id, for_everyone).await?;
        let (changed, conversation_id) = judge(&action, Error::NotYoursToDelete)?;
        let deletion_type = if for_everyone { "for_everyone" } else { "for_me" };
        let deleted = MessageDeleted { message_id, conversation_id, deletion_type };
        let event = Event::new(outgoing::MESSAGE_DELETED, &deleted);
        if changed && for_everyone {
            self.tell(&action, &event);
        } else if changed {
            self.hub.emit(&Audience { users: &[user.id], ..Audience::default() }, &event);
        }
        Ok(deleted)
    }

    /// Adds or takes away a reaction of the caller's, and tells everyone in the conversation.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`], [`Error::NotAuthorized`].
    pub async fn react(&self, user: &User, message_id: MessageId, emoji: &Emoji, add: bool) -> Result<ReactionChanged> {
        let action = self.db.react(message_id, user.id, emoji.as_str(), add).await?;
        let (changed, conversation_id) = judge(&action, Error::NotAuthorized)?;
        let reactions = action.reactions.clone();
        let payload = ReactionChanged { message_id, conversation_id, reactions, user_id: user.id };
        if changed {
            let name = if add { outgoing::REACTION_ADDED } else { outgoing::REACTION_REMOVED };
            self.tell(&action, &Event::new(name, &payload));
        }
        Ok(payload)
    }

    /// The reactions under a message.
    ///
    /// # Errors
    /// As [`Chat::message`].
    pub async fn reactions(&self, user: &User, id: MessageId) -> Result<Vec<Reaction>> {
        Ok(self.message(user, id).await?.reactions)
    }

    /// A message's earlier texts, newest first.
    ///
    /// # Errors
    /// As [`Chat::message`].
    pub async fn edit_history(&self, user: &User, id: MessageId) -> Result<Vec<Edit>> {
        self.message(user, id).await?;
        Ok(self.db.edit_history(id).await?)
    }

    /// A message with its history and the message it answers in full.
    ///
    /// # Errors
    /// As [`Chat::message`].
    pub async fn details(&self, user: &User, id: MessageId) -> Result<Details> {
        let mut details = self.with_history(self.message(user, id).await?).await?;
        details.reply_to = self.quoted(user, details.message.reply_to_message_id).await?;
        Ok(details)
    }

    /// The message that another answers, in full, as far as the viewer may see it.
    pub(super) async fn quoted(&self, viewer: &User, id: Option<MessageId>) -> Result<Option<Box<Details>>> {
        let Some(id) = id else { return Ok(None) };
        match self.message(viewer, id).await {
            Ok(quoted) => Ok(Some(Box::new(self.with_history(quoted).await?))),
            Err(Error::MessageNotFound | Error::NotAuthorized) => Ok(None),
            Err(e) => Err(e),
        }
    }

    async fn with_history(&self, message: Message) -> Result<Details> {
        let edit_history = self.db.edit_history(message.id).await?;
        let sender = self.db.user(message.sender_id).await?.map(Arc::new);
        Ok(Details { message, sender, edit_history, reply_to: None })
    }

    /// One message as `viewer` sees it.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`], also where the viewer deleted it for themselves; [`Error::NotAuthorized`].
    pub async fn message(&self, viewer: &User, id: MessageId) -> Result<Message> {
        let (conversation, seq) = self.db.locate(id).await?.ok_or(Error::MessageNotFound)?;
        let access = self.db.access(conversation, viewer.id).await?.ok_or(Error::MessageNotFound)?;
        if !access.is_member {
            return Err(Error::NotAuthorized);
        }
        let page = Page { limit: 1, offset: 0, before: Some(seq + 1), after: Some(seq - 1) };
        let mut found = self.db.messages(conversation, viewer.id, page, &access.watermarks).await?;
        found.pop().ok_or(Error::MessageNotFound)
    }

    /// Tells every socket of every participant, in the room or not.
    fn tell(&self, action: &Action, event: &Event) {
        self.hub.emit(&Audience { users: &action.members, ..Audience::default() }, event);
    }
}

/// Whether it changed anything, and where; or the refusal, `not_sender` being the action's own.
fn judge(action: &Action, not_sender: Error) -> Result<(bool, ConversationId)> {
    let changed = match action.acted {
        Acted::Done => true,
        Acted::Unchanged => false,
        Acted::NotFound | Acted::Gone => return Err(Error::MessageNotFound),
        Acted::NotMember => return Err(Error::NotAuthorized),
        Acted::NotSender => return Err(not_sender),
    };
    Ok((changed, action.conversation_id.ok_or(Error::MessageNotFound)?))
}
