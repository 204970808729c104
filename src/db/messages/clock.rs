//! The database's clock, by which a statement that stores messages knows that nobody waits for it any more.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::connection::time_limit::ANSWER_WITHIN;

/// What the database's clock says, as far as we know.
#[derive(Debug, Default)]
pub(in crate::db) struct Clock {
    /// Milliseconds that it is ahead of ours, and up to `ANSWER_WITHIN` more: it was read between our question and its
    /// answer.
    ahead: AtomicI64,
}

impl Clock {
    /// Until when, by the database's clock, a statement sent at `sent_at` is good. The truth is at most
    /// `ANSWER_WITHIN` earlier.
    pub(super) fn deadline(&self, sent_at: DateTime<Utc>) -> DateTime<Utc> {
        sent_at + ANSWER_WITHIN + TimeDelta::milliseconds(self.ahead.load(Ordering::Relaxed))
    }

    pub(in crate::db) fn heard(&self, sent_at: DateTime<Utc>, clock: DateTime<Utc>) {
        self.ahead.store((clock - sent_at).num_milliseconds(), Ordering::Relaxed);
    }

    /// The time by the database's clock, as far as it is known: to a second or so.
    pub(in crate::db) fn time(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::milliseconds(self.ahead.load(Ordering::Relaxed))
    }
}
