//! Finding people: search, who is available, whom to ask for help.

use uuid::Uuid;

use super::{Db, DbResult};
use crate::domain::{Person, Role, UserId, shown_name};

/// Most users of `GET /users/available`.
const MAX_AVAILABLE: i64 = 100;

pub(super) struct PersonRow {
    pub(super) id: Uuid,
    pub(super) email: String,
    pub(super) role: String,
    pub(super) display_name: Option<String>,
    pub(super) status: String,
    pub(super) created_at: Option<String>,
}

impl PersonRow {
    pub(super) fn into_person(self) -> Option<Person> {
        Some(Person {
            id: UserId(self.id),
            name: shown_name(self.display_name.as_deref(), &self.email).to_owned(),
            role: Role::parse(&self.role)?,
            email: self.email,
            status: self.status,
            created_at: self.created_at,
        })
    }
}

fn words(roles: &[Role]) -> Vec<String> {
    roles.iter().map(|r| r.as_str().to_owned()).collect()
}

impl Db {
    /// Active users of `roles` other than `caller` whose name or e-mail contains `text`, in any case.
    /// `%` and `_` are plain characters.
    ///
    /// # Errors
    /// [`super::DbError`].
    pub async fn search_users(&self, caller: UserId, roles: &[Role], text: &str, limit: i64) -> DbResult<Vec<Person>> {
        // created_at has no zone in the shop's table, and is UTC; as text it does not matter which type it has.
        let rows = sqlx::query_as!(
            PersonRow,
            r#"SELECT id, email, role AS "role!", display_name, status AS "status!",
                      to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at
               FROM users
               WHERE status = 'active' AND id <> $1 AND role = ANY($2)
                 AND ($3 = '' OR strpos(lower(email), lower($3)) > 0 OR strpos(lower(display_name), lower($3)) > 0)
               ORDER BY lower(COALESCE(display_name, email)), id LIMIT $4"#,
            caller.0,
            &words(roles),
            text,
            limit
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows.into_iter().filter_map(PersonRow::into_person).collect())
    }

    /// Up to 100 active users of `roles` other than `caller`, as evenly from each role as there are.
    ///
    /// # Errors
    /// [`super::DbError`].
    pub async fn available_users(&self, caller: UserId, roles: &[Role]) -> DbResult<Vec<Person>> {
        let rows = sqlx::query_as!(
            PersonRow,
            r#"SELECT id AS "id!", email AS "email!", role AS "role!", display_name, status AS "status!",
                      to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at
               FROM (SELECT u.*, row_number() OVER (PARTITION BY role ORDER BY lower(COALESCE(display_name, email)), id) AS place
                     FROM users u WHERE status = 'active' AND id <> $1 AND role = ANY($2)) ranked
               ORDER BY place, role LIMIT $3"#,
            caller.0,
            &words(roles),
            MAX_AVAILABLE
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows.into_iter().filter_map(PersonRow::into_person).collect())
    }

    /// Whom `caller` should ask for help: the staff member of a support conversation already open; else one who is
    /// online, with the fewest active conversations; else the longest serving.
    ///
    /// # Errors
    /// [`super::DbError`].
    pub async fn support_user(&self, caller: UserId) -> DbResult<Option<Person>> {
        let row = sqlx::query_as!(
            PersonRow,
            r#"SELECT u.id, u.email, u.role AS "role!", u.display_name, u.status AS "status!",
                      to_char(u.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at
               FROM users u
               LEFT JOIN LATERAL (
                   SELECT max(COALESCE(c.last_message_at, c.created_at)) AS at
                   FROM conversation_members mine
                   JOIN conversation_members theirs ON theirs.conversation_id = mine.conversation_id AND theirs.user_id = u.id
                   JOIN conversations c ON c.id = mine.conversation_id
                   WHERE mine.user_id = $1 AND c.status = 'active' AND c.type IN ('customer_support', 'seller_support')) open ON true
               LEFT JOIN user_online_status s ON s.user_id = u.id
               LEFT JOIN LATERAL (
                   SELECT count(*) AS active FROM conversation_members m JOIN conversations c ON c.id = m.conversation_id
                   WHERE m.user_id = u.id AND c.status = 'active' AND s.is_online) load ON true
               WHERE u.role IN ('admin', 'manager') AND u.status = 'active' AND u.id <> $1
               ORDER BY open.at DESC NULLS LAST, COALESCE(s.is_online, false) DESC, load.active, u.created_at, u.id
               LIMIT 1"#,
            caller.0
        )
        .fetch_optional(&self.pool())
        .await?;
        Ok(row.and_then(PersonRow::into_person))
    }
}
