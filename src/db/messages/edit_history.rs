//! The earlier texts of a message, and the users who hid it from themselves.

use uuid::Uuid;

use crate::{
    db::{Db, DbResult, time::Time},
    domain::{Edit, MessageId, UserId},
};

#[derive(Clone, Debug, Default)]
pub struct EditHistory {
    /// Newest first.
    pub edits: Vec<Edit>,
    /// Number of all of them.
    pub count: i64,
    pub has_more: bool,
}

impl Db {
    /// Earlier texts of a message, newest first: up to `limit`, and as many as fit in `max_bytes`, but one at least.
    /// They begin with the newest, or after `before`; `None` where that is no earlier text of this message.
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

    /// The users who deleted a message for themselves.
    pub async fn hidden_from(&self, message: MessageId) -> DbResult<Vec<UserId>> {
        let ids = sqlx::query_scalar!("SELECT user_id FROM message_deletions WHERE message_id = $1", message.0)
            .fetch_all(&self.pool())
            .await?;
        Ok(ids.into_iter().map(UserId).collect())
    }
}
