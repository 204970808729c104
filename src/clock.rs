//! The time of day. What reads it has a [`Clock`], which a test can move. Waits and timeouts are measured with `Instant`s.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

/// Tells the time of day.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The time of a test's clock, which stands still; `None` for the system's.
    set_to: Option<Arc<Mutex<DateTime<Utc>>>>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { set_to: None }
    }

    /// A clock for tests: it stands still, and its clones tell the same time.
    #[must_use]
    pub fn manual(at: DateTime<Utc>) -> Self {
        Self { set_to: Some(Arc::new(Mutex::new(at))) }
    }

    /// The time that it tells.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.set_to.as_ref().map_or_else(Utc::now, |at| *at.lock())
    }

    /// Moves a manual clock and its clones, back if `by` is negative. The system's clock stays as it is.
    pub fn advance(&self, by: TimeDelta) {
        if let Some(at) = &self.set_to {
            *at.lock() += by;
        }
    }
}
