//! Reading messages: a page of them, or one with its earlier texts and the message that it answers.

use std::sync::Arc;

use super::{Messages, ReadTurn};
use crate::{
    db::{Access, EditHistory, Page, Slice, in_time},
    domain::{ConversationId, Details, Message, MessageId, User, UserId},
    error::{Error, Result},
    protocol::{ListEdits, ListMessages, MessageView, not_an_entry},
};

/// Earlier texts that go along with a message (contract §Shapes).
const EDITS_WITH_A_MESSAGE: i64 = 20;
/// Bytes of them in an answer to one user: 20 texts of 5,000 characters of one byte fit.
const BYTES_IN_AN_ANSWER: i64 = 128 << 10;
/// Bytes of them in an event, which many get without asking, and its sender twice: 20 texts of 800 characters fit. The newest
/// one is always included, however long it is.
pub const BYTES_IN_AN_EVENT: i64 = 16 << 10;
/// Bytes of one page of earlier texts.
const BYTES_OF_A_PAGE: i64 = 256 << 10;

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

    /// A page of a message's earlier texts, newest first. Keep the turn until the page is written out.
    ///
    /// # Errors
    /// As [`Messages::get`]; [`Error::InvalidPayload`] if `before` is no earlier text of this message.
    pub async fn history(
        &self,
        user: &User,
        id: MessageId,
        list: ListEdits,
    ) -> Result<(EditHistory, Option<ReadTurn>)> {
        self.get(user, id).await?;
        let reading = self.core.db.edit_history(id, list.limit, BYTES_OF_A_PAGE, list.before);
        let (history, turn) = self.turns.read(user.id, reading).await;
        Ok((history?.ok_or_else(not_an_entry)?, turn))
    }

    /// A message with its history and the message it answers in full. Keep the turn until it is written out.
    pub async fn details(&self, user: &User, id: MessageId) -> Result<(Details, Option<ReadTurn>)> {
        let reading = async {
            let mut details = self.with_history(self.get(user, id).await?, BYTES_IN_AN_ANSWER).await?;
            details.reply_to = self.quoted(user, details.message.reply_to_message_id, BYTES_IN_AN_ANSWER).await?;
            Ok::<_, Error>(details)
        };
        let (details, turn) = self.turns.read(user.id, reading).await;
        Ok((details?, turn))
    }

    /// The message that another one answers, in full, as far as the viewer may see it, with `max_bytes` of its history.
    pub async fn quoted(&self, viewer: &User, id: Option<MessageId>, max_bytes: i64) -> Result<Option<Box<Details>>> {
        let Some(id) = id else { return Ok(None) };
        match self.get(viewer, id).await {
            Ok(quoted) => Ok(Some(Box::new(self.with_history(quoted, max_bytes).await?))),
            Err(Error::MessageNotFound | Error::NotAuthorized) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The users who deleted a quoted message for themselves. Without the database: nobody.
    pub async fn quote_hidden(&self, quoted: Option<MessageId>) -> Vec<UserId> {
        match quoted {
            Some(id) => in_time(self.core.db.hidden_from(id)).await.unwrap_or_default(),
            None => Vec::new(),
        }
    }

    async fn with_history(&self, message: Message, max_bytes: i64) -> Result<Details> {
        let history = self.core.db.edit_history(message.id, EDITS_WITH_A_MESSAGE, max_bytes, None).await?;
        let EditHistory { edits, count, .. } = history.unwrap_or_default();
        let sender = self.core.db.user(message.sender_id).await?.map(Arc::new);
        Ok(Details { message, sender, edit_history: edits, edit_history_count: count, reply_to: None })
    }

    /// One message as `viewer` sees it.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`], also if the viewer deleted it for themselves; [`Error::NotAuthorized`].
    pub async fn get(&self, viewer: &User, id: MessageId) -> Result<Message> {
        self.look(viewer.id, id, |access| access.is_member).await
    }

    /// One message with the deletions of `eyes`, if `may` allows it by what `eyes` have to do with the conversation.
    pub async fn look(&self, eyes: UserId, id: MessageId, may: impl FnOnce(&Access) -> bool) -> Result<Message> {
        let (conversation, seq) = self.core.db.locate(id).await?.ok_or(Error::MessageNotFound)?;
        let access = self.core.db.access(conversation, eyes).await?.ok_or(Error::MessageNotFound)?;
        if !may(&access) {
            return Err(Error::NotAuthorized);
        }
        let page = Page { limit: 1, offset: 0, before: Some(seq + 1), after: Some(seq - 1) };
        let slice = Slice { conversation, page, changed_since: None };
        let mut found = self.core.db.messages_of(eyes, &[slice], |_| access.watermarks.as_slice()).await?;
        let mut message = found.pop().ok_or(Error::MessageNotFound)?;
        self.uploads.links.renew(&mut message);
        Ok(message)
    }
}
