//! A message on its way from its sender to the database and to everyone who is told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::reply::ReplyTo;
use crate::{
    chat::on_their_way::Token,
    db::{NewMessage, Written},
    domain::{Details, User},
    error::{Error, Result},
};

/// Longest time that a message waits to be written. It waits that long only if the database is in trouble.
pub const SEND_WITHIN: Duration = Duration::from_secs(10);

/// The quoted message of a reply, and when it was read. It is read while the reply is written (`quotes`).
pub type QuoteAhead = oneshot::Receiver<(Instant, Option<Box<Details>>)>;

/// The messages that a lane wrote, in its order, with their outcomes.
pub type Batch = Vec<(Job, Result<Written>)>;

pub struct Job {
    pub message: NewMessage,
    pub sender: Arc<User>,
    pub reply: ReplyTo,
    /// The quoted message, if it is being read already.
    pub quote: Option<QuoteAhead>,
    /// Jobs that repeat this one: they share its fate.
    pub repeats: Vec<Job>,
    pub since: Instant,
    /// Held until the message is published.
    pub held: Held,
}

/// Permits that a message holds until it is published.
#[derive(Default)]
pub struct Held {
    /// The socket's other events wait for this.
    _permit: Option<OwnedSemaphorePermit>,
    /// A shutdown waits for this.
    _token: Option<TaskTrackerToken>,
    /// Keeps its batch in flight.
    on_its_way: Option<Arc<Token>>,
}

impl Held {
    pub const fn new(permit: Option<OwnedSemaphorePermit>, token: TaskTrackerToken) -> Self {
        Self { _permit: permit, _token: Some(token), on_its_way: None }
    }
}

impl Job {
    /// A copy whose sender has been answered already. No shutdown waits for it: perhaps there is nothing to publish.
    pub fn answered(&self) -> Self {
        Self {
            message: self.message.clone(),
            sender: self.sender.clone(),
            reply: ReplyTo::Nobody,
            quote: None,
            repeats: Vec::new(),
            since: self.since,
            held: Held { on_its_way: self.held.on_its_way.clone(), ..Held::default() },
        }
    }

    /// It is about to be sent to the database.
    pub fn sets_out(&mut self, token: Arc<Token>) {
        self.held.on_its_way = Some(token);
    }

    /// It is not stored.
    pub fn is_back(&mut self) {
        self.held.on_its_way = None;
    }

    /// The job and those that repeat it, each by itself.
    pub fn split(mut self) -> impl Iterator<Item = Self> {
        let repeats = std::mem::take(&mut self.repeats);
        std::iter::once(self).chain(repeats)
    }

    /// Tells the sender, also of the repeats, that nothing was stored.
    pub fn fail(self, error: &Error) {
        self.split().for_each(|job| job.reply.failed(error));
    }
}

/// Answers the senders of jobs that have waited too long, or will have after `expected`. Nothing of theirs is stored.
pub fn fail_overdue(waiting: &mut Vec<Job>, expected: Duration) {
    for overdue in waiting.extract_if(.., |job| job.since.elapsed() + expected > SEND_WITHIN) {
        overdue.fail(&Error::Busy);
    }
}
