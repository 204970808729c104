//! Paging through messages.

use tokio::sync::OwnedSemaphorePermit;

use super::Chat;
use crate::{
    db::Page,
    domain::{ConversationId, Message, User},
    error::{Error, Result},
    protocol::{ListMessages, MessageView},
};

/// A page of messages.
pub struct MessageList {
    /// Oldest first.
    pub messages: Vec<Message>,
    /// Until it is written out, which takes as long as reading it.
    _turn: OwnedSemaphorePermit,
}

impl MessageList {
    /// As the wire carries them, oldest first.
    #[must_use]
    pub fn view(&self) -> Vec<MessageView<'_>> {
        self.messages.iter().map(MessageView::from).collect()
    }
}

impl Chat {
    /// A page of a conversation, oldest first. Pages are read in the order in which they are asked for, as many at a time as
    /// the machine has use for: with more, each would wait longer for its share of the processors. One statement whatever its size, and one more where
    /// messages were edited, deleted, reacted to or are replies.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::NotAuthorized`], [`Error::Internal`].
    pub async fn messages(
        &self,
        user: &User,
        conversation: ConversationId,
        list: &ListMessages,
    ) -> Result<MessageList> {
        let turn = self.page_turns.clone().acquire_owned().await.map_err(|_| Error::Internal)?;
        let page = Page { limit: list.limit, offset: list.offset, before: list.before, after: list.after };
        let (access, messages) = self.db.page(conversation, user.id, page).await?.ok_or(Error::ConversationNotFound)?;
        if !access.is_member {
            return Err(Error::NotAuthorized);
        }
        Ok(MessageList { messages, _turn: turn })
    }
}
