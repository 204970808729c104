//! The shop's users: read, never written.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    db::{Db, DbResult},
    domain::{Role, User, UserId},
};

/// Users whose row differs from what is remembered of them.
#[derive(Debug, Default)]
pub struct Differences {
    /// Users who may not be here: they are deleted, not active, or have a role that the chat does not know.
    pub gone: Vec<UserId>,
    /// Users with another name, role or e-mail address, as they are now.
    pub changed: Vec<User>,
}

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
    pub async fn user(&self, id: UserId) -> DbResult<Option<User>> {
        Ok(self.users(&[id]).await?.pop())
    }

    /// Those of these users that there are, active or not.
    pub async fn users(&self, ids: &[UserId]) -> DbResult<Vec<User>> {
        let ids: Vec<Uuid> = ids.iter().map(|u| u.0).collect();
        let rows = sqlx::query_as!(
            UserRow,
            r#"SELECT id, COALESCE(email, '') AS "email!", COALESCE(role, 'customer') AS "role!", display_name, COALESCE(status, 'active') AS "status!"
               FROM users WHERE id = ANY($1)"#,
            &ids
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows.into_iter().filter_map(UserRow::into_user).collect())
    }

    /// The user with this e-mail address, whatever its case.
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

    /// Compares what is known of users with the database, and returns only where the two differ.
    pub async fn differences(&self, known: &[Arc<User>]) -> DbResult<Differences> {
        let ids: Vec<Uuid> = known.iter().map(|u| u.id.0).collect();
        let emails: Vec<&str> = known.iter().map(|u| u.email.as_str()).collect();
        let roles: Vec<&str> = known.iter().map(|u| u.role.as_str()).collect();
        let names: Vec<Option<&str>> = known.iter().map(|u| u.display_name.as_deref()).collect();
        let rows = sqlx::query!(
            r#"SELECT i.id AS "known!", u.id AS "id?", CASE WHEN u.id IS NOT NULL THEN COALESCE(u.email, '') END AS "email?", COALESCE(u.role, 'customer') AS "role!",
                      u.display_name, COALESCE(u.status, 'active') AS "status!"
               FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS i (id, email, role, display_name)
               LEFT JOIN users u ON u.id = i.id
               WHERE u.id IS NULL OR COALESCE(u.status, 'active') <> 'active' OR COALESCE(u.role, 'customer') <> i.role
                  OR COALESCE(u.email, '') <> i.email OR u.display_name IS DISTINCT FROM i.display_name"#,
            &ids,
            &emails as &[&str],
            &roles as &[&str],
            &names as &[Option<&str>]
        )
        .fetch_all(&self.pool())
        .await?;
        let mut found = Differences::default();
        for r in rows {
            let row = r.id.zip(r.email).map(|(id, email)| UserRow {
                id,
                email,
                role: r.role,
                display_name: r.display_name,
                status: r.status,
            });
            match row.and_then(UserRow::into_user).filter(|user| user.active) {
                Some(user) => found.changed.push(user),
                None => found.gone.push(UserId(r.known)),
            }
        }
        Ok(found)
    }

    /// Seeds demo users into the embedded database while it has none, and lets those that are there in or not. Never called
    /// with the shop's database.
    pub async fn seed_users(&self, users: &[(UserId, &str, Role, &str)], may_enter: bool) -> DbResult<()> {
        let ids: Vec<Uuid> = users.iter().map(|u| u.0.0).collect();
        let emails: Vec<String> = users.iter().map(|u| u.1.to_owned()).collect();
        let roles: Vec<String> = users.iter().map(|u| u.2.as_str().to_owned()).collect();
        let names: Vec<String> = users.iter().map(|u| u.3.to_owned()).collect();
        let status = if may_enter { "active" } else { "inactive" };
        sqlx::query!(
            "WITH seeded AS (
                 INSERT INTO users (id, email, password_hash, role, display_name)
                 SELECT id, email, '!', role, name FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS u (id, email, role, name)
                 WHERE $6 AND NOT EXISTS (SELECT 1 FROM users)
                 ON CONFLICT DO NOTHING
             )
             UPDATE users SET status = $5 WHERE id = ANY ($1) AND password_hash = '!' AND status IS DISTINCT FROM $5",
            &ids,
            &emails,
            &roles,
            &names,
            status,
            may_enter
        )
        .execute(&self.pool())
        .await?;
        Ok(())
    }
}
