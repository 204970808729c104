//! Paging through messages.

use super::Chat;
use crate::{
    db::Page,
    domain::{ConversationId, Message, User},
    error::{Error, Result},
    protocol::{ListMessages, MessageView},
};

/// A page of messages.
pub struct MessageList(pub Vec<Message>);

impl MessageList {
    /// As the wire carries them, oldest first.
    #[must_use]
    pub fn view(&self) -> Vec<MessageView<'_>> {
        self.0.iter().map(MessageView::from).collect()
    }
}

impl Chat {
    /// A page of a conversation, oldest first; two statements whatever its size.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::NotAuthorized`], [`Error::Internal`].
    pub async fn messages(
        &self,
        user: &User,
        conversation: ConversationId,
        list: &ListMessages,
    ) -> Result<MessageList> {
        let access = self.db.access(conversation, user.id).await?.ok_or(Error::ConversationNotFound)?;
        if !access.is_member {
            return Err(Error::NotAuthorized);
        }
        let page = Page { limit: list.limit, offset: list.offset, before: list.before, after: list.after };
        Ok(MessageList(self.db.messages(conversation, user.id, page, &access.watermarks).await?))
    }
}
