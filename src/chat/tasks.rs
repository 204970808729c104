//! Work in flight, background tasks, and how both end when the server stops.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    error::{Error, Result},
    limits::{caller, for_caller},
};

/// Time that background tasks have for their last writes when the server stops.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(3);

#[derive(Default)]
pub struct Tasks {
    /// Work that must be finished before the process may end: hold a token during it.
    pub in_flight: TaskTracker,
    background: TaskTracker,
    /// Ends the background tasks, once each has written what waits.
    pub stop: CancellationToken,
}

impl Tasks {
    /// Starts a background task. It has to end soon after `stop` is cancelled.
    pub fn background(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.background.spawn(task);
    }

    /// Runs work in a task of its own: the caller may give up waiting, and what the work stores is told all the same.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Internal`] if it panics.
    pub async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.in_flight.spawn(for_caller(caller(), work)).await.unwrap_or(Err(Error::Internal))
    }

    /// True if the server is stopping and takes no new work.
    pub fn is_stopping(&self) -> bool {
        self.in_flight.is_closed()
    }

    /// Waits for work of a background task. False once the server stops and nothing waits any more.
    pub async fn next_batch<T>(&self, queue: &mut mpsc::Receiver<T>, batch: &mut Vec<T>, max: usize) -> bool {
        tokio::select! {
            biased;
            n = queue.recv_many(batch, max) => n > 0,
            () = self.stop.cancelled() => {
                queue.close();
                queue.recv_many(batch, max).await > 0
            }
        }
    }

    /// Takes no new work, finishes what is in flight within `limit`, and ends the background tasks.
    pub async fn finish(&self, limit: Duration) {
        self.in_flight.close();
        if tokio::time::timeout(limit, self.in_flight.wait()).await.is_err() {
            tracing::warn!(left = self.in_flight.len(), "work in flight was not finished in time");
        }
        self.stop.cancel();
        self.background.close();
        if tokio::time::timeout(BACKGROUND_LIMIT, self.background.wait()).await.is_err() {
            tracing::warn!("background work was not finished in time");
        }
    }
}
