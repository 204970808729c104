//! Changing a message: edit, delete, react. The message's own conversation decides who may act and who is told, whatever
//! the client says.
//!
//! Each change runs to its end in a task of its own: what was stored is told, even if the caller stopped waiting. And each
//! waits for its turn at the message, so that changes are told in the order in which they were stored (`last_told`).

use std::sync::Arc;

use super::{
    Messages,
    last_told::{Entry, Shown},
};
use crate::{
    db::{Acted, Action},
    domain::{ConversationId, Draft, Emoji, Message, MessageId, User, UserId},
    error::{Error, Result},
    hub::Event,
    protocol::{Happening, MessageDeleted, MessageView, ReactionChanged, What, events::outgoing},
};

/// Most reads of a message whose event is older than one that was sent meanwhile, about it or about its quoted message.
const LOOKS: usize = 10;

impl Messages {
    /// Changes a message's text, keeps the old one, and tells everyone in the conversation.
    ///
    /// # Errors
    /// The text's own faults, [`Error::MessageNotFound`], [`Error::NotAuthorized`], [`Error::NotYoursToEdit`],
    /// [`Error::TooManyEdits`], [`Error::StorageFull`].
    pub async fn edit(self: &Arc<Self>, user: &Arc<User>, id: MessageId, text: String) -> Result<Message> {
        let draft = Draft { text, ..Draft::default() };
        draft.check(self.max_chars)?;
        self.uploads.stored_bytes.check(user.id)?;
        let (messages, user) = (self.clone(), user.clone());
        self.core.tasks.to_the_end(async move { messages.edit_in_turn(&user, id, &draft.text).await }).await
    }

    async fn edit_in_turn(&self, user: &User, id: MessageId, text: &str) -> Result<Message> {
        let entry = self.last_told.of(id);
        let _turn = entry.turn().await?;
        let action = self.core.db.edit_message(id, user.id, text, self.max_edits).await?;
        let (changed, _) = judge(&action, Error::NotYoursToEdit)?;
        if changed {
            self.uploads.stored_bytes.add(user.id, text.len());
        }
        // An edit to the same text is told too: the app closes its editor when it hears of the edit.
        self.tell_edited(user, &entry, id, &action.members).await
    }

    /// Tells everyone but those who deleted the message for themselves; those who so deleted the message it answers
    /// see that quote blank. Returns the message as `user` sees it. One that was deleted for everyone meanwhile is not told.
    async fn tell_edited(&self, user: &User, entry: &Arc<Entry>, id: MessageId, members: &[UserId]) -> Result<Message> {
        for _ in 0..LOOKS {
            let message = self.look(UserId::NOBODY, id, |_| true).await?;
            let hidden = self.core.db.hidden_from(id).await?;
            let quote_hidden = self.quote_hidden(message.reply_to_message_id).await;
            let sees: Vec<UserId> = members.iter().copied().filter(|m| !hidden.contains(m)).collect();
            let (blank, full): (Vec<UserId>, Vec<UserId>) = sees.into_iter().partition(|m| quote_hidden.contains(m));
            let with_blank_quote = message.clone().with_blank_quote();
            let told = message.is_deleted
                || entry.tell((&message).into(), self.last_told.quoted_by(&message).as_ref(), || {
                    for (users, message) in [(&full, &message), (&blank, &with_blank_quote)] {
                        self.tell_text(user, users, message);
                    }
                });
            if told {
                return Ok(if quote_hidden.contains(&user.id) { with_blank_quote } else { message });
            }
        }
        tracing::warn!(message = %id, "an edit was not told: its message, or the one it answers, changed all the time");
        self.get(user, id).await
    }

    fn tell_text(&self, sender: &User, users: &[UserId], message: &Message) {
        if !users.is_empty() {
            let view = MessageView::from(message).from_sender(sender.name(), sender.role);
            let what = What::Edited { message: message.id, version: message.version };
            let event = Event::new(outgoing::MESSAGE_EDITED, &view);
            let event = event.recoverable(self.happens(message.conversation_id, what));
            self.core.tell(users, &event);
        }
    }

    /// Deletes a message for the caller alone, whose own sockets hear of it, or for everyone, who all do.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`], [`Error::NotAuthorized`], [`Error::NotYoursToDelete`].
    pub async fn delete(self: &Arc<Self>, user: &User, id: MessageId, for_everyone: bool) -> Result<MessageDeleted> {
        let (messages, user) = (self.clone(), user.id);
        self.core.tasks.to_the_end(async move { messages.delete_in_turn(user, id, for_everyone).await }).await
    }

    async fn delete_in_turn(&self, user: UserId, message_id: MessageId, for_everyone: bool) -> Result<MessageDeleted> {
        let entry = self.last_told.of(message_id);
        let _turn = entry.turn().await?;
        let action = self.core.db.delete_message(message_id, user, for_everyone).await?;
        let (changed, conversation_id) = judge(&action, Error::NotYoursToDelete)?;
        let deletion_type = if for_everyone { "for_everyone" } else { "for_me" };
        let version = for_everyone.then_some(action.version);
        let deleted = MessageDeleted { message_id, conversation_id, deletion_type, version };
        let what = What::Deleted { message: message_id, version };
        let event = Event::new(outgoing::MESSAGE_DELETED, &deleted).recoverable(self.happens(conversation_id, what));
        if changed && for_everyone {
            entry.tell_deletion(action.version, || self.core.tell(&action.members, &event));
            self.notifications.redact();
            self.uploads.remove_soon();
        } else if changed {
            self.core.tell(&[user], &event);
        }
        Ok(deleted)
    }

    /// Adds or takes away a reaction of the caller's, and tells everyone in the conversation.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`], [`Error::NotAuthorized`], [`Error::TooManyReactions`].
    pub async fn react(
        self: &Arc<Self>,
        user: &User,
        id: MessageId,
        emoji: &Emoji,
        add: bool,
    ) -> Result<ReactionChanged> {
        let (messages, user, emoji) = (self.clone(), user.id, emoji.clone());
        self.core.tasks.to_the_end(async move { messages.react_in_turn(user, id, &emoji, add).await }).await
    }

    async fn react_in_turn(&self, user: UserId, id: MessageId, emoji: &Emoji, add: bool) -> Result<ReactionChanged> {
        let entry = self.last_told.of(id);
        let _turn = entry.turn().await?;
        let action = self.core.db.react(id, user, emoji.as_str(), add).await?;
        let (changed, conversation_id) = judge(&action, Error::NotAuthorized)?;
        let (reactions, version) = (action.reactions.clone(), action.version);
        let mut payload = ReactionChanged { message_id: id, conversation_id, reactions, user_id: user, version };
        if changed {
            let name = if add { outgoing::REACTION_ADDED } else { outgoing::REACTION_REMOVED };
            for _ in 0..LOOKS {
                let shown = Shown { version: payload.version, is_deleted: false };
                let what = What::Reacted { message: id, version: payload.version, by: user, added: add };
                let event = Event::new(name, &payload).recoverable(self.happens(conversation_id, what));
                if entry.tell(shown, None, || self.core.tell(&action.members, &event)) {
                    break;
                }
                let now = self.look(UserId::NOBODY, id, |_| true).await?;
                if now.is_deleted {
                    break;
                }
                (payload.reactions, payload.version) = (now.reactions, now.version);
            }
        }
        Ok(payload)
    }

    /// Something that happens now, by the database's clock.
    fn happens(&self, conversation: ConversationId, what: What) -> Happening {
        Happening { conversation, at: self.core.db.time(), what }
    }
}

/// Returns true if an action changed something, and its conversation; or its refusal. `not_sender` is the error for users other
/// than the sender.
fn judge(action: &Action, not_sender: Error) -> Result<(bool, ConversationId)> {
    let changed = match action.acted {
        Acted::Done => true,
        Acted::Unchanged => false,
        Acted::NotFound | Acted::Gone => return Err(Error::MessageNotFound),
        Acted::NotMember => return Err(Error::NotAuthorized),
        Acted::NotSender => return Err(not_sender),
        Acted::Blocked => return Err(Error::Blocked),
        Acted::TooManyReactions => return Err(Error::TooManyReactions),
        Acted::TooManyEdits => return Err(Error::TooManyEdits),
    };
    Ok((changed, action.conversation_id.ok_or(Error::MessageNotFound)?))
}
