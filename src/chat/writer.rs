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
    db::{DbResult, NewMessage, Outcome, Written, in_time},
    domain::ConversationId,
    error::Error,
};

/// How long a batch is tried again when the connection is at fault.
const RETRY_FOR: Duration = Duration::from_secs(8);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Batches written but not yet published, per lane.
const PUBLISH_QUEUE: usize = 4;

/// A message on its way to the database.
pub struct Queued {
    pub message: NewMessage,
    pub job: Job,
    /// Holds up a shutdown until it is published.
    pub token: TaskTrackerToken,
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
        let (batch, repeats) = split_repeats(std::mem::take(&mut waiting));
        waiting = repeats;
        let messages: Vec<NewMessage> = batch.iter().map(|q| q.message.clone()).collect();
        let outcomes = write_batch(&chat, &messages).await;
        let batch = batch.into_iter().zip(outcomes).collect();
        if written.send(batch).await.is_err() {
            return;
        }
    }
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

async fn write_batch(chat: &Chat, messages: &[NewMessage]) -> Vec<Result<Written, Error>> {
    match write_with_retries(chat, messages, false).await {
        Ok(written) => written.into_iter().map(Ok).collect(),
        Err(e) if messages.len() > 1 && e.is_statement_fault() => {
            // One bad message must not take the others with it. Order is kept: one after the other. An earlier attempt
            // may have got through before the one that was refused.
            tracing::warn!(error = %e, messages = messages.len(), "batch refused, writing its messages one by one");
            let mut outcomes = Vec::with_capacity(messages.len());
            for message in messages {
                let one = write_with_retries(chat, std::slice::from_ref(message), true).await;
                outcomes.push(one.map_err(Error::from).and_then(|mut w| w.pop().ok_or(Error::Internal)));
            }
            outcomes
        }
        Err(e) => {
            let error = Error::from(e);
            messages.iter().map(|_| Err(error.clone())).collect()
        }
    }
}

/// Tries again while the connection is at fault; ids tell what an attempt of unknown end has stored.
async fn write_with_retries(chat: &Chat, messages: &[NewMessage], mut again: bool) -> DbResult<Vec<Written>> {
    let deadline = Instant::now() + RETRY_FOR;
    let mut conflicts = 0;
    loop {
        match in_time(chat.db.write_messages(messages, again)).await {
            Ok(written) => return Ok(written),
            // Another server stored the same clientMessageId after our snapshot; the next one sees it.
            Err(e) if e.is_conflict() && conflicts < 3 => conflicts += 1,
            Err(e) if e.is_statement_fault() || Instant::now() >= deadline => return Err(e),
            Err(e) => {
                tracing::warn!(error = %e, messages = messages.len(), "write failed, trying again");
                again = true;
                tokio::time::sleep(RETRY_PAUSE).await;
            }
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
    let Queued { message, job, token: _token } = queued;
    match outcome {
        Ok(Written { outcome: Outcome::Stored { seq, created_at, reply_to }, members }) => {
            chat.publish_stored(message, seq, created_at, reply_to, &members, job).await;
        }
        Ok(Written { outcome: Outcome::Repeat { seq }, members }) => {
            chat.answer_repeat(&message, seq, &members, job).await;
        }
        Ok(Written { outcome: Outcome::NotFound, .. }) => job.fail(Error::ConversationNotFound),
        Ok(Written { outcome: Outcome::NotMember, .. }) => job.fail(Error::NotAuthorized),
        Ok(Written { outcome: Outcome::Closed, .. }) => job.fail(Error::ConversationClosed),
        Ok(Written { outcome: Outcome::ReplyNotFound, .. }) => job.fail(Error::ReplyNotFound),
        Err(e) => job.fail(e),
    }
}
