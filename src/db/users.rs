//! The shop's users: read, never written.

use uuid::Uuid;

use super::{Db, DbError, DbResult};
use crate::domain::{Role, User, UserId};

struct UserRow {
    id: Uuid,
    email: String,
    role: String,
    display_name: Option<String>,
    status: String,
}

impl UserRow {
    /// `None` for a role that the chat does not know: such a user may not enter.
    fn into_user(self) -> Option<User> {
        Some(User {
            id: UserId(self.id),
            email: self.email,
            role: Role::parse(&self.role)?,
            display_name: self.display_name,
            active: self.status == "active",
        })
    }
}

impl Db {
    /// The user with this id, active or not.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn user(&self, id: UserId) -> DbResult<Option<User>> {
        Ok(self.users(&[id]).await?.pop())
    }

    /// Those of these users that there are, active or not.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn users(&self, ids: &[UserId]) -> DbResult<Vec<User>> {
        let ids: Vec<Uuid> = ids.iter().map(|u| u.0).collect();
        let rows = sqlx::query_as!(
            UserRow,
            r#"SELECT id, email, COALESCE(role, 'customer') AS "role!", display_name, COALESCE(status, 'active') AS "status!"
               FROM users WHERE id = ANY($1)"#,
            &ids
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows.into_iter().filter_map(UserRow::into_user).collect())
    }

    /// The user with this e-mail address, whatever its case.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn user_by_email(&self, email: &str) -> DbResult<Option<User>> {
        let row = sqlx::query_as!(
            UserRow,
            r#"SELECT id, email, COALESCE(role, 'customer') AS "role!", display_name, COALESCE(status, 'active') AS "status!"
               FROM users WHERE lower(email) = lower($1) ORDER BY id LIMIT 1"#,
            email
        )
        .fetch_optional(&self.pool())
        .await?;
        Ok(row.and_then(UserRow::into_user))
    }

    /// Those of `users` who are not active any more, or not there.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn inactive(&self, users: &[UserId]) -> DbResult<Vec<UserId>> {
        let ids: Vec<Uuid> = users.iter().map(|u| u.0).collect();
        let rows = sqlx::query_scalar!(
            r#"SELECT i.id AS "id!" FROM unnest($1::uuid[]) AS i (id)
               WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = i.id AND COALESCE(u.status, 'active') = 'active')"#,
            &ids
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows.into_iter().map(UserId).collect())
    }

    /// Seeds users into the embedded database, once: never called with the shop's.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn seed_users(&self, users: &[(UserId, &str, Role, &str)]) -> DbResult<()> {
        let ids: Vec<Uuid> = users.iter().map(|u| u.0.0).collect();
        let emails: Vec<String> = users.iter().map(|u| u.1.to_owned()).collect();
        let roles: Vec<String> = users.iter().map(|u| u.2.as_str().to_owned()).collect();
        let names: Vec<String> = users.iter().map(|u| u.3.to_owned()).collect();
        sqlx::query!(
            "INSERT INTO users (id, email, password_hash, role, display_name)
             SELECT id, email, '!', role, name FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS u (id, email, role, name)
             WHERE NOT EXISTS (SELECT 1 FROM users)
             ON CONFLICT DO NOTHING",
            &ids,
            &emails,
            &roles,
            &names
        )
        .execute(&self.pool())
        .await
        .map_err(DbError::from)?;
        Ok(())
    }
}
