//! This server among those on the same database: it registers, beats its heart every 10 s, and unregisters at shutdown. The
//! same task writes presence, so that what it tells of a user is in order.

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use super::{core::Core, presence::Presence, recovery::Returning, users::Users};
use crate::{
    db::{DbResult, in_time},
    hub::Event,
    protocol::{Failure, events::outgoing},
};

const HEARTBEAT: Duration = Duration::from_secs(10);
/// A server silent for this long is dead: its users are offline unless another holds them.
const STALE_SECONDS: i32 = 45;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

pub struct Heartbeat {
    core: Arc<Core>,
    returning: Arc<Returning>,
    /// Other servers on this database that the log has warned of.
    others: Mutex<HashSet<String>>,
}

impl Heartbeat {
    pub fn new(core: Arc<Core>, returning: Arc<Returning>) -> Self {
        Self { core, returning, others: Mutex::default() }
    }

    /// Registers this server, and marks the users of its earlier life and of dead servers offline.
    pub async fn register(&self) -> DbResult<()> {
        let Core { db, server_name, .. } = &*self.core;
        db.hear_clock().await?;
        self.returning.keep().await?;
        db.sweep_servers(Some(server_name), STALE_SECONDS).await?;
        db.heartbeat(server_name).await?;
        self.warn_of_others().await
    }

    pub async fn unregister(&self) {
        let Core { db, server_name, .. } = &*self.core;
        // A last heartbeat, so that "last seen" is now.
        let swept = async {
            db.heartbeat(server_name).await?;
            self.returning.keep().await?;
            db.sweep_servers(Some(server_name), STALE_SECONDS).await
        };
        if let Err(e) = in_time(swept).await {
            tracing::warn!(error = %e, "presence not cleared; the next start does it");
        }
    }

    /// Warns of each other server on this database, once: there is no link between servers, so that their users get no
    /// events from here.
    async fn warn_of_others(&self) -> DbResult<()> {
        let found = self.core.db.other_servers(&self.core.server_name, STALE_SECONDS).await?;
        let mut known = self.others.lock();
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

    /// Ends the sockets whose tokens have expired, up to a heartbeat late.
    fn end_expired(&self) {
        let failure = Failure::with_message("Token expired", "token_expired");
        let Core { hub, clock, .. } = &*self.core;
        hub.end_expired(clock.now().timestamp(), &Event::new(outgoing::ERROR, &failure));
    }

    async fn beat(&self, presence: &Presence) -> DbResult<()> {
        let Core { db, hub, server_name, .. } = &*self.core;
        if db.heartbeat(server_name).await? {
            presence.forget_told();
        }
        // Users who were suspended or deleted since the handshake may not stay. Of the others, sockets take over the name and
        // role that the database has.
        let differences = db.differences(&hub.users()).await?;
        hub.dismiss(&differences.gone);
        hub.update_users(differences.changed);
        let gone = db.sweep_servers(None, STALE_SECONDS).await?;
        // Also those of swept servers: a server that starts again finds when its sockets were lost.
        self.returning.forget_old().await?;
        let gone = gone.into_iter().filter(|(id, _)| !presence.is_here(*id)).collect();
        presence.tell_contacts(Vec::new(), gone).await;
        self.warn_of_others().await
    }

    pub async fn run(self: Arc<Self>, presence: Arc<Presence>, users: Arc<Users>) {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.tick().await;
        loop {
            let outcome = tokio::select! {
                () = presence.has_changed() => presence.gather_and_write().await,
                _ = heartbeat.tick() => {
                    self.end_expired();
                    self.core.limits.rates.forget();
                    self.core.membership.drop_expired().await;
                    users.drop_expired().await;
                    self.core.db.pool().shrink_unused();
                    in_time(self.beat(&presence)).await
                }
                () = self.core.tasks.stop.cancelled() => return presence.write_the_last().await,
            };
            if let Err(e) = outcome {
                tracing::warn!(error = %e, "presence not written, trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
                presence.write_again();
            }
        }
    }
}
