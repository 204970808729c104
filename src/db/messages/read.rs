//! The statements that read messages: the newest of one conversation, ranges of several, and single ones.

use std::{collections::HashMap, future::ready};

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use sqlx::types::Json;
use uuid::Uuid;

use super::{
    columns::{ChangedRow, MessageRow, PageRow, RareColumns, message_rows},
    pages::{Page, Slice},
};
use crate::{
    db::{Access, Db, DbResult, Watermark, connection::transaction::again_while_in_the_way, time::Time},
    domain::{ConversationId, Message, UserId},
};

impl Db {
    /// The members of a conversation, and its newest messages or the newest before a number, oldest first. Nearly every
    /// call needs just this, so the statement does no more. It is one statement, because the members alone would take a
    /// third of the time of both. For a user who is no member the limit is 0, which is cheaper than a check on every row.
    ///
    /// `OFFSET 0` keeps the planner from reading all that the viewer ever deleted.
    pub(super) async fn newest(
        &self,
        viewer: UserId,
        conversation: ConversationId,
        page: &Page,
    ) -> DbResult<(Access, Vec<MessageRow>)> {
        again_while_in_the_way(|| self.try_newest(viewer, conversation, page)).await
    }

    async fn try_newest(
        &self,
        viewer: UserId,
        conversation: ConversationId,
        page: &Page,
    ) -> DbResult<(Access, Vec<MessageRow>)> {
        let query = message_rows!(
            PageRow,
            r#"SELECT w.last_delivered_seq AS "last_delivered_seq?", w.user_id AS "id?", NULL::uuid AS sender_id, w.last_read_seq AS "seq?",
       NULL::text AS message_text, w.last_read_at AS "created_at?: Time", w.last_delivered_at AS "updated_at?: Time",
       NULL::varchar AS client_message_id, NULL::json AS "unusual: Json<Box<RareColumns>>"
FROM conversation_members w WHERE w.conversation_id = $2
UNION ALL
(SELECT NULL::bigint,"#,
            "FROM messages m
                  WHERE m.conversation_id = $2 AND m.seq < $3
                    AND (NOT EXISTS (SELECT 1 FROM message_deletions WHERE user_id = $1)
                         OR NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = m.id AND d.user_id = $1 OFFSET 0))
                  ORDER BY m.seq DESC
                  LIMIT CASE WHEN EXISTS (SELECT 1 FROM conversation_members WHERE conversation_id = $2 AND user_id = $1)
                             THEN $4::bigint ELSE 0 END
                  OFFSET $5)",
            viewer.0,
            conversation.0,
            page.before.unwrap_or(i64::MAX),
            page.limit,
            page.offset
        );
        let pool = self.pool();
        let mut lease = pool.acquire().await?;
        let mut watermarks = Vec::new();
        // Each row is converted as it comes, into a buffer of the right size: a list of rows would double the time.
        let mut messages = Vec::with_capacity(usize::try_from(page.limit).unwrap_or(0));
        let rows = query.fetch(&mut *lease).try_for_each(|row| {
            match row.message_text {
                Some(_) => messages.extend(row.message(conversation)),
                None => watermarks.extend(row.watermark()),
            }
            ready(Ok(()))
        });
        let rows = pool.answer(rows).await;
        lease.done_if_ok(rows)?;
        watermarks.sort_by_key(|w: &Watermark| w.user_id);
        messages.sort_by_key(|row: &MessageRow| row.seq);
        Ok((Access::of(viewer, watermarks), messages))
    }

    /// These messages, whatever their conversations, without those that the viewer deleted for themselves.
    pub(super) async fn rows_of(&self, viewer: UserId, ids: &[Uuid]) -> DbResult<Vec<MessageRow>> {
        let rows = message_rows!(
            MessageRow,
            r#"SELECT m.conversation_id AS "conversation_id!","#,
            "FROM messages m
             WHERE m.id = ANY($2)
               AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = m.id AND d.user_id = $1)",
            viewer.0,
            ids
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows)
    }

    /// Slices of conversations, by conversation and number. Of the three branches each slice runs one, a range of one
    /// index.
    pub(super) async fn slices(&self, viewer: UserId, slices: &[Slice]) -> DbResult<Vec<MessageRow>> {
        let conversations: Vec<Uuid> = slices.iter().map(|s| s.conversation.0).collect();
        let after: Vec<i64> = slices.iter().map(|s| s.page.after.unwrap_or(0)).collect();
        let before: Vec<i64> = slices.iter().map(|s| s.page.before.unwrap_or(i64::MAX)).collect();
        let limits: Vec<i64> = slices.iter().map(|s| s.page.limit).collect();
        let offsets: Vec<i64> = slices.iter().map(|s| s.page.offset).collect();
        let forward: Vec<bool> = slices.iter().map(|s| s.page.after.is_some()).collect();
        let changed_since: Vec<Option<DateTime<Utc>>> = slices.iter().map(|s| s.changed_since).collect();
        let rows = message_rows!(
            MessageRow,
            r#"WITH input AS (
    SELECT * FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bool[], $8::timestamptz[])
        AS i (conversation_id, after, before, max, skip, forward, changed_since)
), page AS (
    SELECT m.* FROM input i CROSS JOIN LATERAL (
        (SELECT m.* FROM messages m
         WHERE i.changed_since IS NULL AND NOT i.forward
           AND m.conversation_id = i.conversation_id AND m.seq > i.after AND m.seq < i.before
           AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = m.id AND d.user_id = $1)
         ORDER BY m.seq DESC LIMIT i.max OFFSET i.skip)
        UNION ALL
        (SELECT m.* FROM messages m
         WHERE i.changed_since IS NULL AND i.forward
           AND m.conversation_id = i.conversation_id AND m.seq > i.after AND m.seq < i.before
           AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = m.id AND d.user_id = $1)
         ORDER BY m.seq LIMIT i.max OFFSET i.skip)
        UNION ALL
        -- The sums keep the planner off the index by number, in which it would read the whole conversation.
        (SELECT m.* FROM messages m
         WHERE i.changed_since IS NOT NULL AND m.changed_at IS NOT NULL AND m.changed_at >= i.changed_since
           AND m.conversation_id = i.conversation_id AND m.seq + 0 > i.after AND m.seq + 0 < i.before
           AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = m.id AND d.user_id = $1)
         ORDER BY m.changed_at LIMIT i.max OFFSET i.skip)
    ) m
) SELECT m.conversation_id AS "conversation_id!","#,
            "FROM page m ORDER BY m.conversation_id, m.seq",
            viewer.0,
            &conversations,
            &after,
            &before,
            &limits,
            &offsets,
            &forward,
            &changed_since as &[Option<DateTime<Utc>>]
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows)
    }

    /// Messages as `viewer` sees them, from their rows and the watermarks of their conversations' members.
    pub(super) async fn messages_from<'w>(
        &self,
        viewer: UserId,
        rows: Vec<MessageRow>,
        watermarks: impl Fn(ConversationId) -> &'w [Watermark],
    ) -> DbResult<Vec<Message>> {
        let with_more: Vec<Uuid> = rows.iter().filter(|r| r.has_more()).map(|r| r.id).collect();
        let changed = self.changed_rows(viewer, &with_more).await?;
        let mut changed: HashMap<Uuid, ChangedRow> = changed.into_iter().map(|row| (row.id, row)).collect();
        let mut messages = Vec::with_capacity(rows.len());
        for row in rows {
            let (id, has_more) = (row.id, row.has_more());
            let watermarks = watermarks(ConversationId(row.conversation_id));
            let mut message = row.into_message(watermarks);
            if has_more {
                // Without it the whole row is gone meanwhile.
                let Some(changed) = changed.remove(&id) else { continue };
                changed.add_to(&mut message);
            }
            messages.push(message);
        }
        Ok(messages)
    }
}
