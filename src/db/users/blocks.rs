//! Blocks between users.

use uuid::Uuid;

use super::person::PersonRow;
use crate::{
    db::{Db, DbResult},
    domain::{Person, UserId},
};

impl Db {
    /// Blocks `user` for `by`. False where there is no such user.
    pub async fn block(&self, by: UserId, user: UserId) -> DbResult<bool> {
        let found = sqlx::query_scalar!(
            r#"WITH known AS (SELECT id FROM users WHERE id = $2), done AS (
                   INSERT INTO user_blocks (blocker_id, blocked_id) SELECT $1, id FROM known ON CONFLICT DO NOTHING
               )
               SELECT EXISTS (SELECT 1 FROM known) AS "found!""#,
            by.0,
            user.0
        )
        .fetch_one(&self.pool())
        .await?;
        Ok(found)
    }

    /// Removes the block. False where there is no such user; no block is no error.
    pub async fn unblock(&self, by: UserId, user: UserId) -> DbResult<bool> {
        let found = sqlx::query_scalar!(
            r#"WITH done AS (DELETE FROM user_blocks WHERE blocker_id = $1 AND blocked_id = $2)
               SELECT EXISTS (SELECT 1 FROM users WHERE id = $2) AS "found!""#,
            by.0,
            user.0
        )
        .fetch_one(&self.pool())
        .await?;
        Ok(found)
    }

    /// Everyone with whom `user` has a block, whichever of the two made it.
    pub async fn blocks_around(&self, user: UserId) -> DbResult<Vec<UserId>> {
        let ids = sqlx::query_scalar!(
            r#"SELECT blocked_id AS "id!" FROM user_blocks WHERE blocker_id = $1
               UNION SELECT blocker_id FROM user_blocks WHERE blocked_id = $1"#,
            user.0
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(ids.into_iter().map(UserId).collect())
    }

    /// The users whom `user` blocked, the latest first.
    pub async fn blocked_by(&self, user: UserId, limit: i64) -> DbResult<Vec<Person>> {
        let rows = sqlx::query_as!(
            PersonRow,
            r#"SELECT u.id, COALESCE(u.email, '') AS "email!", COALESCE(u.role, 'customer') AS "role!", u.display_name,
                      COALESCE(u.status, 'active') AS "status!",
                      to_char(u.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at
               FROM user_blocks b JOIN users u ON u.id = b.blocked_id
               WHERE b.blocker_id = $1 ORDER BY b.created_at DESC, u.id LIMIT $2"#,
            user.0,
            limit
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows.into_iter().filter_map(PersonRow::into_person).collect())
    }

    /// True if one of these two blocked the other.
    pub async fn is_blocked(&self, a: UserId, b: UserId) -> DbResult<bool> {
        let pair: Vec<Uuid> = vec![a.0, b.0];
        Ok(sqlx::query_scalar!(r#"SELECT souk_is_blocked($1) AS "blocked!""#, &pair).fetch_one(&self.pool()).await?)
    }
}
