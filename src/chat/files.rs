//! Uploaded files from their first byte to their end: a user's share of a day, and the removal of what no message names.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Chat, Receiving, StoredFile};
use crate::{
    db::{DbResult, in_time},
    domain::User,
    error::{Error, Result},
};

/// How often what is to go is removed; after a deletion by the server's own hand that is done at once.
const REMOVE_EVERY: Duration = Duration::from_mins(1);
/// How often files without a message are looked for, in such rounds.
const LOOK_EVERY: u32 = 60;
/// Files of one statement.
const BATCH: i64 = 200;
/// Files that the store is asked to give up at a time, and how long it may take over one.
const AT_ONCE: usize = 4;
const REMOVE_WITHIN: Duration = Duration::from_secs(10);

impl Chat {
    /// Begins to receive a file of `user`'s.
    ///
    /// # Errors
    /// [`Error::UploadQuota`], [`Error::DiskFull`], [`Error::Busy`], [`Error::Internal`].
    pub async fn receive_file(&self, user: &User, name: &str) -> Result<Receiving> {
        let mut receiving = self.uploads.receive(user, name)?;
        if let Some(quota) = self.uploads.quota {
            let left = quota.saturating_sub(in_time(self.db.uploaded_today(user.id)).await?);
            receiving.limit(left)?;
        }
        Ok(receiving)
    }

    /// A file is complete: keeps it, if it still is within its owner's share of the day.
    ///
    /// # Errors
    /// As [`Receiving::push`], and as [`Chat::receive_file`]; nothing is left of it then.
    pub async fn keep_file(&self, user: &User, mut receiving: Receiving) -> Result<StoredFile> {
        let noted = match receiving.complete().await {
            Ok((path, size)) => {
                let noted = in_time(self.db.note_file(path, user.id, size, self.uploads.quota)).await;
                noted
                    .map_err(Error::from)
                    .and_then(|fits| if fits { Ok(path.to_owned()) } else { Err(Error::upload_quota(Utc::now())) })
            }
            Err(e) => Err(e),
        };
        match noted {
            Ok(path) => {
                let kept = receiving.finish().await;
                if kept.is_err() {
                    self.take_back_one(user, &path).await;
                }
                kept
            }
            Err(e) => {
                receiving.abort().await;
                Err(e)
            }
        }
    }

    /// Takes stored files back, whose request failed.
    pub async fn take_back(&self, user: &User, files: &[StoredFile]) {
        for file in files {
            self.take_back_one(user, &file.path).await;
        }
    }

    async fn take_back_one(&self, user: &User, path: &str) {
        self.is_removed(path).await;
        if let Err(e) = in_time(self.db.forget_upload(path, user.id)).await {
            tracing::warn!(error = %e, "a file that was taken back still counts for its owner");
        }
    }

    /// Removes a file from the store, and returns whether it is gone.
    async fn is_removed(&self, path: &str) -> bool {
        let removed = timeout(REMOVE_WITHIN, self.uploads.remove(path)).await;
        if removed.is_err() {
            tracing::warn!("a file was not removed: the store did not answer in time");
        }
        removed.is_ok_and(|removed| removed.is_ok())
    }

    /// Refuses a file that is to go because its messages were deleted for everyone: the store may still have it.
    ///
    /// # Errors
    /// [`Error::FileNotFound`], [`Error::Busy`], [`Error::Internal`].
    pub async fn check_file(&self, path: &str) -> Result<()> {
        if in_time(self.db.is_file_deleted(path)).await? { Err(Error::FileNotFound) } else { Ok(()) }
    }

    /// Removes the files of messages that were deleted for everyone, and those that no message names.
    async fn remove_files(&self) {
        if let Err(e) = self.try_to_remove_files().await {
            tracing::warn!(error = %e, "files are not removed yet");
        }
    }

    async fn try_to_remove_files(&self) -> DbResult<()> {
        let paths = in_time(self.db.files_to_remove(BATCH)).await?;
        if i64::try_from(paths.len()).is_ok_and(|n| n >= BATCH) {
            self.files_due.notify_one();
        }
        let remove = |path: String| async move {
            if self.is_removed(&path).await {
                in_time(self.db.forget_file(&path)).await
            } else {
                in_time(self.db.put_off_file(&path)).await
            }
        };
        stream::iter(paths).map(Ok).try_for_each_concurrent(AT_ONCE, remove).await
    }

    /// Looks for files that no message named for `UPLOAD_UNUSED_HOURS`. They go a little later, if that is still so.
    ///
    /// # Errors
    /// [`crate::db::DbError`].
    pub async fn find_unused_files(&self) -> DbResult<()> {
        let Some(hours) = self.uploads.unused_hours else { return Ok(()) };
        while in_time(self.db.find_unused_files(hours, BATCH)).await? == BATCH {}
        in_time(self.db.forget_old_days()).await
    }
}

/// Removes what is to go, until the service stops.
pub async fn run(chat: Arc<Chat>) {
    let mut rounds = interval(REMOVE_EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut round: u32 = 0;
    loop {
        let is_round = tokio::select! {
            _ = rounds.tick() => true,
            () = chat.files_due.notified() => false,
            () = chat.core.tasks.stop.cancelled() => return,
        };
        if is_round {
            if round.is_multiple_of(LOOK_EVERY)
                && let Err(e) = chat.find_unused_files().await
            {
                tracing::warn!(error = %e, "files without a message were not looked for");
            }
            round = round.wrapping_add(1);
        }
        // What a stop breaks off is tried again by the next life of this server, or by another one.
        if chat.core.tasks.stop.run_until_cancelled(chat.remove_files()).await.is_none() {
            return;
        }
    }
}
