//! The log of a socket: the events that its client may not have received. Only a client that comes back says how far it got.

use std::{collections::VecDeque, sync::Arc};

use crate::protocol::{Happening, Position};

/// Most entries of one socket's log.
pub const MAX_ENTRIES: usize = 1000;

/// The recoverable events that were queued for a socket and that its client may not have, in the order of queuing.
#[derive(Debug, Default)]
pub struct Log {
    entries: VecDeque<Arc<Happening>>,
    /// The last ping that was noted. When it is answered, the client has the entries that were queued before it.
    mark: Option<Mark>,
    /// Entries were dropped that the client may not have.
    has_gap: bool,
}

#[derive(Debug)]
struct Mark {
    entries: usize,
    pings: u32,
}

impl Log {
    pub fn push(&mut self, happening: Arc<Happening>) {
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
            self.has_gap = true;
            // One entry fewer was queued before the noted ping. If none is left, the ping says nothing of the dropped entry.
            self.mark = self.mark.take().filter(|mark| mark.entries > 0);
            if let Some(mark) = &mut self.mark {
                mark.entries -= 1;
            }
        }
        self.entries.push_back(happening);
    }

    /// Drops the events that the client has: those that were queued before a ping that it answered.
    pub fn forget_received(&mut self, pings: engineioxide::Pings) {
        if let Some(mark) = &self.mark {
            // Wrapping: more pings than the mark were answered.
            let is_answered = pings.answered.wrapping_sub(mark.pings).wrapping_sub(1) < u32::MAX / 2;
            if !is_answered {
                return;
            }
            self.entries.drain(..mark.entries);
            self.has_gap = false;
        }
        self.mark = Some(Mark { entries: self.entries.len(), pings: pings.sent });
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && !self.has_gap
    }

    /// The events after `known`, the position of the last event that the client got. If the log does not have it, the client got
    /// none of the log's events: it had all that were dropped. `None` if events were dropped that it may not have.
    pub fn after(&self, known: Option<&Position>) -> Option<Vec<Arc<Happening>>> {
        let found = known.and_then(|known| self.entries.iter().rposition(|entry| entry.position() == *known));
        match found {
            Some(at) => Some(self.entries.range(at + 1..).cloned().collect()),
            None if self.has_gap => None,
            None => Some(self.entries.iter().cloned().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use engineioxide::Pings;
    use uuid::Uuid;

    use super::*;
    use crate::{
        domain::{ConversationId, MessageId},
        protocol::What,
    };

    fn message(seq: i64) -> Arc<Happening> {
        let what = What::New { message: MessageId(Uuid::nil()), seq, is_late: false };
        Arc::new(Happening { conversation: ConversationId(Uuid::nil()), at: DateTime::<Utc>::UNIX_EPOCH, what })
    }

    fn log(seqs: impl IntoIterator<Item = i64>) -> Log {
        let mut log = Log::default();
        seqs.into_iter().for_each(|seq| log.push(message(seq)));
        log
    }

    fn seqs(log: &Log, known: Option<i64>) -> Option<Vec<i64>> {
        let known = known.map(|seq| message(seq).position());
        Some(log.after(known.as_ref())?.iter().map(|h| h.position().number).collect())
    }

    fn pings(sent: u32, answered: u32) -> Pings {
        let mut pings = Pings::default();
        (pings.sent, pings.answered) = (sent, answered);
        pings
    }

    #[test]
    fn what_comes_after_the_known_position_was_missed() {
        let log = log(1..=4);
        assert_eq!(seqs(&log, Some(2)), Some(vec![3, 4]));
        assert_eq!(seqs(&log, Some(4)), Some(vec![]));
        assert_eq!(seqs(&log, None), Some(vec![1, 2, 3, 4]), "it never got an event");
        assert_eq!(seqs(&log, Some(0)), Some(vec![1, 2, 3, 4]), "it got the last one long ago");
    }

    #[test]
    fn an_event_that_was_told_twice_counts_from_the_last_time() {
        assert_eq!(seqs(&log([1, 2, 1, 3]), Some(1)), Some(vec![3]));
    }

    #[test]
    fn what_was_queued_before_an_answered_ping_is_dropped() {
        let mut log = log(1..=2);
        log.forget_received(pings(7, 7));
        log.push(message(3));
        log.forget_received(pings(8, 7));
        assert_eq!(seqs(&log, None), Some(vec![1, 2, 3]), "the ping that followed them has no answer yet");
        log.forget_received(pings(8, 8));
        assert_eq!(seqs(&log, None), Some(vec![3]));
        log.forget_received(pings(8, 8));
        assert!(!log.is_empty());
        log.forget_received(pings(9, 9));
        assert!(log.is_empty());
    }

    #[test]
    fn a_log_that_is_too_long_says_so() {
        let last = i64::try_from(MAX_ENTRIES).unwrap() + 5;
        let mut log = log(1..=last);
        assert_eq!(seqs(&log, Some(last - 1)), Some(vec![last]));
        assert_eq!(seqs(&log, Some(3)), None);
        assert_eq!(seqs(&log, None), None);
        log.forget_received(pings(1, 1));
        log.push(message(last + 1));
        log.forget_received(pings(2, 2));
        assert_eq!(seqs(&log, None), Some(vec![last + 1]), "the client has all that was dropped");
    }

    #[test]
    fn pings_are_counted_round_and_round() {
        let mut log = log(1..=1);
        log.forget_received(pings(u32::MAX, u32::MAX));
        log.forget_received(pings(0, 0));
        assert!(log.is_empty());
    }
}
