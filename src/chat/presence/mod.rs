//! Presence: which users are online. What changed is written for all users at once, and their contacts are told after it is
//! written. [`super::heartbeat`] says when.

mod state;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use self::state::{Changes, PresenceState};
use super::core::Core;
use crate::{
    db::{DbResult, Gone, OnlineStatus, in_time},
    domain::UserId,
    error::Result,
    hub::{Connection, Event},
    protocol::{UserStatus, events::outgoing},
};

/// If this many users come at once, more will follow: they are waited for, since one statement for all of them costs
/// little more than one for the first.
const CROWD: usize = 16;
const GATHER: Duration = Duration::from_millis(20);

pub struct Presence {
    core: Arc<Core>,
    state: Mutex<PresenceState>,
    changed: Notify,
}

impl Presence {
    /// Nobody is here. A user whose last socket goes is offline after `grace`.
    pub(super) fn new(core: Arc<Core>, grace: Duration) -> Self {
        Self { core, state: Mutex::new(PresenceState::new(grace)), changed: Notify::new() }
    }

    pub fn connected(&self, connection: &Connection) {
        self.state.lock().connect(connection.user_id, connection.id);
        self.changed.notify_one();
    }

    pub(super) fn disconnected(&self, connection: &Connection) {
        self.state.lock().disconnect(connection.user_id, connection.id, Instant::now());
        self.changed.notify_one();
    }

    /// True if a socket of `user` is connected to this server.
    pub fn is_here(&self, user: UserId) -> bool {
        // The hub also knows of sockets that are on their way in, whose clients may know that they are connected.
        !self.core.hub.present([user]).is_empty() || self.state.lock().is_online(user)
    }

    /// The presence of a user as `viewer` may see it; `None` if the viewer may not see it.
    pub async fn status(&self, viewer: UserId, user: UserId) -> Result<Option<OnlineStatus>> {
        if self.core.db.is_blocked(viewer, user).await? {
            return Ok(None);
        }
        let stored = self.core.db.online_status(user).await?;
        // The table is milliseconds behind: a user with a socket here is online.
        let is_online = self.is_here(user) || stored.as_ref().is_some_and(|s| s.is_online);
        Ok(match stored {
            Some(s) => Some(OnlineStatus { is_online, ..s }),
            None if is_online => {
                Some(OnlineStatus { is_online, last_seen_at: None, socket_id: None, updated_at: None })
            }
            None => None,
        })
    }

    /// Waits until there is something to write: somebody came or went, or a user's grace ends.
    pub(super) async fn has_changed(&self) {
        let next = self.state.lock().next_due();
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.changed.notified() => {}
            () = due => {}
        }
    }

    /// Has [`Presence::has_changed`] return once more.
    pub(super) fn write_again(&self) {
        self.changed.notify_one();
    }

    /// Another server took this one for dead and marked its users offline: all are written again.
    pub(super) fn forget_told(&self) {
        self.state.lock().forget_told();
        self.changed.notify_one();
    }

    /// The server stops: users who left a moment ago are offline since then. The others are when the server is
    /// unregistered.
    pub(super) async fn write_the_last(&self) {
        self.state.lock().end_grace();
        if let Err(e) = self.write().await {
            tracing::warn!(error = %e, "presence not written at the end");
        }
    }

    /// Writes what changed since the last call, with what comes along with a crowd, and tells contacts.
    pub(super) async fn gather_and_write(&self) -> DbResult<()> {
        if self.state.lock().waiting() >= CROWD {
            tokio::time::sleep(GATHER).await;
        }
        self.write().await
    }

    async fn write(&self) -> DbResult<()> {
        let changes = self.state.lock().take_changes(Instant::now());
        if changes.is_empty() {
            return Ok(());
        }
        match in_time(self.store(&changes)).await {
            Err(e) if e.is_locked() && changes.len() > 1 => self.write_each(&changes).await,
            outcome => self.note(&changes, outcome).await,
        }
    }

    /// Somebody holds a lock on the row of one of these: the others are written without them.
    async fn write_each(&self, changes: &Changes) -> DbResult<()> {
        let mut outcome = Ok(());
        for one in changes.each() {
            let stored = in_time(self.store(&one)).await;
            if let Err(e) = self.note(&one, stored).await {
                outcome = Err(e);
            }
        }
        outcome
    }

    async fn note(&self, changes: &Changes, stored: DbResult<(Vec<UserId>, Vec<Gone>)>) -> DbResult<()> {
        match stored {
            Ok((came, gone)) => {
                self.tell_contacts(came, gone).await;
                Ok(())
            }
            Err(e) => {
                self.state.lock().put_back(changes);
                Err(e)
            }
        }
    }

    async fn store(&self, changes: &Changes) -> DbResult<(Vec<UserId>, Vec<Gone>)> {
        let came = match changes.online.as_slice() {
            [] => Vec::new(),
            users => self.core.db.set_online(&self.core.server_name, users).await?,
        };
        let gone = match changes.offline.as_slice() {
            [] => Vec::new(),
            users => {
                // By how long ago, as the database's clock is not ours.
                let ago = users.iter().map(|(user, at)| (*user, at.elapsed())).collect::<Vec<_>>();
                self.core.db.set_offline(&self.core.server_name, &ago).await?
            }
        };
        Ok((came, gone))
    }

    pub(super) async fn tell_contacts(&self, came: Vec<UserId>, gone: Vec<Gone>) {
        let now = self.core.clock.now();
        let news: HashMap<UserId, UserStatus> = came
            .into_iter()
            .map(|id| (id, true, now))
            .chain(gone.into_iter().map(|(id, seen)| (id, false, seen)))
            .map(|(user_id, is_online, seen)| (user_id, UserStatus { user_id, is_online, last_seen_at: Some(seen) }))
            .collect();
        if news.is_empty() {
            return;
        }
        let users: Vec<UserId> = news.keys().copied().collect();
        let mut contacts_of: HashMap<UserId, Vec<UserId>> = HashMap::new();
        match in_time(self.core.db.contacts(&users)).await {
            Ok(pairs) => {
                for (user, contact) in pairs {
                    contacts_of.entry(user).or_default().push(contact);
                }
            }
            Err(e) => tracing::warn!(error = %e, "contacts not told of presence"),
        }
        for (user, contacts) in contacts_of {
            self.core.tell(&contacts, &Event::new(outgoing::USER_STATUS, &news[&user]));
        }
    }
}
