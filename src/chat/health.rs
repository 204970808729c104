//! Whether the database does its work, for whoever asks how the server is. However many ask, it is asked once a second,
//! by one probe at a time, which holds one connection. While all are in use, what the others hear from the database counts.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::Chat;
use crate::db::in_time;

/// The database has this long to answer, and whoever asks waits for so long.
const WITHIN: Duration = Duration::from_secs(1);
/// A probe that has no connection yet takes the database for busy, if anybody was answered within this time.
const BUSY_WITHIN: Duration = Duration::from_secs(2);
/// For how long an answer is good.
const FRESH: Duration = Duration::from_secs(1);

/// How the database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseHealth {
    /// It answers, and takes what is written.
    Healthy,
    /// It answers others, while every connection is in use: nothing could be asked in time.
    Busy,
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
    probing: Option<Probing>,
}

/// A probe that is under way.
#[derive(Clone, Copy)]
struct Probing {
    since: Instant,
    /// Since when it has a connection.
    asking_since: Option<Instant>,
}

impl Chat {
    /// Asks the database, unless that was done within the last second. Answers within a second.
    pub async fn database_health(self: &Arc<Self>) -> DatabaseHealth {
        let answered = self.health.answered.notified();
        let started = {
            let mut inner = self.health.inner.lock();
            match (inner.last, inner.probing) {
                (Some((at, health)), _) if at.elapsed() < FRESH => return health,
                (_, Some(probing)) => probing.since,
                (_, None) => {
                    let now = Instant::now();
                    inner.probing = Some(Probing { since: now, asking_since: None });
                    tokio::spawn(probe(self.clone()));
                    now
                }
            }
        };
        let in_time = tokio::time::timeout_at(started + WITHIN, answered).await.is_ok();
        let inner = self.health.inner.lock();
        match (inner.probing, inner.last) {
            (None, Some((_, health))) => health,
            (_, Some((_, health))) if in_time => health,
            (Some(Probing { asking_since: Some(asked), .. }), _) if asked.elapsed() >= WITHIN => {
                DatabaseHealth::Unavailable
            }
            _ => self.without_an_answer(),
        }
    }

    /// How the database is where the probe has got nothing from it yet, perhaps not even a connection.
    fn without_an_answer(&self) -> DatabaseHealth {
        if self.db.answered_within(BUSY_WITHIN) { DatabaseHealth::Busy } else { DatabaseHealth::Unavailable }
    }
}

/// Runs to its end, or as long as any statement may take: a probe that gets no answer is not followed by others.
async fn probe(chat: Arc<Chat>) {
    let health = ask(&chat).await;
    let before = {
        let mut inner = chat.health.inner.lock();
        inner.probing = None;
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

async fn ask(chat: &Chat) -> DatabaseHealth {
    let Ok(lease) = in_time(chat.db.connection()).await else { return chat.without_an_answer() };
    let asked = Instant::now();
    if let Some(probing) = &mut chat.health.inner.lock().probing {
        probing.asking_since = Some(asked);
    }
    match in_time(chat.db.probe(lease, &chat.core.server_name)).await {
        Ok(false) => DatabaseHealth::NotWritable,
        Ok(true) if asked.elapsed() <= WITHIN => DatabaseHealth::Healthy,
        Ok(true) | Err(_) => DatabaseHealth::Unavailable,
    }
}
