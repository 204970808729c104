//! The bytes of text that each user has stored.

use uuid::Uuid;

use crate::{
    db::{Db, DbResult},
    domain::UserId,
};

impl Db {
    /// Adds to what these users have stored; returns what each has stored by now, on all servers.
    pub async fn add_stored_bytes(&self, added: &[(UserId, i64)]) -> DbResult<Vec<(UserId, i64)>> {
        let users: Vec<Uuid> = added.iter().map(|(user, _)| user.0).collect();
        let bytes: Vec<i64> = added.iter().map(|(_, bytes)| *bytes).collect();
        // In the order of the keys, in which every server locks them.
        let rows = sqlx::query!(
            "INSERT INTO chat_stored_bytes AS s (user_id, bytes)
             SELECT i.user_id, i.bytes FROM unnest($1::uuid[], $2::bigint[]) AS i (user_id, bytes) ORDER BY i.user_id
             ON CONFLICT (user_id) DO UPDATE SET bytes = s.bytes + EXCLUDED.bytes
             RETURNING s.user_id, s.bytes",
            &users,
            &bytes
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows.into_iter().map(|r| (UserId(r.user_id), r.bytes)).collect())
    }
}
