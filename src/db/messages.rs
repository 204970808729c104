//! Reading messages: pages, single ones, and what was edited or hidden.

use std::collections::HashMap;

use super::{Access, Db, DbResult, Watermark, time::Time};
use crate::domain::{ConversationId, Edit, Message, MessageId, UserId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Which messages of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// How many.
    pub limit: i64,
    /// How many of the newest to pass over.
    pub offset: i64,
    /// Only smaller numbers.
    pub before: Option<i64>,
    /// Only larger numbers; the page then goes forward from there.
    pub after: Option<i64>,
}

/// A page of one conversation among others.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// Which of its messages.
    pub page: Page,
    /// Only those that changed since then after they were sent: edited, deleted for everyone, reacted to.
    pub changed_since: Option<DateTime<Utc>>,
}

/// Some of a message's earlier texts.
#[derive(Clone, Debug, Default)]
pub struct EditHistory {
    /// Newest first.
    pub edits: Vec<Edit>,
    /// How many there are in all.
    pub count: i64,
    /// Whether there are older ones than these.
    pub has_more: bool,
}

impl Db {
    /// A page of a conversation, oldest first, without what `viewer` deleted for themselves, and who takes part. It has no
    /// messages for who does not; `None` where there is no such conversation.
    ///
    /// # Errors
    /// [`super::DbError`].
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
    ///
    /// # Errors
    /// [`super::DbError`].
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
    ///
    /// # Errors
    /// [`super::DbError`].
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

    /// These messages as `viewer` sees them, without those that they deleted for themselves. Whether the viewer takes part is for
    /// the caller to see to.
    ///
    /// # Errors
    /// [`super::DbError`].
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

    /// Where a message is: its conversation and number. Says nothing of who may see it.
    ///
    /// # Errors
    /// [`super::DbError`].
    pub async fn locate(&self, message: MessageId) -> DbResult<Option<(ConversationId, i64)>> {
        let row = sqlx::query!("SELECT conversation_id, seq FROM messages WHERE id = $1", message.0)
            .fetch_optional(&self.pool())
            .await?;
        Ok(row.map(|r| (ConversationId(r.conversation_id), r.seq)))
    }

    /// Earlier texts of a message, newest first: up to `limit`, and as many as fit in `max_bytes`, but one at least.
    /// They begin with the newest, or after `before`; `None` where that is no earlier text of this message.
    ///
    /// # Errors
    /// [`super::DbError`].
    pub async fn edit_history(
        &self,
        message: MessageId,
        limit: i64,
        max_bytes: i64,
        before: Option<Uuid>,
    ) -> DbResult<Option<EditHistory>> {
        // The count comes with every row, and alone where there is none.
        let rows = sqlx::query!(
            r#"WITH page AS (
                   SELECT e.id, CASE WHEN m.is_deleted THEN '' ELSE e.old_text END AS old_text, e.edited_by, e.edited_at
                   FROM message_edits e JOIN messages m ON m.id = e.message_id
                   WHERE e.message_id = $1 AND ($2::uuid IS NULL OR (e.edited_at, e.id) < (
                       SELECT b.edited_at, b.id FROM message_edits b WHERE b.id = $2 AND b.message_id = $1))
                   ORDER BY e.edited_at DESC, e.id DESC LIMIT $3::bigint + 1
               ), measured AS (
                   SELECT p.*, sum(octet_length(p.old_text)) OVER w AS bytes, row_number() OVER w AS place
                   FROM page p WINDOW w AS (ORDER BY p.edited_at DESC, p.id DESC)
               )
               SELECT c.count AS "count!", (SELECT count(*) FROM page) AS "found!", c.known AS "known!", p.id AS "id?", p.old_text AS "old_text?",
                      p.edited_by AS "edited_by?", p.edited_at AS "edited_at?: Time"
               FROM (SELECT (SELECT count(*) FROM message_edits e WHERE e.message_id = $1) AS count,
                            $2::uuid IS NULL OR EXISTS (SELECT 1 FROM message_edits b WHERE b.id = $2 AND b.message_id = $1) AS known) c
               LEFT JOIN measured p ON p.place <= $3 AND (p.bytes <= $4 OR p.place = 1)
               ORDER BY p.edited_at DESC, p.id DESC"#,
            message.0,
            before,
            limit,
            max_bytes
        )
        .fetch_all(&self.pool())
        .await?;
        if !rows.first().is_some_and(|r| r.known) {
            return Ok(None);
        }
        let (count, found) = rows.first().map_or((0, 0), |r| (r.count, r.found));
        let edit = |id, old_text: Option<String>, by: Option<Uuid>, edited_at: Option<Time>| {
            Some(Edit {
                id,
                message_id: message,
                old_text: old_text?,
                edited_by: UserId(by?),
                edited_at: edited_at?.into(),
            })
        };
        let edits: Vec<Edit> =
            rows.into_iter().filter_map(|r| edit(r.id?, r.old_text, r.edited_by, r.edited_at)).collect();
        let has_more = found > i64::try_from(edits.len()).unwrap_or(i64::MAX);
        Ok(Some(EditHistory { edits, count, has_more }))
    }

    /// Who deleted a message for themselves.
    ///
    /// # Errors
    /// [`super::DbError`].
    pub async fn hidden_from(&self, message: MessageId) -> DbResult<Vec<UserId>> {
        let ids = sqlx::query_scalar!("SELECT user_id FROM message_deletions WHERE message_id = $1", message.0)
            .fetch_all(&self.pool())
            .await?;
        Ok(ids.into_iter().map(UserId).collect())
    }
}
