//! Conversations that the lane passes over for a while: somebody holds a lock, or the outcome of a statement is unknown.
//! Their messages wait here, without a connection, and the lane goes on with the others.
//!
//! An unknown outcome: the statement got no answer, as from a frozen Postgres, and may still be run. It carries a
//! deadline after which it stores nothing (`GOOD_FOR`). Here its conversations wait for that deadline. Then the lane
//! reads under the same locks what was stored after all, publishes that, and continues.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::job::{Batch, Job, fail_overdue};
use crate::{
    db::{Db, GOOD_FOR, NewMessage, Outcome, in_time},
    domain::ConversationId,
    error::Error,
};

/// Pause before a conversation that was set aside is looked at again: the first one, and the longest.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Messages of one conversation that may wait here. Past that, senders are told that the server is busy.
const MOST_OF_ONE: usize = 1000;

struct Aside {
    /// Perhaps these are stored; their senders were told that sending failed.
    unknown: Vec<Job>,
    /// These are not stored.
    queued: Vec<Job>,
    next_look: Instant,
    pause: Duration,
}

impl Aside {
    fn new() -> Self {
        Self { unknown: Vec::new(), queued: Vec::new(), next_look: Instant::now() + FIRST_LOOK, pause: FIRST_LOOK }
    }

    fn wait_longer(&mut self) {
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.next_look = Instant::now() + self.pause;
    }
}

#[derive(Default)]
pub struct SetAside {
    conversations: HashMap<ConversationId, Aside>,
}

impl SetAside {
    /// When the next one is looked at; `None` if there is none.
    pub fn next_look(&self) -> Option<Instant> {
        self.conversations.values().map(|w| w.next_look).min()
    }

    /// Takes a message that met a lock, with those that repeat it.
    pub fn locked(&mut self, job: Job) {
        let waiting = self.conversations.entry(job.message.conversation_id).or_insert_with(Aside::new);
        waiting.queued.extend(job.split());
    }

    /// Takes a message of unknown outcome. The caller tells its sender that sending failed; its statement may still take
    /// effect for a while.
    pub fn unknown_outcome(&mut self, job: &Job) {
        let waiting = self.conversations.entry(job.message.conversation_id).or_insert_with(Aside::new);
        waiting.unknown.push(job.answered());
        waiting.next_look = Instant::now() + GOOD_FOR;
    }

    /// Takes the messages out of `waiting` whose conversation is set aside. They queue behind the messages that wait there.
    pub fn take_from(&mut self, waiting: &mut Vec<Job>) {
        if self.conversations.is_empty() {
            return;
        }
        let is_aside = |job: &mut Job| self.conversations.contains_key(&job.message.conversation_id);
        let taken: Vec<Job> = waiting.extract_if(.., is_aside).collect();
        for job in taken {
            let Some(of) = self.conversations.get_mut(&job.message.conversation_id) else { continue };
            if of.queued.len() < MOST_OF_ONE {
                of.queued.push(job);
            } else {
                job.fail(&Error::Busy);
            }
        }
    }

    /// Answers the senders of messages that wait here for too long.
    pub fn fail_overdue(&mut self) {
        for of in self.conversations.values_mut() {
            fail_overdue(&mut of.queued, Duration::ZERO);
        }
    }

    /// Looks at the conversations whose time has come. Those that can be written again leave: their messages go back to
    /// `waiting`. Returns what was stored after all; it has to be published before anything that comes back is written.
    pub async fn look(&mut self, db: &Db, waiting: &mut Vec<Job>) -> Batch {
        let now = Instant::now();
        self.fail_overdue();
        self.conversations.retain(|_, of| !of.queued.is_empty() || !of.unknown.is_empty());
        let due: Vec<ConversationId> =
            self.conversations.iter().filter(|(_, of)| of.next_look <= now).map(|(id, _)| *id).collect();
        if due.is_empty() {
            return Batch::new();
        }
        let free = free(db, &due, &self.messages_of(&due)).await;
        let known = self.settle(db, &due, &free).await;
        for id in &due {
            let is_known = self.conversations[id].unknown.is_empty();
            if free.contains(id) && is_known {
                waiting.extend(self.conversations.remove(id).map(|of| of.queued).unwrap_or_default());
            } else if let Some(of) = self.conversations.get_mut(id) {
                of.wait_longer();
            }
        }
        known
    }

    fn messages_of<'a>(&'a self, ids: impl IntoIterator<Item = &'a ConversationId>) -> Vec<&'a NewMessage> {
        let of = ids.into_iter().filter_map(|id| self.conversations.get(id));
        of.flat_map(|w| w.unknown.iter().chain(&w.queued)).map(|job| &job.message).collect()
    }

    /// Finds out which messages of unknown outcome were stored, in those of the conversations that are free.
    async fn settle(&mut self, db: &Db, due: &[ConversationId], free: &HashSet<ConversationId>) -> Batch {
        let ids = due.iter().filter(|id| free.contains(id));
        let of = ids.filter_map(|id| self.conversations.get(id));
        let messages: Vec<&NewMessage> = of.flat_map(|w| &w.unknown).map(|job| &job.message).collect();
        if messages.is_empty() {
            return Batch::new();
        }
        let written = match in_time(db.settle_messages(&messages)).await {
            Ok(written) => written,
            Err(e) => {
                tracing::warn!(error = %e, messages = messages.len(), "not known yet what was stored");
                return Batch::new();
            }
        };
        let mut unknown = Vec::with_capacity(written.len());
        for id in due.iter().filter(|id| free.contains(id)) {
            unknown
                .extend(self.conversations.get_mut(id).map(|of| std::mem::take(&mut of.unknown)).unwrap_or_default());
        }
        let found: Batch = unknown
            .into_iter()
            .zip(written)
            .filter(|(_, w)| matches!(w.outcome, Outcome::Stored { .. }))
            .map(|(job, w)| (job, Ok(w)))
            .collect();
        tracing::warn!(stored = found.len(), "it is known now what was stored");
        found
    }
}

async fn free(db: &Db, due: &[ConversationId], messages: &[&NewMessage]) -> HashSet<ConversationId> {
    match db.locked_conversations(messages).await {
        Ok(locked) => due.iter().copied().filter(|id| !locked.contains(id)).collect(),
        Err(e) => {
            tracing::debug!(error = %e, "not known which conversations are locked");
            HashSet::new()
        }
    }
}
