//! Lanes: a conversation's messages always queue in the same one, so they are stored and published in one order.
//!
//! While little queues up, the lanes take turns: a statement for few messages costs the database nearly as much as one
//! for many, and those that wait for another lane become more meanwhile.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, MutexGuard, mpsc},
    time::timeout,
};

use super::job::Job;
use crate::{config::Config, domain::ConversationId};

/// A lane with at least so many messages does not wait for its turn.
const CROWD: usize = 64;
/// Longest wait for the turn: the lane that has it may be waiting for the database.
const TURN_WITHIN: Duration = Duration::from_millis(50);

pub struct Lanes {
    entrances: Vec<mpsc::Sender<Job>>,
    hasher: RandomState,
}

/// A conversation, and the lane of its messages. Two messages of one socket in different lanes may
/// overtake each other, so a socket changes lanes only when nothing of its own is in flight.
#[derive(Clone, Copy)]
pub struct Destination {
    pub(super) conversation: ConversationId,
    pub lane: usize,
}

pub struct Lane {
    pub queue: mpsc::Receiver<Job>,
    pub turn: Turn,
}

pub struct Turn(Arc<Mutex<()>>);

impl Lanes {
    /// The lanes that the settings ask for. The embedded database has one connection, and so one lane.
    pub fn new(config: &Config) -> (Self, Vec<Lane>) {
        let count = if config.database_url.is_none() { 1 } else { config.writer_lanes };
        let turn = Arc::new(Mutex::new(()));
        let lane = |(entrance, queue)| (entrance, Lane { queue, turn: Turn(turn.clone()) });
        let (entrances, lanes) = (0..count).map(|_| mpsc::channel(config.writer_queue)).map(lane).unzip();
        (Self { entrances, hasher: RandomState::new() }, lanes)
    }

    pub fn destination(&self, conversation: ConversationId) -> Destination {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u128(conversation.0.as_u128());
        let lane = usize::try_from(hasher.finish() % self.entrances.len() as u64).unwrap_or(0);
        Destination { conversation, lane }
    }

    /// Queues a job; gives it back if the lane is full.
    pub fn push(&self, lane: usize, job: Job) -> Result<(), Box<Job>> {
        self.entrances[lane].try_send(job).map_err(|e| Box::new(e.into_inner()))
    }
}

impl Turn {
    /// Waits until no other lane writes, if this one has little to write, and takes what has queued up by then.
    pub async fn take(
        &self,
        queue: &mut mpsc::Receiver<Job>,
        waiting: &mut Vec<Job>,
        max: usize,
    ) -> Option<MutexGuard<'_, ()>> {
        if waiting.len() >= CROWD {
            return None;
        }
        let turn = timeout(TURN_WITHIN, self.0.lock()).await.ok();
        take_queued(queue, waiting, max);
        turn
    }
}

/// Moves what has queued up to `waiting`, until there are `max`.
pub fn take_queued(queue: &mut mpsc::Receiver<Job>, waiting: &mut Vec<Job>, max: usize) {
    while waiting.len() < max
        && let Ok(job) = queue.try_recv()
    {
        waiting.push(job);
    }
}
