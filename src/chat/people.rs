//! Finding people to talk to.

use super::Chat;
use crate::{
    db::FoundUsers,
    domain::{Person, Role, User},
    error::{Error, Result},
    protocol::SearchUsers,
};

impl Chat {
    /// Active users whom the caller's role may find.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub async fn search_users(&self, caller: &User, search: &SearchUsers) -> Result<FoundUsers> {
        if search.text.contains('\0') {
            // Postgres stores none, so nobody's name has one.
            return Ok(FoundUsers { users: Vec::new(), is_complete: true });
        }
        let roles: Vec<Role> = match &search.role {
            None => caller.role.finds().to_vec(),
            Some(word) => Role::parse(word).into_iter().filter(|r| caller.role.finds().contains(r)).collect(),
        };
        Ok(self.db.search_users(caller.id, &roles, &search.text, search.limit).await?)
    }

    /// Up to 100 active users whom the caller's role may find.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub async fn available_users(&self, caller: &User) -> Result<Vec<Person>> {
        Ok(self.db.available_users(caller.id, caller.role.finds()).await?)
    }

    /// Whom the caller should ask for help.
    ///
    /// # Errors
    /// [`Error::NoSupportStaff`], [`Error::Internal`].
    pub async fn support_user(&self, caller: &User) -> Result<Person> {
        self.db.support_user(caller.id).await?.ok_or(Error::NoSupportStaff)
    }
}
