//! A user as others find them, from a row.

use uuid::Uuid;

use crate::domain::{Person, Role, UserId, shown_name};

/// A user as others find them; a function's columns may all be NULL.
pub(super) struct PersonRow {
    pub(super) id: Option<Uuid>,
    pub(super) email: Option<String>,
    pub(super) role: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) status: Option<String>,
    pub(super) created_at: Option<String>,
}

impl PersonRow {
    pub(super) fn into_person(self) -> Option<Person> {
        let email = self.email?;
        Some(Person {
            id: UserId(self.id?),
            name: shown_name(self.display_name.as_deref(), &email).to_owned(),
            role: Role::parse(&self.role?)?,
            email,
            status: self.status?,
            created_at: self.created_at,
        })
    }
}
