//! Uploaded files from their first byte to their end: a user's share of a day, and the removal of what no message names.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use tokio::time::{MissedTickBehavior, interval};

use super::{Chat, Receiving, StoredFile};
use crate::{
    db::{DbResult, in_time},
    domain::User,
    error::{Error, Result},
};

/// How often what is to go is removed; what was deleted by the server's own hand goes at once.
const REMOVE_EVERY: Duration = Duration::from_mins(1);
/// How often files without a message are looked for, in such rounds.
const LOOK_EVERY: u32 = 60;
/// Files of one statement.
const BATCH: i64 = 200;

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
                    .and_then(|fits| if fits { Ok(()) } else { Err(Error::upload_quota(Utc::now())) })
            }
            Err(e) => Err(e),
        };
        match noted {
            Ok(()) => receiving.finish().await,
            Err(e) => {
                receiving.abort().await;
                Err(e)
            }
        }
    }

    /// Takes stored files back, whose request failed.
    pub async fn take_back(&self, user: &User, files: &[StoredFile]) {
        for file in files {
            self.uploads.remove(&file.path).await.ok();
            if let Err(e) = in_time(self.db.forget_upload(&file.path, user.id, file.size)).await {
                tracing::warn!(error = %e, "a file that was taken back still counts for its owner");
            }
        }
    }

    /// Removes the files of messages that were deleted for everyone, and those that no message names.
    pub async fn remove_files(&self) {
        if let Err(e) = self.try_to_remove_files().await {
            tracing::warn!(error = %e, "files are not removed yet");
        }
    }

    async fn try_to_remove_files(&self) -> DbResult<()> {
        for path in in_time(self.db.files_to_remove(BATCH)).await? {
            // One that the store does not give up is tried again.
            if self.uploads.remove(&path).await.is_ok() {
                in_time(self.db.forget_file(&path)).await?;
            }
        }
        Ok(())
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
        tokio::select! {
            _ = rounds.tick() => {}
            () = chat.stop.cancelled() => return,
        }
        if round.is_multiple_of(LOOK_EVERY)
            && let Err(e) = chat.find_unused_files().await
        {
            tracing::warn!(error = %e, "files without a message were not looked for");
        }
        chat.remove_files().await;
        round = round.wrapping_add(1);
    }
}
