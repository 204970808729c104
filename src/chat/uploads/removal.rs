//! Removing files: those whose messages were deleted for everyone, and those that no message names.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    chat::core::Core,
    db::{DbResult, in_time},
    storage::Storage,
};

/// How often files are removed; after a deletion by this server that is done at once.
const REMOVE_EVERY: Duration = Duration::from_mins(1);
/// How often files without a message are looked for, in such rounds.
const LOOK_EVERY: u32 = 60;
/// Files of one statement.
const BATCH: i64 = 200;
/// Files that the store removes at a time, and how long it may take over one.
const AT_ONCE: usize = 4;
const REMOVE_WITHIN: Duration = Duration::from_secs(10);

pub struct Removal {
    core: Arc<Core>,
    storage: Storage,
    /// After how many hours a file that no message names is removed.
    unused_hours: Option<u32>,
    /// Files are to be removed, without waiting for the next round.
    pub due: Notify,
}

impl Removal {
    pub fn start(core: Arc<Core>, storage: Storage, unused_hours: Option<u32>) -> Arc<Self> {
        let removal = Arc::new(Self { core, storage, unused_hours, due: Notify::new() });
        removal.core.tasks.background(removal.clone().run());
        removal
    }

    async fn run(self: Arc<Self>) {
        let mut rounds = interval(REMOVE_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round: u32 = 0;
        let stop = &self.core.tasks.stop;
        loop {
            let is_round = tokio::select! {
                _ = rounds.tick() => true,
                () = self.due.notified() => false,
                () = stop.cancelled() => return,
            };
            if is_round {
                if round.is_multiple_of(LOOK_EVERY)
                    && let Err(e) = self.find_unused().await
                {
                    tracing::warn!(error = %e, "files without a message were not looked for");
                }
                round = round.wrapping_add(1);
            }
            // What a stop breaks off is tried again by the next life of this server, or by another one.
            match stop.run_until_cancelled(self.remove_due()).await {
                Some(Ok(())) => {}
                Some(Err(e)) => tracing::warn!(error = %e, "files are not removed yet"),
                None => return,
            }
        }
    }

    async fn remove_due(&self) -> DbResult<()> {
        let db = &self.core.db;
        let paths = in_time(db.files_to_remove(BATCH)).await?;
        if i64::try_from(paths.len()).is_ok_and(|n| n >= BATCH) {
            self.due.notify_one();
        }
        let remove = |path: String| async move {
            if self.remove(&path).await {
                in_time(db.forget_file(&path)).await
            } else {
                in_time(db.put_off_file(&path)).await
            }
        };
        stream::iter(paths).map(Ok).try_for_each_concurrent(AT_ONCE, remove).await
    }

    /// Removes a file from the store, and returns whether it is gone. One that is not there is.
    pub async fn remove(&self, path: &str) -> bool {
        match timeout(REMOVE_WITHIN, self.storage.delete(path)).await {
            Ok(Ok(())) => true,
            Ok(Err(e)) => {
                tracing::warn!(error = %e, "a file was not removed");
                false
            }
            Err(_) => {
                tracing::warn!("a file was not removed: the store did not answer in time");
                false
            }
        }
    }

    pub async fn find_unused(&self) -> DbResult<()> {
        let Some(hours) = self.unused_hours else { return Ok(()) };
        while in_time(self.core.db.find_unused_files(hours, BATCH)).await? == BATCH {}
        in_time(self.core.db.forget_old_days()).await
    }
}
