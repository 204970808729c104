//! Reading a page of messages.

use super::{Messages, turns::ReadTurn};
use crate::{
    db::Page,
    domain::{ConversationId, Message, User},
    error::{Error, Result},
    protocol::{ListMessages, MessageView},
};

pub struct MessageList {
    /// Oldest first.
    pub messages: Vec<Message>,
    /// Until it is written out, which takes as long as reading it.
    _turn: Option<ReadTurn>,
}

impl MessageList {
    /// As the wire carries them, oldest first.
    pub fn view(&self) -> Vec<MessageView<'_>> {
        self.messages.iter().map(MessageView::from).collect()
    }
}

impl Messages {
    /// A page of a conversation, oldest first: one statement whatever its size, and one more where messages were edited,
    /// deleted, reacted to or are replies. Pages are read in the order in which they are asked for, as many at a time as the
    /// machine has use for: with more, each would wait longer for its share of the processors.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::NotAuthorized`], [`Error::Internal`].
    pub async fn page(&self, user: &User, conversation: ConversationId, list: &ListMessages) -> Result<MessageList> {
        let page = Page { limit: list.limit, offset: list.offset, before: list.before, after: list.after };
        // Boxed, so that the future of every other event is not as large as this one.
        let reading = Box::pin(self.core.db.page(conversation, user.id, page));
        let (found, turn) = self.turns.read(user.id, reading).await;
        let (access, mut messages) = found?.ok_or(Error::ConversationNotFound)?;
        if !access.is_member {
            return Err(Error::NotAuthorized);
        }
        for message in &mut messages {
            self.uploads.links.renew(message);
        }
        Ok(MessageList { messages, _turn: turn })
    }
}
