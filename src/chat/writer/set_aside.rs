//! Conversations that cannot be written in for a while: somebody holds a lock, or it is not known what of theirs was stored.
//! Their messages wait here, without a connection, and the lane goes on with the others.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{Batch, Chat, Queued, fail_overdue, repeats::Entry};
use crate::{
    db::{GOOD_FOR, NewMessage, Outcome, in_time},
    domain::ConversationId,
    error::Error,
};

/// How long after it was set aside a conversation is looked at again; longer each time that it was in vain.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Messages of one conversation that may wait here; past that senders are told that the server is busy.
const MOST_OF_ONE: usize = 1000;

/// A conversation that was set aside.
struct Waiting {
    /// Nobody knows whether these were stored; their senders were answered.
    doubtful: Vec<Queued>,
    /// These were not.
    queued: Vec<Queued>,
    next_look: Instant,
    pause: Duration,
}

impl Waiting {
    fn new() -> Self {
        Self { doubtful: Vec::new(), queued: Vec::new(), next_look: Instant::now() + FIRST_LOOK, pause: FIRST_LOOK }
    }

    fn wait_longer(&mut self) {
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.next_look = Instant::now() + self.pause;
    }
}

/// The conversations of a lane that were set aside.
#[derive(Default)]
pub struct SetAside {
    conversations: HashMap<ConversationId, Waiting>,
}

impl SetAside {
    /// When the next one is looked at; never, where there is none.
    pub fn next_look(&self) -> Option<Instant> {
        self.conversations.values().map(|w| w.next_look).min()
    }

    /// Takes a message that met a lock, with those that repeat it.
    pub fn locked(&mut self, entry: Entry) {
        let waiting = self.conversations.entry(entry.queued.message.conversation_id).or_insert_with(Waiting::new);
        waiting.queued.push(entry.queued);
        waiting.queued.extend(entry.repeats);
    }

    /// Takes a message of which nobody knows whether it was stored; its sender is told by the caller that it failed. Its
    /// statement may still take effect for a while.
    pub fn doubtful(&mut self, queued: &Queued) {
        let waiting = self.conversations.entry(queued.message.conversation_id).or_insert_with(Waiting::new);
        waiting.doubtful.push(queued.without_sender());
        waiting.next_look = Instant::now() + GOOD_FOR;
    }

    /// Takes those of `waiting` whose conversation is set aside, behind what waits there already.
    pub fn take_from(&mut self, waiting: &mut Vec<Queued>) {
        if self.conversations.is_empty() {
            return;
        }
        let is_aside = |q: &mut Queued| self.conversations.contains_key(&q.message.conversation_id);
        let taken: Vec<Queued> = waiting.extract_if(.., is_aside).collect();
        for queued in taken {
            let Some(of) = self.conversations.get_mut(&queued.message.conversation_id) else { continue };
            if of.queued.len() < MOST_OF_ONE {
                of.queued.push(queued);
            } else {
                queued.job.fail(Error::Busy);
            }
        }
    }

    /// Answers those who wait here for too long.
    pub fn fail_overdue(&mut self) {
        for of in self.conversations.values_mut() {
            fail_overdue(&mut of.queued, Duration::ZERO);
        }
    }

    /// Looks whether those whose time has come can be written in again: their messages go back to `waiting`. Returns what
    /// is known to be stored after all; it has to be published before anything that comes back is written.
    pub async fn look(&mut self, chat: &Chat, waiting: &mut Vec<Queued>) -> Batch {
        let now = Instant::now();
        self.fail_overdue();
        self.conversations.retain(|_, of| !of.queued.is_empty() || !of.doubtful.is_empty());
        let due: Vec<ConversationId> =
            self.conversations.iter().filter(|(_, of)| of.next_look <= now).map(|(id, _)| *id).collect();
        if due.is_empty() {
            return Batch::new();
        }
        let free = free(chat, &due, &self.messages_of(&due)).await;
        let known = self.settle(chat, &due, &free).await;
        for id in &due {
            let is_known = self.conversations[id].doubtful.is_empty();
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
        of.flat_map(|w| w.doubtful.iter().chain(&w.queued)).map(|queued| &queued.message).collect()
    }

    /// Finds out what of the doubtful messages of these conversations was stored.
    async fn settle(&mut self, chat: &Chat, due: &[ConversationId], free: &HashSet<ConversationId>) -> Batch {
        let ids = due.iter().filter(|id| free.contains(id));
        let of = ids.filter_map(|id| self.conversations.get(id));
        let messages: Vec<&NewMessage> = of.flat_map(|w| &w.doubtful).map(|queued| &queued.message).collect();
        if messages.is_empty() {
            return Batch::new();
        }
        let written = match in_time(chat.db.settle_messages(&messages)).await {
            Ok(written) => written,
            Err(e) => {
                tracing::warn!(error = %e, messages = messages.len(), "not known yet what was stored");
                return Batch::new();
            }
        };
        let mut doubtful = Vec::with_capacity(written.len());
        for id in due.iter().filter(|id| free.contains(id)) {
            doubtful
                .extend(self.conversations.get_mut(id).map(|of| std::mem::take(&mut of.doubtful)).unwrap_or_default());
        }
        let found: Batch = doubtful
            .into_iter()
            .zip(written)
            .filter(|(_, w)| matches!(w.outcome, Outcome::Stored { .. }))
            .map(|(queued, w)| (Entry { queued, repeats: Vec::new() }, Ok(w)))
            .collect();
        tracing::warn!(stored = found.len(), "it is known now what was stored");
        found
    }
}

/// Which of these conversations nobody holds a lock on.
async fn free(chat: &Chat, due: &[ConversationId], messages: &[&NewMessage]) -> HashSet<ConversationId> {
    match chat.db.locked_conversations(messages).await {
        Ok(locked) => due.iter().copied().filter(|id| !locked.contains(id)).collect(),
        Err(e) => {
            tracing::debug!(error = %e, "not known which conversations are locked");
            HashSet::new()
        }
    }
}
