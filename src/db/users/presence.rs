//! Presence, over all servers on this database. A user is online while some server whose heart beats holds a
//! socket of theirs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    db::{Db, DbResult, connection::transaction::again_while_in_the_way, time::Time},
    domain::UserId,
};

/// A row of `user_online_status`.
#[derive(Clone, Debug)]
pub struct OnlineStatus {
    pub is_online: bool,
    /// Time at which the last one connected or disconnected.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// An opaque id of the latest connection. Never a session id: whoever has that can read the session.
    pub socket_id: Option<String>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// A user who went offline, and when.
pub type Gone = (UserId, DateTime<Utc>);

// These statements are planned once per connection, often while nobody was ever here, when Postgres takes a join of all with
// all for the cheapest. So they join little: what is looked for is an array, or a list that it hashes.

impl Db {
    /// Beats this server's heart. True when the server was unknown: it just started, or others gave it up.
    pub async fn heartbeat(&self, server: &str) -> DbResult<bool> {
        let inserted = sqlx::query_scalar!(
            r#"INSERT INTO chat_servers (name) VALUES ($1)
               ON CONFLICT (name) DO UPDATE SET heartbeat_at = now() RETURNING (xmax = 0) AS "inserted!""#,
            server
        )
        .fetch_one(&self.pool())
        .await?;
        Ok(inserted)
    }

    /// Servers other than `server` whose heart has beaten within `stale_seconds`, by name, with the seconds since.
    pub async fn other_servers(&self, server: &str, stale_seconds: i32) -> DbResult<Vec<(String, f64)>> {
        let rows = sqlx::query!(
            r#"SELECT name, extract(epoch FROM now() - heartbeat_at)::float8 AS "silent!" FROM chat_servers
               WHERE name <> $1 AND heartbeat_at > now() - make_interval(secs => $2::int) ORDER BY name"#,
            server,
            stale_seconds
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows.into_iter().map(|r| (r.name, r.silent)).collect())
    }

    /// Forgets `server` (when given) and every server silent for `stale_seconds`. Users that no other server holds
    /// are offline since that server's last heartbeat.
    pub async fn sweep_servers(&self, server: Option<&str>, stale_seconds: i32) -> DbResult<Vec<Gone>> {
        again_while_in_the_way(|| self.try_to_sweep(server, stale_seconds)).await
    }

    async fn try_to_sweep(&self, server: Option<&str>, stale_seconds: i32) -> DbResult<Vec<Gone>> {
        let mut connection = self.pool().acquire().await?;
        let mut tx = connection.begin().await?;
        // As in `set_offline`: first the lock, then a statement that sees what others did until then.
        sqlx::query!(
            "SELECT s.user_id FROM user_online_status s
             WHERE s.user_id = ANY (ARRAY(
                 SELECT u.user_id FROM chat_servers c JOIN chat_server_users u ON u.server_name = c.name
                 WHERE c.name = $1 OR c.heartbeat_at < now() - make_interval(secs => $2::int)))
             ORDER BY s.user_id FOR UPDATE",
            server,
            stale_seconds
        )
        .fetch_all(&mut *tx)
        .await?;
        let rows = sqlx::query!(
            r#"WITH dead AS (
                   DELETE FROM chat_servers
                   WHERE name = $1 OR heartbeat_at < now() - make_interval(secs => $2::int) RETURNING name, heartbeat_at
               ), left_behind AS (
                   SELECT u.user_id, max(d.heartbeat_at) AS seen
                   FROM dead d JOIN chat_server_users u ON u.server_name = d.name GROUP BY u.user_id
               )
               UPDATE user_online_status s SET is_online = false, last_seen_at = l.seen, updated_at = now(), socket_id = NULL
               FROM left_behind l
               WHERE s.user_id = l.user_id AND s.is_online AND s.user_id NOT IN (
                   SELECT o.user_id FROM chat_server_users o WHERE o.server_name NOT IN (SELECT name FROM dead))
               RETURNING s.user_id, l.seen AS "seen!: Time""#,
            server,
            stale_seconds
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        connection.done();
        Ok(rows.into_iter().map(|r| (UserId(r.user_id), r.seen.into())).collect())
    }

    /// Records that `server` holds sockets of `users`. Returns those who were offline until now.
    pub async fn set_online(&self, server: &str, users: &[(UserId, Uuid)]) -> DbResult<Vec<UserId>> {
        let ids: Vec<Uuid> = users.iter().map(|u| u.0.0).collect();
        let connections: Vec<String> = users.iter().map(|u| u.1.to_string()).collect();
        // Not tried again here: who waits for nothing must not wait for one whose row is locked.
        let mut lease = self.pool().acquire().await?;
        let rows = sqlx::query_scalar!(
            r#"WITH input AS (
                   SELECT i.user_id, i.connection FROM unnest($2::uuid[], $3::text[]) AS i (user_id, connection) JOIN users u ON u.id = i.user_id
               ), held AS (
                   INSERT INTO chat_server_users (server_name, user_id) SELECT $1, user_id FROM input ORDER BY user_id ON CONFLICT DO NOTHING
               ), before AS (
                   SELECT s.user_id FROM user_online_status s WHERE s.user_id = ANY ($2) AND s.is_online
               ), done AS (
                   INSERT INTO user_online_status AS s (user_id, is_online, last_seen_at, socket_id, updated_at)
                   SELECT user_id, true, now(), connection, now() FROM input ORDER BY user_id
                   ON CONFLICT (user_id) DO UPDATE SET is_online = true, last_seen_at = now(), socket_id = excluded.socket_id, updated_at = now()
               )
               SELECT i.user_id AS "user_id!" FROM input i WHERE i.user_id NOT IN (SELECT user_id FROM before)"#,
            server,
            &ids,
            &connections
        )
        .fetch_all(&mut *lease)
        .await;
        Ok(lease.done_if_ok(rows)?.into_iter().map(UserId).collect())
    }

    /// Records that `server` holds no socket of `users` any more, and how long ago the last one went. Returns those whom no
    /// other server holds.
    pub async fn set_offline(&self, server: &str, users: &[(UserId, Duration)]) -> DbResult<Vec<Gone>> {
        let mut users: Vec<(Uuid, f64)> = users.iter().map(|(user, ago)| (user.0, ago.as_secs_f64())).collect();
        // In order: the statement finds a user's time by halves.
        users.sort_unstable_by_key(|u| u.0);
        let (ids, ago): (Vec<Uuid>, Vec<f64>) = users.into_iter().unzip();
        let mut connection = self.pool().acquire().await?;
        let mut tx = connection.begin().await?;
        // Another server may be taking the same user in: its row lock is waited for first, and the statement after
        // that sees what it wrote.
        sqlx::query!(
            "SELECT user_id FROM user_online_status WHERE user_id = ANY($1) ORDER BY user_id FOR UPDATE",
            &ids
        )
        .fetch_all(&mut *tx)
        .await?;
        let rows = sqlx::query!(
            r#"WITH let_go AS (
                   DELETE FROM chat_server_users WHERE server_name = $1 AND user_id = ANY($2)
               )
               UPDATE user_online_status s SET is_online = false, updated_at = now(), socket_id = NULL,
                   last_seen_at = now() - make_interval(secs => ($3::float8[])[width_bucket(s.user_id, $2)])
               WHERE s.user_id = ANY($2) AND s.is_online
                 AND s.user_id NOT IN (SELECT o.user_id FROM chat_server_users o WHERE o.user_id = ANY($2) AND o.server_name <> $1)
               RETURNING s.user_id, s.last_seen_at AS "seen!: Time""#,
            server,
            &ids,
            &ago
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        connection.done();
        Ok(rows.into_iter().map(|r| (UserId(r.user_id), r.seen.into())).collect())
    }

    /// A user's presence; `None` if none is stored, or the shop deleted the user.
    pub async fn online_status(&self, user: UserId) -> DbResult<Option<OnlineStatus>> {
        let row = sqlx::query!(
            r#"SELECT COALESCE(is_online, false) AS "is_online!", last_seen_at AS "last_seen_at: Time", socket_id,
                      s.updated_at AS "updated_at: Time"
               FROM user_online_status s JOIN users u ON u.id = s.user_id WHERE s.user_id = $1"#,
            user.0
        )
        .fetch_optional(&self.pool())
        .await?;
        Ok(row.map(|r| OnlineStatus {
            is_online: r.is_online,
            last_seen_at: r.last_seen_at.map(Into::into),
            socket_id: r.socket_id,
            updated_at: Some(r.updated_at.into()),
        }))
    }
}
