//! Writes a batch: again after a lost connection or a conflict, and in parts where one message or conversation is at
//! fault, all within a limit of time.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

use super::job::SEND_WITHIN;
use crate::{
    db::{Db, DbError, NewMessage, Written},
    domain::ConversationId,
    error::Error,
};

/// Time during which a batch is tried again, as a whole and in parts.
const RETRY_FOR: Duration = Duration::from_secs(8);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Most retries of a batch that conflicted with another transaction, and the first pause between them.
const MAX_CONFLICTS: u32 = 8;
const CONFLICT_PAUSE: Duration = Duration::from_millis(5);
/// Most retries of a whole batch that met a lock which nobody is found to hold.
const MAX_UNFOUND: u32 = 2;
/// After so many conversations in a row that met such a lock, the rest of the batch is set aside too.
const MAX_STUCK: u32 = 3;

#[derive(Clone)]
pub enum Failed {
    /// It is not stored.
    Refused(Error),
    /// Perhaps it is stored: an attempt got no answer, and no later one found out.
    UnknownOutcome,
    /// It is not stored: somebody holds a lock on what it needs.
    Locked,
    /// It is not stored: the database ended the statement, which also had messages of other conversations, after its time.
    TooLong,
}

/// Why a batch was not written as a whole.
enum Trouble {
    /// Somebody holds a lock on what these conversations need; the others can be written.
    Locked(HashSet<ConversationId>),
    /// One of its conversations takes too long, or meets a lock that is not found; it is not known which.
    Slow,
    /// It took too long, and nothing of it is in doubt.
    TooLong,
    /// Its only conversation met a lock that is not found.
    Stuck,
    /// One of its messages is at fault, or the database.
    Error(DbError),
}

/// The messages of a batch, and what has become of them so far.
struct Attempts<'a> {
    db: &'a Db,
    messages: &'a [&'a NewMessage],
    /// When each of them queued up.
    since: &'a [Instant],
    /// An attempt was made whose outcome is unknown.
    is_unknown: bool,
    /// After this no further attempt is made.
    deadline: Instant,
    /// How many conversations in a row met a lock that is not found.
    stuck: u32,
    /// Conversations of which a message is tried later: whatever comes after it waits behind it.
    waiting: HashSet<ConversationId>,
    of: Vec<Option<Result<Written, Failed>>>,
}

/// Writes the messages, in their order within each conversation. What could not be tried in time counts as locked.
pub async fn write_batch(db: &Db, messages: &[&NewMessage], since: &[Instant]) -> Vec<Result<Written, Failed>> {
    let deadline = Instant::now() + RETRY_FOR;
    let of = vec![None; messages.len()];
    let (is_unknown, stuck, waiting) = (false, 0, HashSet::new());
    let mut attempts = Attempts { db, messages, since, is_unknown, deadline, stuck, waiting, of };
    attempts.write((0..messages.len()).collect()).await;
    let missing = || Err(Failed::Refused(Error::Internal));
    attempts.of.into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect()
}

impl Attempts<'_> {
    async fn write(&mut self, mut these: Vec<usize>) {
        loop {
            let late = these.extract_if(.., |n| self.is_late(*n)).collect();
            self.fail_unwritten(late);
            let behind = these.extract_if(.., |n| self.waiting.contains(&self.messages[*n].conversation_id)).collect();
            self.fail_unwritten(behind);
            if these.is_empty() {
                return;
            }
            match self.attempt(&these).await {
                Ok(written) => {
                    self.stuck = 0;
                    return self.settle(these, written.into_iter().map(Ok));
                }
                Err(Trouble::Locked(conversations)) => {
                    let is_locked = |n: &usize| conversations.contains(&self.messages[*n].conversation_id);
                    let (locked, free) = these.into_iter().partition(is_locked);
                    these = free;
                    self.fail_unwritten(locked);
                }
                Err(Trouble::Stuck) => {
                    self.stuck += 1;
                    return self.fail_unwritten(these);
                }
                Err(Trouble::TooLong) => return self.fail(these, &Failed::TooLong),
                Err(Trouble::Slow) => return self.write_each_conversation(&these).await,
                Err(Trouble::Error(e)) if these.len() > 1 && e.is_statement_fault() => {
                    // One bad message must not take the others with it. Order is kept: one after the other.
                    tracing::warn!(error = %e, messages = these.len(), "batch refused, writing its messages one by one");
                    return self.write_each(these.into_iter().map(|n| vec![n]).collect()).await;
                }
                Err(Trouble::Error(e)) => {
                    let refused = || Failed::Refused(if e.is_given_up() { Error::Busy } else { e.into() });
                    let failed = if self.is_unknown { Failed::UnknownOutcome } else { refused() };
                    return self.fail(these, &failed);
                }
            }
        }
    }

    /// True if this message is not tried any more: it is too late, or too many conversations are stuck.
    fn is_late(&self, n: usize) -> bool {
        self.stuck >= MAX_STUCK || Instant::now() >= self.deadline || self.since[n].elapsed() > SEND_WITHIN
    }

    /// Writes each conversation by itself: what holds one up holds up the others for one attempt at most.
    async fn write_each_conversation(&mut self, these: &[usize]) {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut place = std::collections::HashMap::new();
        for &n in these {
            let at = *place.entry(self.messages[n].conversation_id).or_insert(groups.len());
            if at == groups.len() {
                groups.push(Vec::new());
            }
            groups[at].push(n);
        }
        // Not always the same ones first: those may be what keeps the others waiting.
        let first = RandomState::new().hash_one(groups.len()) % (groups.len().max(1) as u64);
        groups.rotate_left(usize::try_from(first).unwrap_or(0));
        self.write_each(groups).await;
    }

    async fn write_each(&mut self, groups: Vec<Vec<usize>>) {
        for group in groups {
            Box::pin(self.write(group)).await;
        }
    }

    fn settle(&mut self, these: Vec<usize>, outcomes: impl Iterator<Item = Result<Written, Failed>>) {
        for (n, outcome) in these.into_iter().zip(outcomes) {
            self.of[n] = Some(outcome);
        }
    }

    fn fail(&mut self, these: Vec<usize>, failed: &Failed) {
        if !matches!(failed, Failed::Refused(_)) {
            self.waiting.extend(these.iter().map(|n| self.messages[*n].conversation_id));
        }
        let failures = std::iter::repeat_with(|| Err(failed.clone()));
        self.settle(these, failures);
    }

    /// Puts off what was not written: it may be tried later.
    fn fail_unwritten(&mut self, these: Vec<usize>) {
        // If an attempt got no answer, the lock may be that attempt's own.
        let failed = if self.is_unknown { Failed::UnknownOutcome } else { Failed::Locked };
        self.fail(these, &failed);
    }

    /// Writes these as one statement, and tries again while the connection is at fault. The messages' ids tell what an
    /// attempt of unknown outcome has stored.
    async fn attempt(&mut self, these: &[usize]) -> Result<Vec<Written>, Trouble> {
        let messages: Vec<&NewMessage> = these.iter().map(|n| self.messages[*n]).collect();
        let is_one = messages.iter().all(|m| m.conversation_id == messages[0].conversation_id);
        let deadline = self.deadline;
        let (mut conflicts, mut unfound) = (0, 0);
        loop {
            let e = match self.db.write_messages(&messages, self.is_unknown).await {
                Ok(written) => return Ok(written),
                Err(e) => e,
            };
            self.is_unknown |= e.is_unknown();
            if e.is_locked() {
                match self.db.locked_conversations(&messages).await {
                    Ok(found) if !found.is_empty() => return Err(Trouble::Locked(found)),
                    Ok(_) if unfound < MAX_UNFOUND => unfound += 1,
                    // A trigger of the shop's waits for something unknown to us.
                    Ok(_) if is_one => return Err(Trouble::Stuck),
                    Ok(_) => return Err(Trouble::Slow),
                    // A whole table is locked: everyone waits.
                    Err(_) if Instant::now() < deadline => tokio::time::sleep(RETRY_PAUSE).await,
                    Err(_) => return Err(Trouble::Error(e)),
                }
            } else if e.is_given_up() {
                return Err(match (is_one, self.is_unknown) {
                    (true, _) => Trouble::Error(e),
                    (false, true) => Trouble::Slow,
                    (false, false) => Trouble::TooLong,
                });
            } else if e.is_conflict() && conflicts < MAX_CONFLICTS {
                // A member was added while the statement waited, or an isolation level stricter than the default refuses
                // what waited for a lock. The next attempt sees what is there.
                conflicts += 1;
                tokio::time::sleep(CONFLICT_PAUSE * (conflicts - 1)).await;
            } else if e.is_statement_fault() || Instant::now() >= deadline {
                return Err(Trouble::Error(e));
            } else {
                tracing::warn!(error = %e, messages = messages.len(), "write failed, trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}
