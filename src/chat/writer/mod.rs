//! Group commit. Messages queue up in lanes by conversation; each lane writes what has queued as one statement, as
//! soon as the previous one returned, and hands the results, in order, to its publisher. So a conversation's messages
//! are stored and published in one order, and nothing waits to fill a batch. While little queues up, the lanes take turns:
//! a statement for few messages costs the database nearly as much as one for many, and those that wait for another lane
//! become more meanwhile.

mod attempts;
mod careful;
mod publish;
mod read_ahead;
mod repeats;
mod set_aside;

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, MutexGuard, mpsc},
    time::{sleep_until, timeout},
};
use tokio_util::task::task_tracker::TaskTrackerToken;

pub use self::read_ahead::QuoteAhead;
use self::{
    attempts::{Failed, write_batch},
    careful::Care,
    publish::publish,
    read_ahead::read_ahead,
    repeats::{Entry, gather},
    set_aside::SetAside,
};
use super::{Chat, send::Job};
use crate::{
    config::Config,
    db::{NewMessage, Written},
    domain::ConversationId,
    error::Error,
};

const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long a message may wait for its turn. Only where the database is in trouble does it wait that long.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// How often a lane looks, while it writes, who has waited for too long.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// From so many messages on a lane does not wait for its turn.
const CROWD: usize = 64;
/// A lane that the database keeps waiting does not keep the others waiting for longer.
const TURN_WITHIN: Duration = Duration::from_millis(50);
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
pub struct Lane {
    queue: mpsc::Receiver<Queued>,
    turn: Arc<Mutex<()>>,
}

type Batch = Vec<(Entry, Result<Written, Error>)>;

impl Writer {
    pub fn new(config: &Config) -> (Self, Vec<Lane>) {
        let count = if config.database_url.is_none() { 1 } else { config.writer_lanes };
        let turn = Arc::new(Mutex::new(()));
        let lane = |(tx, queue)| (tx, Lane { queue, turn: turn.clone() });
        let (lanes, receivers) = (0..count).map(|_| mpsc::channel(config.writer_queue)).map(lane).unzip();
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
        tokio::spawn(write(chat.clone(), self, written, max_batch));
        tokio::spawn(publish(chat.clone(), to_publish));
    }

    /// Waits until no other lane writes, where this one has little to write; takes what has queued up by then.
    async fn take_turn<'a>(
        turn: &'a Mutex<()>,
        queue: &mut mpsc::Receiver<Queued>,
        waiting: &mut Vec<Queued>,
        max: usize,
    ) -> Option<MutexGuard<'a, ()>> {
        if waiting.len() >= CROWD {
            return None;
        }
        let turn = timeout(TURN_WITHIN, turn.lock()).await.ok();
        while waiting.len() < max
            && let Ok(queued) = queue.try_recv()
        {
            waiting.push(queued);
        }
        turn
    }
}

async fn write(chat: Arc<Chat>, lane: Lane, written: mpsc::Sender<Batch>, max: usize) {
    let Lane { mut queue, turn } = lane;
    let mut waiting = Vec::with_capacity(max);
    let mut aside = SetAside::default();
    let mut care = Care::default();
    loop {
        if waiting.is_empty() {
            let next_look = aside.next_look();
            tokio::select! {
                n = queue.recv_many(&mut waiting, max) => if n == 0 { return },
                () = sleep_until(next_look.unwrap_or_else(tokio::time::Instant::now)), if next_look.is_some() => {}
            }
        }
        let turn = Lane::take_turn(&turn, &mut queue, &mut waiting, max).await;
        aside.take_from(&mut waiting);
        // Nothing may be told before it is known what came before.
        let found = aside.look(&chat, &mut waiting).await;
        if !found.is_empty() && written.send(found).await.is_err() {
            return;
        }
        fail_overdue(&mut waiting, care.expected());
        let mut batch = gather(care.next_of(&mut waiting, max));
        if batch.is_empty() {
            continue;
        }
        read_ahead(&chat, &mut batch);
        let started = Instant::now();
        let outcomes = {
            let messages: Vec<&NewMessage> = batch.iter().map(|e| &e.queued.message).collect();
            let since: Vec<Instant> = batch.iter().map(|e| e.queued.since).collect();
            let mut attempt = pin!(write_batch(&chat, &messages, &since));
            loop {
                // Who waits behind it is answered in time, however long it takes.
                match timeout(LOOK_EVERY, attempt.as_mut()).await {
                    Ok(outcomes) => break outcomes,
                    Err(_) => answer_overdue(&mut queue, &mut waiting, &mut aside),
                }
            }
        };
        drop(turn);
        care.note(batch.len(), started.elapsed());
        let (known, too_long) = sort_out(batch, outcomes, &mut aside);
        if !too_long.is_empty() {
            care.begin(too_long.len());
            waiting.splice(0..0, too_long);
        }
        if written.send(known).await.is_err() {
            return;
        }
    }
}

/// Sets aside what is locked or in doubt. Of the rest, what can be told, and what is to be written in smaller parts.
fn sort_out(batch: Vec<Entry>, outcomes: Vec<Result<Written, Failed>>, aside: &mut SetAside) -> (Batch, Vec<Queued>) {
    let mut known = Batch::with_capacity(batch.len());
    let mut too_long = Vec::new();
    for (entry, outcome) in batch.into_iter().zip(outcomes) {
        match outcome {
            Ok(written) => known.push((entry, Ok(written))),
            Err(Failed::Refused(error)) => known.push((entry, Err(error))),
            Err(Failed::Locked) => aside.locked(entry),
            Err(Failed::TooLong) => {
                too_long.push(entry.queued);
                too_long.extend(entry.repeats);
            }
            Err(Failed::InDoubt(error)) => {
                aside.doubtful(&entry.queued);
                known.push((entry, Err(error)));
            }
        }
    }
    (known, too_long)
}

/// Answers those who waited longer than a sender should, or will have when theirs is written: nothing of theirs is stored.
fn fail_overdue(waiting: &mut Vec<Queued>, expected: Duration) {
    for overdue in waiting.extract_if(.., |q| q.since.elapsed() + expected > SEND_WITHIN) {
        overdue.job.fail(Error::Busy);
    }
}

/// The same for all who wait in a lane while it writes: also those who are still at its entrance, as many as fit there.
fn answer_overdue(queue: &mut mpsc::Receiver<Queued>, waiting: &mut Vec<Queued>, aside: &mut SetAside) {
    while waiting.len() < queue.max_capacity()
        && let Ok(queued) = queue.try_recv()
    {
        waiting.push(queued);
    }
    fail_overdue(waiting, Duration::ZERO);
    aside.fail_overdue();
}
