//! Messages as a user sees them: pages of a conversation, slices of several, single ones.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    db::{Access, Db, DbResult, Watermark},
    domain::{ConversationId, Message, MessageId, UserId},
};

#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Most messages.
    pub limit: i64,
    /// Number of the newest to skip.
    pub offset: i64,
    /// Only smaller numbers.
    pub before: Option<i64>,
    /// Only larger numbers; the page then goes forward from there.
    pub after: Option<i64>,
}

/// A page of one conversation among others.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    pub conversation: ConversationId,
    pub page: Page,
    /// Only those that changed since then after they were sent: edited, deleted for everyone, reacted to.
    pub changed_since: Option<DateTime<Utc>>,
}

impl Db {
    /// A page of a conversation, oldest first, without what `viewer` deleted for themselves, and its members. It has no
    /// messages for a user who is not one; `None` where there is no such conversation.
    pub async fn page(
        &self,
        conversation: ConversationId,
        viewer: UserId,
        page: Page,
    ) -> DbResult<Option<(Access, Vec<Message>)>> {
        let newest = match page.after {
            None => Some(self.newest(viewer, conversation, &page).await?),
            Some(_) => None,
        };
        let (access, rows) = match newest {
            Some((access, rows)) if access.is_member => (access, rows),
            // A page forward; or one for who takes no part, if there is such a conversation.
            _ => {
                let Some(access) = self.access(conversation, viewer).await? else { return Ok(None) };
                let rows = if access.is_member {
                    self.slices(viewer, &[Slice { conversation, page, changed_since: None }]).await?
                } else {
                    Vec::new()
                };
                (access, rows)
            }
        };
        let messages = self.messages_from(viewer, rows, |_| access.watermarks.as_slice()).await?;
        Ok(Some((access, messages)))
    }

    /// Slices of several conversations in one statement, each conversation's messages oldest first, without what
    /// `viewer` deleted for themselves. `watermarks` are those of all members of these conversations.
    pub async fn messages_of<'w>(
        &self,
        viewer: UserId,
        slices: &[Slice],
        watermarks: impl Fn(ConversationId) -> &'w [Watermark],
    ) -> DbResult<Vec<Message>> {
        let rows = self.slices(viewer, slices).await?;
        self.messages_from(viewer, rows, watermarks).await
    }

    /// These messages by their numbers, with nobody's eyes.
    pub async fn stored_messages(
        &self,
        wanted: &[(ConversationId, i64)],
    ) -> DbResult<HashMap<(ConversationId, i64), Message>> {
        let slice = |(conversation, seq): &(ConversationId, i64)| Slice {
            conversation: *conversation,
            page: Page { limit: 1, offset: 0, before: Some(seq + 1), after: Some(seq - 1) },
            changed_since: None,
        };
        let slices: Vec<Slice> = wanted.iter().map(slice).collect();
        let ids: Vec<ConversationId> = wanted.iter().map(|w| w.0).collect();
        let watermarks = self.watermarks_of(&ids).await?;
        let of = |id| watermarks.get(&id).map(Vec::as_slice).unwrap_or_default();
        let found = self.messages_of(UserId::NOBODY, &slices, of).await?;
        Ok(found.into_iter().map(|m| ((m.conversation_id, m.seq), m)).collect())
    }

    /// These messages as `viewer` sees them, without those that they deleted for themselves. The caller checks that the viewer
    /// is a member.
    pub async fn messages_by_id<'w>(
        &self,
        viewer: UserId,
        ids: &[MessageId],
        watermarks: impl Fn(ConversationId) -> &'w [Watermark],
    ) -> DbResult<HashMap<MessageId, Message>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = self.rows_of(viewer, &ids).await?;
        let messages = self.messages_from(viewer, rows, watermarks).await?;
        Ok(messages.into_iter().map(|message| (message.id, message)).collect())
    }

    /// The conversation and number of a message, whoever may see it.
    pub async fn locate(&self, message: MessageId) -> DbResult<Option<(ConversationId, i64)>> {
        let row = sqlx::query!("SELECT conversation_id, seq FROM messages WHERE id = $1", message.0)
            .fetch_optional(&self.pool())
            .await?;
        Ok(row.map(|r| (ConversationId(r.conversation_id), r.seq)))
    }
}
