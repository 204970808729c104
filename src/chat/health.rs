//! Whether the database does its work, for whoever asks how the server is. However many ask, it is asked once a second,
//! by one probe at a time, which holds one connection.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::Chat;
use crate::db::in_time;

/// The database has this long to answer.
const WITHIN: Duration = Duration::from_secs(1);
/// For how long an answer is good.
const FRESH: Duration = Duration::from_secs(1);

/// How the database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseHealth {
    /// It answers, and takes what is written.
    Healthy,
    /// It answers, but takes nothing: read-only after a failover, or out of space.
    NotWritable,
    /// No answer in time, or none at all.
    Unavailable,
}

/// What is known of the database, and the probe that is under way.
#[derive(Default)]
pub struct HealthState {
    inner: Mutex<Inner>,
    answered: Notify,
}

#[derive(Default)]
struct Inner {
    last: Option<(Instant, DatabaseHealth)>,
    probing_since: Option<Instant>,
}

impl Chat {
    /// Asks the database, unless that was done within the last second. Answers within a second.
    pub async fn database_health(self: &Arc<Self>) -> DatabaseHealth {
        let answered = self.health.answered.notified();
        let started = {
            let mut inner = self.health.inner.lock();
            match (inner.last, inner.probing_since) {
                (Some((at, health)), _) if at.elapsed() < FRESH => return health,
                (_, Some(since)) => since,
                (_, None) => {
                    let now = Instant::now();
                    inner.probing_since = Some(now);
                    tokio::spawn(probe(self.clone()));
                    now
                }
            }
        };
        if tokio::time::timeout_at(started + WITHIN, answered).await.is_err() {
            return DatabaseHealth::Unavailable;
        }
        self.health.inner.lock().last.map_or(DatabaseHealth::Unavailable, |(_, health)| health)
    }
}

/// Runs to its end, or as long as any statement may take: a probe that gets no answer is not followed by others.
async fn probe(chat: Arc<Chat>) {
    let started = Instant::now();
    let health = match in_time(chat.db.probe_read()).await {
        Err(_) => DatabaseHealth::Unavailable,
        Ok(()) => match in_time(chat.db.probe_write(&chat.server_name)).await {
            Ok(false) => DatabaseHealth::NotWritable,
            Ok(true) if started.elapsed() <= WITHIN => DatabaseHealth::Healthy,
            Ok(true) | Err(_) => DatabaseHealth::Unavailable,
        },
    };
    let before = {
        let mut inner = chat.health.inner.lock();
        inner.probing_since = None;
        inner.last.replace((Instant::now(), health)).map(|(_, health)| health)
    };
    chat.health.answered.notify_waiters();
    match (before, health) {
        (None | Some(DatabaseHealth::Healthy), DatabaseHealth::Healthy) => {}
        (Some(_), DatabaseHealth::Healthy) => tracing::info!("health: the database is well again"),
        (before, now) if before != Some(now) => tracing::warn!(database = ?now, "health: degraded"),
        _ => {}
    }
}
