//! The database's clock, by which a statement that stores messages finds out that it is too late.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{clock::Clock, db::connection::time_limit::ANSWER_WITHIN};

#[derive(Debug)]
pub(in crate::db) struct DatabaseClock {
    /// Ours.
    pub(in crate::db) here: Clock,
    /// Milliseconds that it is ahead of ours, and up to `ANSWER_WITHIN` more: it was read between our question and its
    /// answer.
    ahead: AtomicI64,
}

impl DatabaseClock {
    /// Taken for the same as ours, until something is heard of it.
    pub(in crate::db) fn like(here: Clock) -> Self {
        Self { here, ahead: AtomicI64::default() }
    }

    /// The deadline, by the database's clock, of a statement sent at `sent_at`. The exact one is at most
    /// `ANSWER_WITHIN` earlier.
    pub(super) fn deadline(&self, sent_at: DateTime<Utc>) -> DateTime<Utc> {
        sent_at + ANSWER_WITHIN + TimeDelta::milliseconds(self.ahead.load(Ordering::Relaxed))
    }

    pub(in crate::db) fn heard(&self, sent_at: DateTime<Utc>, clock: DateTime<Utc>) {
        self.ahead.store((clock - sent_at).num_milliseconds(), Ordering::Relaxed);
    }

    /// The time by the database's clock, as far as it is known: to a second or so.
    pub(in crate::db) fn time(&self) -> DateTime<Utc> {
        self.here.now() + TimeDelta::milliseconds(self.ahead.load(Ordering::Relaxed))
    }
}
