//! Blocking: between two of whom one blocked the other nothing passes, in either direction. What is stored stays
//! readable.

use super::Chat;
use crate::{
    domain::{Person, User, UserId},
    error::{Error, Result},
    hub::{Audience, Event},
    protocol::{UserStatus, events::outgoing},
};

/// Most users of `GET /users/blocked`.
const MAX_LISTED: i64 = 1000;

impl Chat {
    /// Blocks a user, or takes it back.
    ///
    /// # Errors
    /// [`Error::InvalidUser`] for the caller, [`Error::UserNotFound`].
    pub async fn set_blocked(&self, caller: &User, other: UserId, blocked: bool) -> Result<()> {
        if other == caller.id {
            return Err(Error::InvalidUser("You cannot block yourself"));
        }
        let found =
            if blocked { self.db.block(caller.id, other).await? } else { self.db.unblock(caller.id, other).await? };
        for user in [caller.id, other] {
            self.core.membership.forget_blocks(user).await;
        }
        if !found {
            return Err(Error::UserNotFound);
        }
        self.tell_presence(caller.id, other).await;
        self.tell_presence(other, caller.id).await;
        Ok(())
    }

    /// Whom the caller blocked.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub async fn blocked_users(&self, caller: &User) -> Result<Vec<Person>> {
        Ok(self.db.blocked_by(caller.id, MAX_LISTED).await?)
    }

    /// Tells `viewer` whether `user` is online, as far as they may know now.
    async fn tell_presence(&self, user: UserId, viewer: UserId) {
        if let Ok(status) = self.online_status(viewer, user).await {
            let (is_online, last_seen_at) = status.map_or((false, None), |s| (s.is_online, s.last_seen_at));
            let event = Event::new(outgoing::USER_STATUS, &UserStatus { user_id: user, is_online, last_seen_at });
            self.hub.emit(&Audience { users: &[viewer], ..Audience::default() }, &event);
        }
    }
}
