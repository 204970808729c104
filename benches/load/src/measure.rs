//! Latencies and the span in which they count.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Slower than this counts as this.
const SLOWEST: Duration = Duration::from_mins(1);

/// Latencies, to three digits.
pub struct Latencies(RefCell<Histogram<u64>>);

impl Default for Latencies {
    fn default() -> Self {
        let slowest = u64::try_from(SLOWEST.as_micros()).unwrap_or(u64::MAX);
        Self(RefCell::new(Histogram::new_with_bounds(1, slowest, 3).expect("these bounds are allowed")))
    }
}

impl Latencies {
    /// Something took `nanos`.
    pub fn note(&self, nanos: u64) {
        self.0.borrow_mut().saturating_record(nanos / 1000);
    }

    /// How many there were.
    pub fn len(&self) -> u64 {
        self.0.borrow().len()
    }

    /// Milliseconds, for the result's line.
    pub fn json(&self) -> Value {
        let h = self.0.borrow();
        #[allow(clippy::cast_precision_loss)] // a minute of microseconds
        let ms = |micros: u64| micros as f64 / 1000.0;
        json!({
            "p50": ms(h.value_at_quantile(0.5)), "p99": ms(h.value_at_quantile(0.99)), "max": ms(h.max()),
        })
    }
}

/// A clock, and from when until when it counts: what comes before warms the server up, what comes after only ends.
pub struct Span {
    start: Instant,
    from: Cell<u64>,
    until: Cell<u64>,
}

impl Default for Span {
    fn default() -> Self {
        Self { start: Instant::now(), from: Cell::new(u64::MAX), until: Cell::new(u64::MAX) }
    }
}

impl Span {
    /// Nanoseconds since the clock was made.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether what happened at `now` counts.
    pub fn counts(&self, now: u64) -> bool {
        self.from.get() <= now && now < self.until.get()
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.until.get() <= self.now()
    }

    /// Waits through the warm-up and begins to count.
    pub async fn begin(&self, warm_up: Duration) {
        tokio::time::sleep(warm_up).await;
        self.from.set(self.now());
    }

    /// Waits through what counts and ends it. Returns how long it was.
    pub async fn end(&self, length: Duration) -> Duration {
        tokio::time::sleep(length).await;
        self.until.set(self.now());
        Duration::from_nanos(self.until.get() - self.from.get())
    }
}

/// Rounded for reading.
pub fn per_second(count: u64, length: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss)] // counts of a benchmark
    let rate = count as f64 / length.as_secs_f64();
    (rate * 10.0).round() / 10.0
}
