//! Blocking: if either of two users blocked the other, nothing is delivered between them. What is stored stays readable.

use std::sync::Arc;

use super::{core::Core, presence::Presence};
use crate::{
    domain::{Person, User, UserId},
    error::{Error, Result},
    hub::Event,
    protocol::{UserStatus, events::outgoing},
};

/// Most users of `GET /users/blocked`.
const MAX_LISTED: i64 = 1000;

pub struct Blocks {
    core: Arc<Core>,
    presence: Arc<Presence>,
}

impl Blocks {
    pub(super) fn new(core: Arc<Core>, presence: Arc<Presence>) -> Self {
        Self { core, presence }
    }

    /// Blocks a user, or takes it back.
    ///
    /// # Errors
    /// [`Error::InvalidUser`] for the caller, [`Error::UserNotFound`].
    pub async fn set(&self, caller: &User, other: UserId, blocked: bool) -> Result<()> {
        if other == caller.id {
            return Err(Error::InvalidUser("You cannot block yourself"));
        }
        let db = &self.core.db;
        let found = if blocked { db.block(caller.id, other).await? } else { db.unblock(caller.id, other).await? };
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

    pub async fn list(&self, caller: &User) -> Result<Vec<Person>> {
        Ok(self.core.db.blocked_by(caller.id, MAX_LISTED).await?)
    }

    /// Tells `viewer` whether `user` is online, as far as they may know now.
    async fn tell_presence(&self, user: UserId, viewer: UserId) {
        if let Ok(status) = self.presence.status(viewer, user).await {
            let (is_online, last_seen_at) = status.map_or((false, None), |s| (s.is_online, s.last_seen_at));
            let event = Event::new(outgoing::USER_STATUS, &UserStatus { user_id: user, is_online, last_seen_at });
            self.core.tell(&[viewer], &event);
        }
    }
}
