//! Health checks: whether the database does its work. However many ask, the database is asked once a second, by one probe
//! at a time, which holds one connection. While all connections are in use, the answers that others get count.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::core::Core;
use crate::db::in_time;

/// The database has this long to answer, and a health check takes at most this long.
const WITHIN: Duration = Duration::from_secs(1);
/// While a probe has no connection yet, the database counts as busy if it answered anybody within this time.
const BUSY_WITHIN: Duration = Duration::from_secs(2);
/// For how long an answer is good.
const FRESH: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseHealth {
    Healthy,
    /// It answers others while every connection is in use: the probe got none in time.
    Busy,
    /// It answers, but takes nothing: read-only after a failover, or out of space.
    NotWritable,
    /// No answer in time, or none at all.
    Unavailable,
}

pub struct Health {
    core: Arc<Core>,
    inner: Mutex<Inner>,
    answered: Notify,
}

#[derive(Default)]
struct Inner {
    last: Option<(Instant, DatabaseHealth)>,
    probing: Option<Probing>,
}

#[derive(Clone, Copy)]
struct Probing {
    since: Instant,
    /// Time at which it got a connection.
    asking_since: Option<Instant>,
}

impl Health {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, inner: Mutex::default(), answered: Notify::new() }
    }

    /// Asks the database, unless that was done within the last second. Answers within a second.
    pub async fn database(self: &Arc<Self>) -> DatabaseHealth {
        let answered = self.answered.notified();
        let started = {
            let mut inner = self.inner.lock();
            match (inner.last, inner.probing) {
                (Some((at, health)), _) if at.elapsed() < FRESH => return health,
                (_, Some(probing)) => probing.since,
                (_, None) => {
                    let now = Instant::now();
                    inner.probing = Some(Probing { since: now, asking_since: None });
                    tokio::spawn(self.clone().probe());
                    now
                }
            }
        };
        let in_time = tokio::time::timeout_at(started + WITHIN, answered).await.is_ok();
        let inner = self.inner.lock();
        match (inner.probing, inner.last) {
            (None, Some((_, health))) => health,
            (_, Some((_, health))) if in_time => health,
            (Some(Probing { asking_since: Some(asked), .. }), _) if asked.elapsed() >= WITHIN => {
                DatabaseHealth::Unavailable
            }
            _ => self.without_an_answer(),
        }
    }

    /// The health while the probe has no answer yet, and perhaps no connection.
    fn without_an_answer(&self) -> DatabaseHealth {
        if self.core.db.pool().answered_within(BUSY_WITHIN) {
            DatabaseHealth::Busy
        } else {
            DatabaseHealth::Unavailable
        }
    }

    /// Runs to its end, or as long as any statement may take: a probe that gets no answer is not followed by others.
    async fn probe(self: Arc<Self>) {
        let health = self.ask().await;
        let before = {
            let mut inner = self.inner.lock();
            inner.probing = None;
            inner.last.replace((Instant::now(), health)).map(|(_, health)| health)
        };
        self.answered.notify_waiters();
        match (before, health) {
            (None | Some(DatabaseHealth::Healthy), DatabaseHealth::Healthy) => {}
            (Some(_), DatabaseHealth::Healthy) => tracing::info!("health: the database is well again"),
            (before, now) if before != Some(now) => tracing::warn!(database = ?now, "health: degraded"),
            _ => {}
        }
    }

    async fn ask(&self) -> DatabaseHealth {
        let Ok(lease) = in_time(self.core.db.connection()).await else { return self.without_an_answer() };
        let asked = Instant::now();
        if let Some(probing) = &mut self.inner.lock().probing {
            probing.asking_since = Some(asked);
        }
        match in_time(self.core.db.probe(lease, &self.core.server_name)).await {
            Ok(false) => DatabaseHealth::NotWritable,
            Ok(true) if asked.elapsed() <= WITHIN => DatabaseHealth::Healthy,
            Ok(true) | Err(_) => DatabaseHealth::Unavailable,
        }
    }
}
