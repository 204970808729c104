//! The columns of a message, and the two statements that read them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Db, DbResult, Page, Slice, Watermark};
use crate::domain::{ConversationId, Message, MessageId, Quote, Reaction, Status, UserId};

/// A stored message. What is the same for most messages is `None` for those: it costs more than all the rest to send, and to
/// read, what is empty.
pub(super) struct MessageRow {
    id: Uuid,
    pub(super) conversation_id: Uuid,
    sender_id: Uuid,
    seq: i64,
    message_text: String,
    message_type: Option<String>,
    attachments: Option<Value>,
    read_by: Option<Value>,
    delivered_to: Option<Value>,
    is_edited: Option<bool>,
    is_deleted: Option<bool>,
    created_at: DateTime<Utc>,
    updated_at: Option<DateTime<Utc>>,
    edited_at: Option<DateTime<Utc>>,
    last_edited_at: Option<DateTime<Utc>>,
    status: Option<String>,
    deleted_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    read_at: Option<DateTime<Utc>>,
    deletion_type: Option<String>,
    deleted_by: Option<Uuid>,
    edit_count: Option<i32>,
    client_message_id: Option<String>,
    reply_to_message_id: Option<Uuid>,
    changed_at: Option<DateTime<Utc>>,
}

/// What hangs on a message from elsewhere, which few have.
#[derive(Clone, Default)]
pub(super) struct Attached {
    reply_to: Option<Quote>,
    reactions: Vec<Reaction>,
}

/// Messages `m`; what stands before and after the columns says which. An empty JSON array takes 5 bytes: to look at the size
/// is a tenth of the work of comparing it.
macro_rules! message_rows {
    ($with:literal, $from:literal, $($arg:expr),*) => {
        sqlx::query_as!(
            MessageRow,
            $with + r#" SELECT m.id AS "id!", m.conversation_id AS "conversation_id!", m.sender_id AS "sender_id!", m.seq AS "seq!",
       CASE WHEN m.is_deleted THEN '' ELSE m.message_text END AS "message_text!", NULLIF(m.message_type, 'text') AS message_type,
       CASE WHEN pg_column_size(m.attachments) > 5 AND NOT m.is_deleted THEN m.attachments END AS attachments,
       CASE WHEN pg_column_size(m.read_by) > 5 THEN m.read_by END AS read_by,
       CASE WHEN pg_column_size(m.delivered_to) > 5 THEN m.delivered_to END AS delivered_to,
       NULLIF(m.is_edited, false) AS is_edited, NULLIF(m.is_deleted, false) AS is_deleted, m.created_at AS "created_at!",
       NULLIF(m.updated_at, m.created_at) AS updated_at, m.edited_at, m.last_edited_at, NULLIF(m.status, 'sent') AS status,
       m.deleted_at, m.delivered_at, m.read_at, m.deletion_type, m.deleted_by, NULLIF(m.edit_count, 0) AS edit_count,
       m.client_message_id, m.reply_to_message_id, m.changed_at
        "# + $from,
            $($arg),*
        )
    };
}

fn user_ids(value: Option<&Value>) -> impl Iterator<Item = UserId> + '_ {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(|v| UserId::parse(v.as_str()?))
}

fn push_new(list: &mut Vec<UserId>, id: UserId) {
    if !list.contains(&id) {
        list.push(id);
    }
}

impl MessageRow {
    /// Whether there may be something of it elsewhere: a reaction changes its message.
    fn has_more(&self) -> bool {
        self.reply_to_message_id.is_some() || self.changed_at.is_some()
    }

    /// Adds to what an adopted row says of its readers what the watermarks say.
    fn into_message(self, attached: Attached, watermarks: &[Watermark]) -> Message {
        let sender = UserId(self.sender_id);
        let (mut read_by, mut delivered_to) = (vec![sender], Vec::new());
        user_ids(self.read_by.as_ref()).for_each(|id| push_new(&mut read_by, id));
        user_ids(self.delivered_to.as_ref()).for_each(|id| push_new(&mut delivered_to, id));
        let (mut read_at, mut delivered_at) = (self.read_at, self.delivered_at);
        let earliest = |a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        for w in watermarks.iter().filter(|w| w.user_id != sender) {
            if w.last_read_seq >= self.seq {
                push_new(&mut read_by, w.user_id);
                read_at = earliest(read_at, w.last_read_at);
            }
            if w.last_read_seq.max(w.last_delivered_seq) >= self.seq {
                push_new(&mut delivered_to, w.user_id);
                delivered_at = earliest(delivered_at, w.last_delivered_at.or(w.last_read_at));
            }
        }
        for id in read_by.iter().filter(|id| **id != sender) {
            push_new(&mut delivered_to, *id);
        }
        let derived = match (read_by.len(), delivered_to.len()) {
            (2.., _) => Status::Read,
            (_, 1..) => Status::Delivered,
            _ => Status::Sent,
        };
        Message {
            id: MessageId(self.id),
            status: derived.max(self.status.as_deref().map_or(Status::Sent, Status::parse)),
            conversation_id: ConversationId(self.conversation_id),
            sender_id: sender,
            seq: self.seq,
            text: self.message_text,
            kind: self.message_type.unwrap_or_else(|| "text".to_owned()),
            attachments: self.attachments.unwrap_or_else(|| Value::Array(Vec::new())),
            read_by,
            delivered_to,
            // A watermark may be older than what it covers by the width of a clock; a time never is.
            read_at: read_at.map(|t| t.max(self.created_at)),
            delivered_at: delivered_at.or(read_at).map(|t| t.max(self.created_at)),
            is_edited: self.is_edited.unwrap_or(false),
            is_deleted: self.is_deleted.unwrap_or(false),
            created_at: self.created_at,
            updated_at: self.updated_at.unwrap_or(self.created_at),
            edited_at: self.edited_at,
            last_edited_at: self.last_edited_at,
            deleted_at: self.deleted_at,
            deletion_type: self.deletion_type,
            deleted_by: self.deleted_by.map(UserId),
            edit_count: self.edit_count.unwrap_or(0),
            client_message_id: self.client_message_id,
            reply_to_message_id: self.reply_to_message_id.map(MessageId),
            reply_to: attached.reply_to,
            reactions: attached.reactions,
        }
    }
}

impl Db {
    /// Messages as `viewer` sees them, from their rows and the watermarks of their conversations' members.
    pub(super) async fn messages_from<'w>(
        &self,
        viewer: UserId,
        rows: Vec<MessageRow>,
        watermarks: impl Fn(ConversationId) -> &'w [Watermark],
    ) -> DbResult<Vec<Message>> {
        let attached = self.attached(viewer, rows.iter().filter(|r| r.has_more()).map(|r| r.id).collect()).await?;
        let message = |row: MessageRow| {
            let watermarks = watermarks(ConversationId(row.conversation_id));
            let attached = attached.get(&row.id).cloned().unwrap_or_default();
            row.into_message(attached, watermarks)
        };
        Ok(rows.into_iter().map(message).collect())
    }

    /// Quotes and reactions of these messages. Most pages have none, and nothing is asked for them.
    async fn attached(&self, viewer: UserId, messages: Vec<Uuid>) -> DbResult<HashMap<Uuid, Attached>> {
        if messages.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = sqlx::query!(
            r#"SELECT m.id, CASE WHEN m.reply_to_message_id IS NOT NULL THEN (
                          SELECT jsonb_build_object('id', q.id, 'sender_id', q.sender_id, 'created_at', q.created_at,
                                     'is_deleted', q.is_deleted OR d.user_id IS NOT NULL,
                                     'message_text', CASE WHEN q.is_deleted OR d.user_id IS NOT NULL THEN '' ELSE q.message_text END)
                          FROM messages q LEFT JOIN message_deletions d ON d.message_id = q.id AND d.user_id = $1
                          WHERE q.id = m.reply_to_message_id AND q.conversation_id = m.conversation_id) END AS "reply_to: Json<Quote>",
                      (SELECT jsonb_agg(jsonb_build_object('reaction', r.reaction, 'count', r.count, 'user_ids', r.user_ids) ORDER BY r.reaction)
                       FROM message_reaction_counts r WHERE r.message_id = m.id) AS "reactions: Json<Vec<Reaction>>"
               FROM messages m WHERE m.id = ANY($2)"#,
            viewer.0,
            &messages
        )
        .fetch_all(&self.pool())
        .await?;
        let attached = |quote: Option<Json<Quote>>, reactions: Option<Json<Vec<Reaction>>>| Attached {
            reply_to: quote.map(|q| q.0),
            reactions: reactions.map(|r| r.0).unwrap_or_default(),
        };
        Ok(rows.into_iter().map(|r| (r.id, attached(r.reply_to, r.reactions))).collect())
    }

    /// The newest messages of a conversation, or the newest before a number: what nearly every call asks for, by a
    /// statement that can do no more. `OFFSET 0` keeps the planner from reading all that the viewer ever deleted.
    pub(super) async fn newest_rows(
        &self,
        viewer: UserId,
        conversation: ConversationId,
        page: &Page,
    ) -> DbResult<Vec<MessageRow>> {
        let mut rows = message_rows!(
            "",
            "FROM (SELECT n.* FROM messages n
                   WHERE n.conversation_id = $2 AND n.seq < $3
                     AND (NOT EXISTS (SELECT 1 FROM message_deletions WHERE user_id = $1)
                          OR NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = n.id AND d.user_id = $1 OFFSET 0))
                   ORDER BY n.seq DESC LIMIT $4 OFFSET $5) m",
            viewer.0,
            conversation.0,
            page.before.unwrap_or(i64::MAX),
            page.limit,
            page.offset
        )
        .fetch_all(&self.pool())
        .await?;
        // They come the newest first, which SQL does not promise.
        rows.sort_by_key(|row| row.seq);
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
)"#,
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
}
