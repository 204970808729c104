//! The messages in flight: sent to the database, perhaps stored, and not sent to any client yet. A client that comes back after
//! a restart compares the times at which messages of different conversations were stored. These times show the order in which
//! clients got the messages only while no message has been in flight for longer than [`ON_TIME`].

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// A message that is told no later than this after it was sent to the database is on time.
pub const ON_TIME: Duration = Duration::from_secs(1);

/// The batches in flight, by the time at which each was first sent to the database.
#[derive(Default)]
pub struct OnTheirWay {
    batches: Mutex<Batches>,
}

#[derive(Default)]
struct Batches {
    /// In the order in which they began: the first is the oldest.
    since: BTreeMap<u64, Instant>,
    last: u64,
}

/// Keeps its batch in flight until it is dropped.
pub struct Token {
    all: Arc<OnTheirWay>,
    number: u64,
}

impl OnTheirWay {
    /// Notes a batch that is about to be sent to the database.
    pub fn begin(self: &Arc<Self>) -> Arc<Token> {
        let mut batches = self.batches.lock();
        batches.last += 1;
        let number = batches.last;
        batches.since.insert(number, Instant::now());
        Arc::new(Token { all: self.clone(), number })
    }

    /// True if a message has been in flight for longer than [`ON_TIME`]. A message that is sent to clients now is then marked
    /// late: the time at which it was stored does not show which messages its clients got before it.
    pub fn are_late(&self) -> bool {
        self.any_for(ON_TIME)
    }

    fn any_for(&self, limit: Duration) -> bool {
        self.batches.lock().since.first_key_value().is_some_and(|(_, since)| since.elapsed() > limit)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.all.batches.lock().since.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_on_its_way_until_its_last_message_was_told() {
        let all = Arc::new(OnTheirWay::default());
        assert!(!all.any_for(Duration::ZERO));
        let (first, second) = (all.begin(), all.begin());
        let of_one_message = first.clone();
        drop((first, second));
        assert!(all.any_for(Duration::ZERO));
        assert!(!all.any_for(Duration::from_hours(1)));
        drop(of_one_message);
        assert!(!all.any_for(Duration::ZERO));
    }
}
