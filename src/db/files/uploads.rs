//! The book of uploaded files: how much a user uploaded today, which files a message names, and which are to go.

use crate::{
    db::{Db, DbResult},
    domain::UserId,
};

/// A file that no message names goes this long after that was found out, if it is still so: a message may be on its way.
const GRACE_SECONDS: f64 = 120.0;
/// One that the store did not give up is tried again after this; the others come first.
const RETRY_SECONDS: f64 = 60.0;

impl Db {
    /// Bytes that `user` uploaded today (UTC).
    pub async fn uploaded_today(&self, user: UserId) -> DbResult<u64> {
        let bytes = sqlx::query_scalar!(
            "SELECT bytes FROM chat_upload_bytes WHERE user_id = $1 AND day = (now() AT TIME ZONE 'UTC')::date",
            user.0
        )
        .fetch_optional(&self.pool())
        .await?;
        Ok(u64::try_from(bytes.unwrap_or(0)).unwrap_or(0))
    }

    /// Notes a file that is about to be kept; false, and not noted, where its owner would have more than `quota` today.
    pub async fn note_file(&self, path: &str, owner: UserId, size: u64, quota: Option<u64>) -> DbResult<bool> {
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let noted = sqlx::query!(
            "WITH counted AS (
                 INSERT INTO chat_upload_bytes AS b (user_id, day, bytes)
                 SELECT $2::uuid, (now() AT TIME ZONE 'UTC')::date, $3::bigint WHERE $3::bigint <= $4::bigint
                 ON CONFLICT (user_id, day) DO UPDATE SET bytes = b.bytes + excluded.bytes
                     WHERE b.bytes + excluded.bytes <= $4::bigint
                 RETURNING 1)
             INSERT INTO chat_files (path, owner_id, size) SELECT $1, $2::uuid, $3::bigint FROM counted",
            path,
            owner.0,
            whole(size),
            quota.map_or(i64::MAX, whole)
        );
        let mut lease = self.pool().acquire().await?;
        let noted = noted.execute(&mut *lease).await;
        Ok(lease.done_if_ok(noted)?.rows_affected() == 1)
    }

    /// Forgets a file that was taken back, and its bytes on the day on which they were counted.
    pub async fn forget_upload(&self, path: &str, owner: UserId) -> DbResult<()> {
        sqlx::query!(
            "WITH forgotten AS (
                 DELETE FROM chat_files WHERE path = $1 AND owner_id = $2
                 RETURNING size, (created_at AT TIME ZONE 'UTC')::date AS day)
             UPDATE chat_upload_bytes b SET bytes = GREATEST(b.bytes - f.size, 0)
             FROM forgotten f WHERE b.user_id = $2 AND b.day = f.day RETURNING 1 AS done",
            path,
            owner.0
        )
        .fetch_optional(&self.pool())
        .await?;
        Ok(())
    }

    /// Looks at up to `max` files that were uploaded `hours` ago and not looked at since: a message names them, or they are
    /// unused. Returns how many it looked at.
    pub async fn find_unused_files(&self, hours: u32, max: i64) -> DbResult<i64> {
        let looked_at = sqlx::query_scalar!(
            r#"WITH old AS (
                 SELECT path FROM chat_files WHERE state = 'new' AND created_at < now() - make_interval(hours => $1)
                 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
             ), looked_at AS (
                 UPDATE chat_files f SET since = now(), state = CASE WHEN souk_is_file_named(f.path) THEN 'used' ELSE 'unused' END
                 FROM old WHERE f.path = old.path RETURNING 1)
             SELECT count(*) AS "count!" FROM looked_at"#,
            i32::try_from(hours).unwrap_or(i32::MAX),
            max
        )
        .fetch_one(&self.pool())
        .await?;
        Ok(looked_at)
    }

    /// Up to `max` files that are to go now. An unused one that a message names meanwhile is kept.
    pub async fn files_to_remove(&self, max: i64) -> DbResult<Vec<String>> {
        let paths = sqlx::query_scalar!(
            "WITH due AS (
                 SELECT path, state, state = 'unused' AND souk_is_file_named(path) AS is_named FROM chat_files
                 WHERE state = 'deleted' AND since <= now() OR state = 'unused' AND since < now() - make_interval(secs => $1)
                 ORDER BY since LIMIT $2
             ), kept AS (
                 UPDATE chat_files f SET state = 'used', since = now() FROM due
                 WHERE f.path = due.path AND f.state = 'unused' AND due.is_named)
             SELECT path FROM due WHERE NOT is_named",
            GRACE_SECONDS,
            max
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(paths)
    }

    /// True if a file is to be removed because its messages were deleted for everyone.
    pub async fn is_file_deleted(&self, path: &str) -> DbResult<bool> {
        let is_deleted = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM chat_files WHERE path = $1 AND state = 'deleted') AS "is_deleted!""#,
            path
        );
        Ok(is_deleted.fetch_one(&self.pool()).await?)
    }

    /// Puts a file that the store did not give up behind the others: it is due again in a minute.
    pub async fn put_off_file(&self, path: &str) -> DbResult<()> {
        sqlx::query!(
            "UPDATE chat_files SET since = now() + make_interval(secs => $2::float8 - CASE state WHEN 'unused' THEN $3::float8 ELSE 0 END)
             WHERE path = $1 AND state IN ('unused', 'deleted') RETURNING path",
            path,
            RETRY_SECONDS,
            GRACE_SECONDS
        )
        .fetch_optional(&self.pool())
        .await?;
        Ok(())
    }

    /// Forgets a file that was removed from the store.
    pub async fn forget_file(&self, path: &str) -> DbResult<()> {
        sqlx::query!("DELETE FROM chat_files WHERE path = $1 AND state IN ('unused', 'deleted') RETURNING path", path)
            .fetch_optional(&self.pool())
            .await?;
        Ok(())
    }

    /// Forgets how much was uploaded on days that are over.
    pub async fn forget_old_days(&self) -> DbResult<()> {
        sqlx::query!("DELETE FROM chat_upload_bytes WHERE day < (now() AT TIME ZONE 'UTC')::date - 1 RETURNING day")
            .fetch_all(&self.pool())
            .await?;
        Ok(())
    }
}
