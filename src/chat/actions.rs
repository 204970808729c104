//! What a participant does to a message that is there already: edit, delete, react; and looking at one message.
//! The message's own conversation decides who may act and who is told, whatever the client says of it.

use std::sync::Arc;

use super::Chat;
use crate::{
    db::{Access, Acted, Action, Page, Slice, in_time},
    domain::{ConversationId, Details, Draft, Edit, Emoji, Message, MessageId, Reaction, User, UserId},
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
        judge(&action, Error::NotYoursToEdit)?;
        // The same text again is told as well: the app closes its editor when it hears of the edit.
        self.tell_edited(user, id, &action.members).await?;
        self.message(user, id).await
    }

    /// Tells everyone but those who deleted the message for themselves; those who so deleted the message it answers
    /// see that quote blank.
    async fn tell_edited(&self, user: &User, id: MessageId, members: &[UserId]) -> Result<()> {
        let message = self.look(UserId::NOBODY, id, |_| true).await?;
        let hidden = self.db.hidden_from(id).await?;
        let quote_hidden = self.quote_hidden_from(message.reply_to_message_id).await;
        let sees: Vec<UserId> = members.iter().copied().filter(|m| !hidden.contains(m)).collect();
        let (blank, full): (Vec<UserId>, Vec<UserId>) = sees.into_iter().partition(|m| quote_hidden.contains(m));
        let tell = |users: &[UserId], message: &Message| {
            let view = MessageView::from(message).from_sender(user.name(), user.role);
            let event = Event::new(outgoing::MESSAGE_EDITED, &view);
            self.hub.emit(&Audience { users, ..Audience::default() }, &event);
        };
        tell(&full, &message);
        if !blank.is_empty() {
            tell(&blank, &message.with_blank_quote());
        }
        Ok(())
    }

    /// Who deleted a quoted message for themselves. Without the database: nobody is known to have.
    pub(super) async fn quote_hidden_from(&self, quoted: Option<MessageId>) -> Vec<UserId> {
        match quoted {
            Some(id) => in_time(self.db.hidden_from(id)).await.unwrap_or_default(),
            None => Vec::new(),
        }
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
        self.look(viewer.id, id, |access| access.is_member).await
    }

    /// One message with `eyes`' deletions, if who is asking `may` see the conversation.
    async fn look(&self, eyes: UserId, id: MessageId, may: impl FnOnce(&Access) -> bool) -> Result<Message> {
        let (conversation, seq) = self.db.locate(id).await?.ok_or(Error::MessageNotFound)?;
        let access = self.db.access(conversation, eyes).await?.ok_or(Error::MessageNotFound)?;
        if !may(&access) {
            return Err(Error::NotAuthorized);
        }
        let page = Page { limit: 1, offset: 0, before: Some(seq + 1), after: Some(seq - 1) };
        let slice = Slice { conversation, page, changed_since: None };
        let mut found = self.db.messages_of(eyes, &[slice], |_| access.watermarks.as_slice()).await?;
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
        Acted::Blocked => return Err(Error::Blocked),
    };
    Ok((changed, action.conversation_id.ok_or(Error::MessageNotFound)?))
}
