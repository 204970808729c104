//! Presence, told to the database and to contacts. One task writes what changed since it last looked, for all users
//! at once, and tells their contacts after it is written.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::MissedTickBehavior};

use super::Chat;
use crate::{
    db::{DbResult, Gone, OnlineStatus, in_time},
    domain::UserId,
    error::Result,
    hub::{Audience, Connection, Event},
    presence::{Changes, Presence},
    protocol::{Failure, UserStatus, events::outgoing},
};

const HEARTBEAT: Duration = Duration::from_secs(10);
/// A server silent for this long is dead: its users are offline unless another holds them.
const STALE_SECONDS: i32 = 45;
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Where so many come or go at once, more do: a statement for all of them costs little more than one for the first.
const GATHER: Duration = Duration::from_millis(20);
const CROWD: usize = 16;

/// Presence and its alarm clock.
pub struct OnlineState {
    presence: Mutex<Presence>,
    changed: Notify,
    /// Other servers on this database that were told of in the log.
    others: Mutex<HashSet<String>>,
}

impl OnlineState {
    /// Nobody is here; who goes is offline after `grace`.
    pub fn new(grace: Duration) -> Self {
        Self { presence: Mutex::new(Presence::new(grace)), changed: Notify::default(), others: Mutex::default() }
    }

    /// Waits until the next user's grace ends; for ever where nobody is leaving.
    async fn due(&self) {
        let next = self.presence.lock().next_due();
        match next {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    }
}

impl Chat {
    /// A socket of its user came.
    pub fn user_connected(&self, connection: &Connection) {
        self.online.presence.lock().connect(connection.user_id, connection.id);
        self.online.changed.notify_one();
    }

    pub(super) fn user_disconnected(&self, connection: &Connection) {
        self.online.presence.lock().disconnect(connection.user_id, connection.id, Instant::now());
        self.online.changed.notify_one();
    }

    /// Whether a socket of `user` is connected to this server.
    #[must_use]
    pub fn is_here(&self, user: UserId) -> bool {
        // The hub knows of a socket that is on its way in, as its client may already.
        !self.hub.present([user]).is_empty() || self.online.presence.lock().is_online(user)
    }

    /// What `viewer` may know of a user's presence; `None` if that is nothing.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`].
    pub async fn online_status(&self, viewer: UserId, user: UserId) -> Result<Option<OnlineStatus>> {
        if self.db.is_blocked(viewer, user).await? {
            return Ok(None);
        }
        let stored = self.db.online_status(user).await?;
        // The table is milliseconds behind; who is here is online.
        let is_online = self.is_here(user) || stored.as_ref().is_some_and(|s| s.is_online);
        Ok(match stored {
            Some(s) => Some(OnlineStatus { is_online, ..s }),
            None if is_online => {
                Some(OnlineStatus { is_online, last_seen_at: None, socket_id: None, updated_at: None })
            }
            None => None,
        })
    }

    /// Registers this server, and lets go of what an earlier life of it, or a dead one, still holds.
    pub(super) async fn register_server(&self) -> DbResult<()> {
        self.db.hear_clock().await?;
        self.keep_for_return().await?;
        self.db.sweep_servers(Some(&self.core.server_name), STALE_SECONDS).await?;
        self.db.heartbeat(&self.core.server_name).await?;
        self.warn_of_others().await
    }

    /// Warns of each other server on this database, once: there is no link between servers, so that their users get no
    /// events from here.
    async fn warn_of_others(&self) -> DbResult<()> {
        let found = self.db.other_servers(&self.core.server_name, STALE_SECONDS).await?;
        let mut known = self.online.others.lock();
        for (name, silent) in &found {
            if !known.contains(name) {
                tracing::warn!(
                    "another server is registered: {name} (heartbeat {silent:.0} s ago). Servers are not linked: users on \
                     it see messages sent here as notifications and after a reload, not as they come. Run one server on a \
                     database. One that was killed is forgotten after {STALE_SECONDS} s"
                );
            }
        }
        *known = found.into_iter().map(|(name, _)| name).collect();
        Ok(())
    }

    /// Marks this server's users offline, at shutdown.
    pub(super) async fn unregister_server(&self) {
        // A last heartbeat, so that "last seen" is now.
        let swept = async {
            self.db.heartbeat(&self.core.server_name).await?;
            self.keep_for_return().await?;
            self.db.sweep_servers(Some(&self.core.server_name), STALE_SECONDS).await
        };
        if let Err(e) = in_time(swept).await {
            tracing::warn!(error = %e, "presence not cleared; the next start does it");
        }
    }

    async fn write_presence(&self) -> DbResult<()> {
        let changes = self.online.presence.lock().take_changes(Instant::now());
        if changes.is_empty() {
            return Ok(());
        }
        match in_time(self.store(&changes)).await {
            Err(e) if e.is_locked() && changes.len() > 1 => self.write_each_presence(&changes).await,
            outcome => self.note_presence(&changes, outcome).await,
        }
    }

    /// Somebody holds a lock on the row of one of these: the others are written without them.
    async fn write_each_presence(&self, changes: &Changes) -> DbResult<()> {
        let mut outcome = Ok(());
        for one in changes.each() {
            let stored = in_time(self.store(&one)).await;
            if let Err(e) = self.note_presence(&one, stored).await {
                outcome = Err(e);
            }
        }
        outcome
    }

    async fn note_presence(&self, changes: &Changes, stored: DbResult<(Vec<UserId>, Vec<Gone>)>) -> DbResult<()> {
        match stored {
            Ok((came, gone)) => {
                self.tell_contacts(came, gone).await;
                Ok(())
            }
            Err(e) => {
                self.online.presence.lock().put_back(changes);
                Err(e)
            }
        }
    }

    async fn store(&self, changes: &Changes) -> DbResult<(Vec<UserId>, Vec<Gone>)> {
        let came = match changes.online.as_slice() {
            [] => Vec::new(),
            users => self.db.set_online(&self.core.server_name, users).await?,
        };
        let gone = match changes.offline.as_slice() {
            [] => Vec::new(),
            users => {
                // By how long ago, as the database's clock is not ours.
                let ago = users.iter().map(|(user, at)| (*user, at.elapsed())).collect::<Vec<_>>();
                self.db.set_offline(&self.core.server_name, &ago).await?
            }
        };
        Ok((came, gone))
    }

    async fn tell_contacts(&self, came: Vec<UserId>, gone: Vec<Gone>) {
        let now = chrono::Utc::now();
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
        match in_time(self.db.contacts(&users)).await {
            Ok(pairs) => {
                for (user, contact) in pairs {
                    contacts_of.entry(user).or_default().push(contact);
                }
            }
            Err(e) => tracing::warn!(error = %e, "contacts not told of presence"),
        }
        for (user, contacts) in contacts_of {
            let audience = Audience { users: &contacts, ..Audience::default() };
            self.hub.emit(&audience, &Event::new(outgoing::USER_STATUS, &news[&user]));
        }
    }

    /// Ends the sockets whose tokens have run out, up to a heartbeat late.
    fn end_expired(&self) {
        let failure = Failure::with_message("Token expired", "token_expired");
        self.hub.end_expired(chrono::Utc::now().timestamp(), &Event::new(outgoing::ERROR, &failure));
    }

    async fn beat(&self) -> DbResult<()> {
        if self.db.heartbeat(&self.core.server_name).await? {
            // Others took us for dead and let our users go; they are here all the same.
            self.online.presence.lock().forget_told();
            self.online.changed.notify_one();
        }
        // Users who were suspended or deleted since the handshake may not stay; of the others a socket says what the database
        // says.
        let differences = self.db.differences(&self.hub.users()).await?;
        self.hub.dismiss(&differences.gone);
        self.hub.update_users(differences.changed);
        let gone = self.db.sweep_servers(None, STALE_SECONDS).await?;
        // Of those that were swept, too: a server that starts again finds when its sockets were lost.
        self.forget_returning().await?;
        let gone = gone.into_iter().filter(|(id, _)| !self.is_here(*id)).collect();
        self.tell_contacts(Vec::new(), gone).await;
        self.warn_of_others().await
    }
}

/// Writes and tells, until the service stops.
pub async fn run(chat: Arc<Chat>) {
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.tick().await;
    loop {
        let outcome = tokio::select! {
            () = chat.online.changed.notified() => {
                if chat.online.presence.lock().waiting() >= CROWD {
                    tokio::time::sleep(GATHER).await;
                }
                chat.write_presence().await
            }
            () = chat.online.due() => chat.write_presence().await,
            _ = heartbeat.tick() => {
                chat.end_expired();
                chat.core.limits.rates.forget();
                chat.core.membership.drop_expired().await;
                chat.accounts.drop_expired().await;
                chat.core.db.pool().shrink_unused();
                in_time(chat.beat()).await
            }
            () = chat.core.tasks.stop.cancelled() => {
                // Those who left a moment ago are offline since then; the others when the server is unregistered.
                chat.online.presence.lock().end_grace();
                if let Err(e) = chat.write_presence().await {
                    tracing::warn!(error = %e, "presence not written at the end");
                }
                return;
            }
        };
        if let Err(e) = outcome {
            tracing::warn!(error = %e, "presence not written, trying again");
            tokio::time::sleep(RETRY_PAUSE).await;
            chat.online.changed.notify_one();
        }
    }
}
