//! Group commit. Messages queue up in lanes by conversation; each lane writes what has queued as one statement, as
//! soon as the previous one returned, and hands the results, in order, to its publisher. So a conversation's messages
//! are stored and published in one order, and nothing waits to fill a batch.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{Chat, send::Job};
use crate::{
    config::Config,
    db::{DbError, GOOD_FOR, NewMessage, Outcome, Written, in_time},
    domain::ConversationId,
    error::Error,
};

/// How long a batch is tried again when the connection is at fault.
const RETRY_FOR: Duration = Duration::from_secs(8);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often a batch is tried again when another transaction got in between, and after what pause, growing.
const MAX_CONFLICTS: u32 = 8;
const CONFLICT_PAUSE: Duration = Duration::from_millis(5);
/// How long a message may wait for its turn. Only where the database is in trouble does it wait that long.
const SEND_WITHIN: Duration = Duration::from_secs(10);
const SETTLE_PAUSE: Duration = Duration::from_secs(1);
/// Batches written but not yet published, per lane.
const PUBLISH_QUEUE: usize = 4;

/// A message on its way to the database.
pub struct Queued {
    pub message: NewMessage,
    pub job: Job,
    /// Holds up a shutdown until it is published; not while it is in doubt whether there is anything to publish.
    token: Option<TaskTrackerToken>,
    since: Instant,
}

impl Queued {
    /// A message that queues up now.
    pub fn new(message: NewMessage, job: Job, token: TaskTrackerToken) -> Self {
        Self { message, job, token: Some(token), since: Instant::now() }
    }

    /// The same once its sender was answered.
    fn without_sender(&self) -> Self {
        Self { message: self.message.clone(), job: self.job.answered(), token: None, since: self.since }
    }
}

/// The entrance to the lanes.
pub struct Writer {
    lanes: Vec<mpsc::Sender<Queued>>,
    hasher: RandomState,
}

/// One lane, before it runs.
pub struct Lane(mpsc::Receiver<Queued>);

type Batch = Vec<(Queued, Result<Written, Error>)>;

impl Writer {
    pub fn new(config: &Config) -> (Self, Vec<Lane>) {
        let count = if config.database_url.is_none() { 1 } else { config.writer_lanes };
        let (lanes, receivers) =
            (0..count).map(|_| mpsc::channel(config.writer_queue)).map(|(tx, rx)| (tx, Lane(rx))).unzip();
        (Self { lanes, hasher: RandomState::new() }, receivers)
    }

    /// Which lane a conversation's messages take.
    pub fn lane_of(&self, conversation: ConversationId) -> usize {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u128(conversation.0.as_u128());
        usize::try_from(hasher.finish() % self.lanes.len() as u64).unwrap_or(0)
    }

    /// Queues a message; gives it back where the lane is full.
    pub fn push(&self, queued: Queued) -> Result<(), Box<Queued>> {
        let lane = &self.lanes[self.lane_of(queued.message.conversation_id)];
        lane.try_send(queued).map_err(|e| Box::new(e.into_inner()))
    }
}

impl Lane {
    /// Starts the lane's writer and publisher.
    pub fn spawn(self, chat: &Arc<Chat>, max_batch: usize) {
        let (written, to_publish) = mpsc::channel(PUBLISH_QUEUE);
        tokio::spawn(write(chat.clone(), self.0, written, max_batch));
        tokio::spawn(publish(chat.clone(), to_publish));
    }
}

async fn write(chat: Arc<Chat>, mut queue: mpsc::Receiver<Queued>, written: mpsc::Sender<Batch>, max: usize) {
    let mut waiting = Vec::with_capacity(max);
    loop {
        if waiting.is_empty() && queue.recv_many(&mut waiting, max).await == 0 {
            return;
        }
        fail_overdue(&mut waiting);
        let (batch, repeats) = split_repeats(std::mem::take(&mut waiting));
        waiting = repeats;
        if batch.is_empty() {
            continue;
        }
        let messages: Vec<NewMessage> = batch.iter().map(|q| q.message.clone()).collect();
        let outcomes = write_batch(&chat, &messages).await;
        let doubtful = doubtful(&batch, &outcomes);
        let batch = batch.into_iter().zip(outcomes.into_iter().map(|o| o.map_err(|f| f.error))).collect();
        if written.send(batch).await.is_err() {
            return;
        }
        if !doubtful.is_empty() {
            // Nothing may be told before it is known what came before.
            let found = settle(&chat, doubtful, &mut queue, &mut waiting).await;
            if written.send(found).await.is_err() {
                return;
            }
        }
    }
}

/// Answers those who waited longer than a sender should: nothing of theirs was tried yet.
fn fail_overdue(waiting: &mut Vec<Queued>) {
    for overdue in waiting.extract_if(.., |q| q.since.elapsed() > SEND_WITHIN) {
        overdue.job.fail(Error::Busy);
    }
}

/// The messages of which it is not known whether they were stored. Their senders are told that they failed.
fn doubtful(batch: &[Queued], outcomes: &[Result<Written, Failed>]) -> Vec<Queued> {
    let doubtful = batch.iter().zip(outcomes).filter(|(_, o)| o.as_ref().is_err_and(|f| f.may_be_stored));
    doubtful.map(|(q, _)| q.without_sender()).collect()
}

/// Finds out which of these were stored after all, so that everyone connected hears of them in their order. It takes as
/// long as the database is silent; who queues up meanwhile is answered in time.
async fn settle(
    chat: &Chat,
    doubtful: Vec<Queued>,
    queue: &mut mpsc::Receiver<Queued>,
    waiting: &mut Vec<Queued>,
) -> Batch {
    let messages: Vec<NewMessage> = doubtful.iter().map(|q| q.message.clone()).collect();
    let settled = async {
        tokio::time::sleep(GOOD_FOR).await;
        loop {
            match in_time(chat.db.settle_messages(&messages)).await {
                Ok(written) => return written,
                Err(e) => tracing::warn!(error = %e, messages = messages.len(), "not known yet what was stored"),
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    };
    let mut settled = std::pin::pin!(settled);
    let mut tick = tokio::time::interval(RETRY_PAUSE);
    let written = loop {
        tokio::select! {
            written = &mut settled => break written,
            _ = tick.tick() => {
                while let Ok(queued) = queue.try_recv() {
                    waiting.push(queued);
                }
                fail_overdue(waiting);
            }
        }
    };
    let found: Batch = doubtful
        .into_iter()
        .zip(written)
        .filter(|(_, w)| matches!(w.outcome, Outcome::Stored { .. }))
        .map(|(q, w)| (q, Ok(w)))
        .collect();
    tracing::warn!(stored = found.len(), "it is known now what was stored");
    found
}

/// A statement cannot see what it inserts itself: at a message that may repeat an earlier one of the batch, the batch
/// ends. What follows waits behind it, so that the order stays.
fn split_repeats(mut queued: Vec<Queued>) -> (Vec<Queued>, Vec<Queued>) {
    let mut seen = HashSet::new();
    let first_repeat = queued.iter().position(|q| {
        let m = &q.message;
        match (&m.client_message_id, &m.temp_id) {
            (Some(id), _) => !seen.insert((m.conversation_id, m.sender_id, true, id.clone())),
            (None, Some(id)) => !seen.insert((m.conversation_id, m.sender_id, false, id.clone())),
            (None, None) => false,
        }
    });
    let rest = first_repeat.map(|at| queued.split_off(at)).unwrap_or_default();
    (queued, rest)
}

/// Why a message was not written, as far as is known.
struct Failed {
    error: Error,
    /// An attempt got no answer, and none after it told.
    may_be_stored: bool,
}

async fn write_batch(chat: &Chat, messages: &[NewMessage]) -> Vec<Result<Written, Failed>> {
    match write_with_retries(chat, messages, false).await {
        Ok(written) => written.into_iter().map(Ok).collect(),
        Err((e, tried)) if messages.len() > 1 && e.is_statement_fault() => {
            // One bad message must not take the others with it. Order is kept: one after the other. An earlier attempt
            // may have got through before the one that was refused.
            tracing::warn!(error = %e, messages = messages.len(), "batch refused, writing its messages one by one");
            let mut outcomes = Vec::with_capacity(messages.len());
            for message in messages {
                let one = write_with_retries(chat, std::slice::from_ref(message), true).await;
                outcomes.push(match one {
                    Ok(mut written) => written.pop().ok_or(Failed { error: Error::Internal, may_be_stored: tried }),
                    Err((e, again)) => Err(Failed { error: e.into(), may_be_stored: tried || again }),
                });
            }
            outcomes
        }
        Err((e, may_be_stored)) => {
            let error = Error::from(e);
            messages.iter().map(|_| Err(Failed { error: error.clone(), may_be_stored })).collect()
        }
    }
}

/// Tries again while the connection is at fault; ids tell what an attempt of unknown end has stored. An error comes with
/// whether such an attempt was made.
async fn write_with_retries(
    chat: &Chat,
    messages: &[NewMessage],
    mut again: bool,
) -> Result<Vec<Written>, (DbError, bool)> {
    let deadline = Instant::now() + RETRY_FOR;
    let mut conflicts = 0;
    let mut unknown = false;
    loop {
        let e = match in_time(chat.db.write_messages(messages, again)).await {
            Ok(written) => return Ok(written),
            Err(e) => e,
        };
        unknown |= e.is_unknown();
        if e.is_conflict() && conflicts < MAX_CONFLICTS {
            // Another server stored the same clientMessageId after our snapshot, or an isolation level stricter than the
            // default refuses what waited for a lock; the next attempt sees what is there.
            conflicts += 1;
            tokio::time::sleep(CONFLICT_PAUSE * (conflicts - 1)).await;
        } else if e.is_statement_fault() || Instant::now() >= deadline {
            return Err((e, unknown));
        } else {
            tracing::warn!(error = %e, messages = messages.len(), "write failed, trying again");
            again = true;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

async fn publish(chat: Arc<Chat>, mut batches: mpsc::Receiver<Batch>) {
    while let Some(batch) = batches.recv().await {
        for (queued, outcome) in batch {
            let published = AssertUnwindSafe(publish_one(&chat, queued, outcome)).catch_unwind().await;
            if published.is_err() {
                tracing::error!("publishing a message panicked; the lane goes on");
            }
        }
    }
}

async fn publish_one(chat: &Chat, queued: Queued, outcome: Result<Written, Error>) {
    // The token is held until the end.
    let Queued { message, job, token: _token, .. } = queued;
    match outcome {
        Ok(Written { outcome: Outcome::Stored { seq, created_at, reply_to }, members, .. }) => {
            chat.publish_stored(message, seq, created_at, reply_to, &members, job).await;
        }
        Ok(Written { outcome: Outcome::Repeat { seq }, members, .. }) => {
            chat.answer_repeat(&message, seq, &members, job).await;
        }
        Ok(Written { outcome: Outcome::NotFound, .. }) => job.fail(Error::ConversationNotFound),
        Ok(Written { outcome: Outcome::NotMember, .. }) => job.fail(Error::NotAuthorized),
        Ok(Written { outcome: Outcome::Closed, .. }) => job.fail(Error::ConversationClosed),
        Ok(Written { outcome: Outcome::Blocked, .. }) => job.fail(Error::Blocked),
        Ok(Written { outcome: Outcome::ReplyNotFound, .. }) => job.fail(Error::ReplyNotFound),
        // It was tried again, or its sender was told that it failed.
        Ok(Written { outcome: Outcome::TooLate, .. }) => job.fail(Error::Internal),
        Err(e) => job.fail(e),
    }
}
