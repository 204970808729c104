//! Writing a batch, as often as it takes within a limit.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

use super::{Chat, RETRY_PAUSE, SEND_WITHIN};
use crate::{
    db::{DbError, NewMessage, Written},
    domain::ConversationId,
    error::Error,
};

/// How long a batch is tried again, as a whole and in parts.
const RETRY_FOR: Duration = Duration::from_secs(8);
/// How often a batch is tried again when another transaction got in between, and after what pause, growing.
const MAX_CONFLICTS: u32 = 8;
const CONFLICT_PAUSE: Duration = Duration::from_millis(5);
/// How often a batch that met a lock, and finds none when it looks for it, is tried again as a whole.
const MAX_UNFOUND: u32 = 2;
/// So many conversations that met such a lock, one after the other, show that everyone waits for it.
const MAX_STUCK: u32 = 3;

/// Why a message was not written, as far as is known.
#[derive(Clone)]
pub enum Failed {
    /// It is not stored.
    Refused(Error),
    /// An attempt got no answer, and none after it told.
    InDoubt(Error),
    /// It is not stored: somebody holds a lock on what it needs.
    Locked,
    /// It is not stored: the database ended the statement, which had other conversations' messages in it too, after its time.
    TooLong,
}

/// Why a batch was not written as a whole.
enum Trouble {
    /// Somebody holds a lock on what these conversations need; the others can be written.
    Locked(HashSet<ConversationId>),
    /// Something in one of its conversations waits for a lock that is not found, or takes too long; it is not known in which.
    Slow,
    /// It took too long, and nothing of it is in doubt.
    TooLong,
    /// Its only conversation met a lock that is not found.
    Stuck,
    /// One of its messages is at fault, or none and the database is.
    Error(DbError),
}

/// What has become of the messages so far.
struct Outcomes<'a> {
    chat: &'a Chat,
    messages: &'a [&'a NewMessage],
    /// An attempt of unknown end was made.
    tried: bool,
    /// Since when each of them waits.
    since: &'a [Instant],
    /// After this no further attempt is made.
    deadline: Instant,
    /// How many conversations in a row met a lock that is not found.
    stuck: u32,
    /// Conversations of which a message is to be tried later: what comes after it waits behind it.
    waiting: HashSet<ConversationId>,
    of: Vec<Option<Result<Written, Failed>>>,
}

/// Writes the messages, in their order within each conversation. What could not be tried in time counts as locked.
pub async fn write_batch(chat: &Chat, messages: &[&NewMessage], since: &[Instant]) -> Vec<Result<Written, Failed>> {
    let deadline = Instant::now() + RETRY_FOR;
    let of = vec![None; messages.len()];
    let (tried, stuck, waiting) = (false, 0, HashSet::new());
    let mut outcomes = Outcomes { chat, messages, tried, since, deadline, stuck, waiting, of };
    outcomes.write((0..messages.len()).collect()).await;
    let missing = || Err(Failed::Refused(Error::Internal));
    outcomes.of.into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect()
}

impl Outcomes<'_> {
    /// Writes these of the messages.
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
                    let may_be_stored = self.tried;
                    let error = if e.is_given_up() { Error::Busy } else { e.into() };
                    let failed = if may_be_stored { Failed::InDoubt(error) } else { Failed::Refused(error) };
                    return self.fail(these, &failed);
                }
            }
        }
    }

    /// Whether it is too late to try this one, or in vain.
    fn is_late(&self, n: usize) -> bool {
        self.stuck >= MAX_STUCK || Instant::now() >= self.deadline || self.since[n].elapsed() > SEND_WITHIN
    }

    /// Each conversation by itself: what holds one up does not hold up the others for longer than one attempt.
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

    /// What was not written and may be tried later.
    fn fail_unwritten(&mut self, these: Vec<usize>) {
        // Where an attempt got no answer, the lock may be that attempt's own.
        let failed = if self.tried { Failed::InDoubt(Error::Busy) } else { Failed::Locked };
        self.fail(these, &failed);
    }

    /// Tries again while the connection is at fault; ids tell what an attempt of unknown end has stored.
    async fn attempt(&mut self, these: &[usize]) -> Result<Vec<Written>, Trouble> {
        let messages: Vec<&NewMessage> = these.iter().map(|n| self.messages[*n]).collect();
        let is_one = messages.iter().all(|m| m.conversation_id == messages[0].conversation_id);
        let deadline = self.deadline;
        let (mut conflicts, mut unfound) = (0, 0);
        loop {
            let e = match self.chat.db.write_messages(&messages, self.tried).await {
                Ok(written) => return Ok(written),
                Err(e) => e,
            };
            self.tried |= e.is_unknown();
            if e.is_locked() {
                match self.chat.db.locked_conversations(&messages).await {
                    Ok(found) if !found.is_empty() => return Err(Trouble::Locked(found)),
                    Ok(_) if unfound < MAX_UNFOUND => unfound += 1,
                    // A trigger of the shop's waits for something that we know nothing of.
                    Ok(_) if is_one => return Err(Trouble::Stuck),
                    Ok(_) => return Err(Trouble::Slow),
                    // A whole table is locked: everyone waits.
                    Err(_) if Instant::now() < deadline => tokio::time::sleep(RETRY_PAUSE).await,
                    Err(_) => return Err(Trouble::Error(e)),
                }
            } else if e.is_given_up() {
                return Err(match (is_one, self.tried) {
                    (true, _) => Trouble::Error(e),
                    (false, true) => Trouble::Slow,
                    (false, false) => Trouble::TooLong,
                });
            } else if e.is_conflict() && conflicts < MAX_CONFLICTS {
                // Someone came to take part while the statement waited, or an isolation level stricter than the default
                // refuses what waited for a lock; the next attempt sees what is there.
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
