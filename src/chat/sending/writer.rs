//! Group commit. A lane writes what has queued up as one statement, as soon as the previous one returned, and hands the
//! outcomes, in order, to its publisher. Nothing waits to fill a batch.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc,
    time::{sleep_until, timeout},
};

use super::{
    dedup::join_repeats,
    job::{Batch, Job, fail_overdue},
    lanes::{Lane, take_queued},
    publish::Publisher,
    quotes::read_ahead,
    retry::{Failed, write_batch},
    set_aside::SetAside,
    small_batches::SmallBatches,
};
use crate::{
    chat::{core::Core, messages::Messages},
    db::{NewMessage, Written},
    error::Error,
};

/// Interval at which a lane that writes answers messages that have waited for too long.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Batches written but not yet published, per lane.
const PUBLISH_QUEUE: usize = 4;

struct Writer {
    core: Arc<Core>,
    messages: Arc<Messages>,
    lane: Lane,
    max: usize,
    /// Taken from the queue, not written yet.
    waiting: Vec<Job>,
    aside: SetAside,
    small: SmallBatches,
    written: mpsc::Sender<Batch>,
}

struct Ended;

pub fn spawn(lane: Lane, max: usize, publisher: Publisher) {
    let (written, to_publish) = mpsc::channel(PUBLISH_QUEUE);
    let (waiting, aside, small) = (Vec::with_capacity(max), SetAside::default(), SmallBatches::default());
    let (core, messages) = (publisher.core.clone(), publisher.messages.clone());
    let writer = Writer { core, messages, lane, max, waiting, aside, small, written };
    tokio::spawn(writer.run());
    tokio::spawn(publisher.run(to_publish));
}

impl Writer {
    async fn run(mut self) {
        while self.has_work().await && self.step().await.is_ok() {}
    }

    /// Waits until something has queued up, or is to be looked at; false once nothing will come any more.
    async fn has_work(&mut self) -> bool {
        if !self.waiting.is_empty() {
            return true;
        }
        let next_look = self.aside.next_look();
        tokio::select! {
            n = self.lane.queue.recv_many(&mut self.waiting, self.max) => n > 0,
            () = sleep_until(next_look.unwrap_or_else(tokio::time::Instant::now)), if next_look.is_some() => true,
        }
    }

    async fn step(&mut self) -> Result<(), Ended> {
        let Self { core, messages, lane: Lane { queue, turn }, max, waiting, aside, small, written } = self;
        let turn = turn.take(queue, waiting, *max).await;
        aside.take_from(waiting);
        let found = aside.look(&core.db, waiting).await;
        if !found.is_empty() {
            // Told before anything newer of these conversations is written.
            written.send(found).await.map_err(|_| Ended)?;
        }
        fail_overdue(waiting, small.expected());
        let mut batch = join_repeats(small.next_of(waiting, *max));
        if batch.is_empty() {
            return Ok(());
        }
        read_ahead(messages, &mut batch);
        let started = Instant::now();
        let token = core.on_their_way.begin();
        for job in &mut batch {
            job.sets_out(token.clone());
        }
        drop(token);
        let outcomes = {
            let new: Vec<&NewMessage> = batch.iter().map(|job| &job.message).collect();
            let since: Vec<Instant> = batch.iter().map(|job| job.since).collect();
            let mut attempt = pin!(write_batch(&core.db, &new, &since));
            loop {
                // Whoever waits behind it is answered in time, however long it takes.
                if let Ok(outcomes) = timeout(LOOK_EVERY, attempt.as_mut()).await {
                    break outcomes;
                }
                take_queued(queue, waiting, queue.max_capacity());
                fail_overdue(waiting, Duration::ZERO);
                aside.fail_overdue();
            }
        };
        drop(turn);
        small.note(batch.len(), started.elapsed());
        let (known, too_long) = sort_out(batch, outcomes, aside);
        if !too_long.is_empty() {
            small.begin(too_long.len());
            waiting.splice(0..0, too_long);
        }
        written.send(known).await.map_err(|_| Ended)
    }
}

/// Sets aside what is locked or of unknown outcome. Returns what can be told, and what is to be written in smaller parts.
fn sort_out(batch: Vec<Job>, outcomes: Vec<Result<Written, Failed>>, aside: &mut SetAside) -> (Batch, Vec<Job>) {
    let mut known = Batch::with_capacity(batch.len());
    let mut too_long = Vec::new();
    for (mut job, outcome) in batch.into_iter().zip(outcomes) {
        if matches!(outcome, Err(Failed::Locked | Failed::TooLong)) {
            job.is_back();
        }
        match outcome {
            Ok(written) => known.push((job, Ok(written))),
            Err(Failed::Refused(error)) => known.push((job, Err(error))),
            Err(Failed::Locked) => aside.locked(job),
            Err(Failed::TooLong) => too_long.extend(job.split()),
            Err(Failed::UnknownOutcome) => {
                aside.unknown_outcome(&job);
                // Not `Busy`, which promises that nothing was stored.
                known.push((job, Err(Error::Internal)));
            }
        }
    }
    (known, too_long)
}
