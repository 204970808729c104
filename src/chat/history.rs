//! Paging through messages.

use std::{pin::pin, time::Duration};

use chrono::Utc;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::Chat;
use crate::{
    db::Page,
    domain::{ConversationId, Message, User},
    error::{Error, Result},
    protocol::{ListMessages, MessageView},
};

/// Longest that a page waits for its turn, and keeps it.
const TURN: Duration = Duration::from_secs(1);

/// A page of messages.
pub struct MessageList {
    /// Oldest first.
    pub messages: Vec<Message>,
    /// Until it is written out, which takes as long as reading it.
    _turn: Option<OwnedSemaphorePermit>,
}

impl MessageList {
    /// As the wire carries them, oldest first.
    #[must_use]
    pub fn view(&self) -> Vec<MessageView<'_>> {
        self.messages.iter().map(MessageView::from).collect()
    }
}

impl Chat {
    /// A page of a conversation, oldest first: one statement whatever its size, and one more where messages were edited,
    /// deleted, reacted to or are replies. Pages are read in the order in which they are asked for, as many at a time as the
    /// machine has use for: with more, each would wait longer for its share of the processors.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::NotAuthorized`], [`Error::Internal`].
    pub async fn messages(
        &self,
        user: &User,
        conversation: ConversationId,
        list: &ListMessages,
    ) -> Result<MessageList> {
        let page = Page { limit: list.limit, offset: list.offset, before: list.before, after: list.after };
        let mut turn = self.page_turn().await;
        let mut reading = pin!(self.db.page(conversation, user.id, page));
        let found = if let Ok(found) = timeout(TURN, reading.as_mut()).await {
            found
        } else {
            turn = None;
            reading.await
        };
        let (access, mut messages) = found?.ok_or(Error::ConversationNotFound)?;
        if !access.is_member {
            return Err(Error::NotAuthorized);
        }
        let now = Utc::now();
        for message in &mut messages {
            self.uploads.renew_links(message, now);
        }
        Ok(MessageList { messages, _turn: turn })
    }

    /// Waits for a turn, but not for long: a database that is slow or gone is no reason to keep others from it.
    async fn page_turn(&self) -> Option<OwnedSemaphorePermit> {
        let turns = self.page_turns.clone()?;
        timeout(TURN, turns.acquire_owned()).await.ok()?.ok()
    }
}
