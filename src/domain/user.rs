//! Users and their roles.

use serde::Serialize;

use super::UserId;

/// A user's role, from the database (contract §Connecting: the one in the token does not count).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Customer,
    Seller,
    Admin,
    Manager,
}

impl Role {
    /// Reads the database's name; `None` for a role that the chat does not know.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Customer, Self::Seller, Self::Admin, Self::Manager].into_iter().find(|role| role.as_str() == word)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Seller => "seller",
            Self::Admin => "admin",
            Self::Manager => "manager",
        }
    }

    /// The roles that this role finds (contract §REST).
    pub fn finds(self) -> &'static [Role] {
        match self {
            Self::Admin => &[Self::Customer, Self::Seller, Self::Manager],
            Self::Manager => &[Self::Customer, Self::Seller, Self::Admin],
            Self::Seller => &[Self::Customer, Self::Admin, Self::Manager],
            Self::Customer => &[Self::Seller, Self::Admin, Self::Manager],
        }
    }

    pub fn is_staff(self) -> bool {
        matches!(self, Self::Admin | Self::Manager)
    }
}

/// A row of `users`, as far as the chat reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub role: Role,
    pub display_name: Option<String>,
    /// Only `active` users may connect (contract §Connecting).
    pub active: bool,
}

/// The name that is shown for a user whom the shop deleted.
pub const DELETED_USER: &str = "Deleted user";

impl User {
    /// Makes a user whom the shop deleted. Only the id is known; `role` is the role that they probably had.
    pub fn deleted(id: UserId, role: Role) -> Self {
        Self { id, email: String::new(), role, display_name: Some(DELETED_USER.to_owned()), active: false }
    }

    /// The name shown to others: the display name, else the e-mail's local part.
    pub fn name(&self) -> &str {
        shown_name(self.display_name.as_deref(), &self.email)
    }
}

/// A user as others find them (contract §Shapes).
#[derive(Clone, Debug)]
pub struct Person {
    pub id: UserId,
    /// The name shown to others.
    pub name: String,
    pub email: String,
    pub role: Role,
    pub status: String,
    /// Time at which the user was created, in RFC 3339.
    pub created_at: Option<String>,
}

/// The display name, or the e-mail's local part if there is none (contract §Shapes).
pub fn shown_name<'a>(display_name: Option<&'a str>, email: &'a str) -> &'a str {
    match display_name {
        Some(name) if !name.trim().is_empty() => name,
        _ => email.split('@').next().unwrap_or(email),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_falls_back_to_the_local_part_of_the_address() {
        assert_eq!(shown_name(Some("Ada"), "a@b.c"), "Ada");
        assert_eq!(shown_name(None, "ada.l@b.c"), "ada.l");
        assert_eq!(shown_name(Some("  "), "ada.l@b.c"), "ada.l");
    }

    #[test]
    fn roles_keep_the_databases_words() {
        for role in [Role::Customer, Role::Seller, Role::Admin, Role::Manager] {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
    }
}
