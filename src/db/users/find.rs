//! Finding users: search, who is available, whom to ask for help. Each is one call of a function with a bound on its time
//! (migrations/0006), and they share few connections: many searches wait for one another, and for nobody else.

use std::collections::HashMap;

use super::person::PersonRow;
use crate::{
    db::{Db, DbResult, Pool},
    domain::{Person, Role, UserId},
};

/// Most users of `GET /users/available`.
const MAX_AVAILABLE: usize = 100;
/// Longest that a search goes on beyond what its indexes find.
const SEARCH_BUDGET_MS: i32 = 12;

#[derive(Clone, Debug)]
pub struct FoundUsers {
    /// By name.
    pub users: Vec<Person>,
    /// False where its time was over before all users were looked at.
    pub is_complete: bool,
}

fn words(roles: &[Role]) -> Vec<String> {
    roles.iter().map(|r| r.as_str().to_owned()).collect()
}

impl Db {
    /// The few connections that reads which may be long share.
    fn long_reads(&self) -> Pool {
        self.pool().few_at_a_time(self.long_reads.clone())
    }

    /// Active users of `roles` other than `caller` whose name or e-mail contains `text`, in any case.
    /// `%` and `_` are plain characters.
    pub async fn search_users(&self, caller: UserId, roles: &[Role], text: &str, limit: usize) -> DbResult<FoundUsers> {
        let mut found = self.find_users(caller, roles, text, limit).await?;
        found.users.truncate(limit);
        Ok(found)
    }

    /// Up to 100 active users of `roles` other than `caller`, as evenly from each role as there are.
    pub async fn available_users(&self, caller: UserId, roles: &[Role]) -> DbResult<Vec<Person>> {
        let found = self.find_users(caller, roles, "", MAX_AVAILABLE).await?;
        let mut of_role: HashMap<Role, usize> = HashMap::new();
        let mut placed: Vec<(usize, Person)> = Vec::with_capacity(found.users.len());
        for user in found.users {
            let place = of_role.entry(user.role).or_default();
            *place += 1;
            placed.push((*place, user));
        }
        placed.sort_by_key(|(place, user)| (*place, user.role.as_str()));
        placed.truncate(MAX_AVAILABLE);
        Ok(placed.into_iter().map(|(_, user)| user).collect())
    }

    async fn find_users(&self, caller: UserId, roles: &[Role], text: &str, each: usize) -> DbResult<FoundUsers> {
        let rows = sqlx::query!(
            r#"SELECT id, email, role, display_name, status, created_at, complete
               FROM souk_find_users($1, $2, $3, $4, $5) ORDER BY lower(COALESCE(display_name, email)), id"#,
            caller.0,
            &words(roles),
            text,
            i32::try_from(each).unwrap_or(i32::MAX),
            SEARCH_BUDGET_MS
        )
        .fetch_all(&self.long_reads())
        .await?;
        let is_complete = rows.iter().find_map(|r| r.complete).unwrap_or(false);
        let users = rows.into_iter().map(|r| PersonRow {
            id: r.id,
            email: r.email,
            role: r.role,
            display_name: r.display_name,
            status: r.status,
            created_at: r.created_at,
        });
        Ok(FoundUsers { users: users.filter_map(PersonRow::into_person).collect(), is_complete })
    }

    /// The user whom `caller` should ask for help: the staff member of a support conversation already open; else one who is
    /// online, with the fewest active conversations; else the longest serving.
    pub async fn support_user(&self, caller: UserId) -> DbResult<Option<Person>> {
        let row = sqlx::query_as!(
            PersonRow,
            "SELECT id, email, role, display_name, status, created_at FROM souk_support_user($1)",
            caller.0
        )
        .fetch_optional(&self.long_reads())
        .await?;
        Ok(row.and_then(PersonRow::into_person))
    }
}
