//! After a statement that took too long, as where a trigger of the shop's takes a second for each message, the lane writes
//! small batches: a few messages of one conversation at a time, so that each sender hears in time what became of theirs.

use std::time::Duration;

use super::job::Job;

/// A small batch that took no longer than this shows that the database is quick again.
const QUICK: Duration = Duration::from_millis(250);

/// Longest time that the next batch is expected to take: a single message may have made the last one slow.
const EXPECTED_AT_MOST: Duration = Duration::from_secs(2);

/// How small a lane's next batches are.
#[derive(Default)]
pub struct SmallBatches {
    /// Messages that are still to be written in small batches.
    left: usize,
    /// Messages of one conversation in one batch.
    size: usize,
    /// Time that the last batch took.
    took: Duration,
}

impl SmallBatches {
    /// Begins, after a statement with so many messages took too long and was given up.
    pub fn begin(&mut self, messages: usize) {
        *self = Self { left: messages.max(1), size: 1, took: Duration::ZERO };
    }

    /// Time that the next batch is expected to take. Senders who would have waited too long by its end are answered now.
    pub fn expected(&self) -> Duration {
        if self.left > 0 { self.took.min(EXPECTED_AT_MOST) } else { Duration::ZERO }
    }

    /// Takes the messages of the next statement, at most `max`.
    pub fn next_of(&self, waiting: &mut Vec<Job>, max: usize) -> Vec<Job> {
        match waiting.first() {
            Some(first) if self.left > 0 => {
                let (conversation, max) = (first.message.conversation_id, self.size.min(max));
                let mut taken = 0;
                let is_next = |q: &mut Job| {
                    let is_next = taken < max && q.message.conversation_id == conversation;
                    taken += usize::from(is_next);
                    is_next
                };
                waiting.extract_if(.., is_next).collect()
            }
            _ => waiting.drain(..max.min(waiting.len())).collect(),
        }
    }

    /// Learns from a batch: so many messages were written, or not, in this time.
    pub fn note(&mut self, messages: usize, took: Duration) {
        if self.left == 0 {
            return;
        }
        self.left = self.left.saturating_sub(messages);
        self.took = took;
        if took <= QUICK {
            self.size = self.size.saturating_mul(2);
        } else {
            // The next ones will probably take as long.
            (self.left, self.size) = (self.left.max(1), 1);
        }
    }
}
