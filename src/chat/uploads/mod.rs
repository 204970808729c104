//! Uploaded files: receiving them, the links to them, and removing them.

mod links;
mod receiving;
mod removal;
mod stored_bytes;

use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;

pub use self::{
    links::Links,
    receiving::{Receiving, StoredFile},
    stored_bytes::StoredBytes,
};
use self::{
    receiving::{Bounds, Pace},
    removal::Removal,
};
use super::core::Core;
use crate::{
    config::{Config, Secret},
    db::{DbResult, in_time},
    domain::{FileKind, FilePath, User},
    error::{Error, Result},
    protocol::FileLink,
    storage::{Storage, StorageError},
};

pub struct Uploads {
    core: Arc<Core>,
    storage: Storage,
    removal: Arc<Removal>,
    max_bytes: u64,
    min_free: u64,
    pace: Option<Arc<Pace>>,
    /// Bytes that one user may upload in a day.
    quota: Option<u64>,
    /// Most files of one request.
    pub max_files: usize,
    pub links: Links,
    /// How much text and how many files each user has stored.
    pub stored_bytes: Arc<StoredBytes>,
}

impl Uploads {
    pub(super) fn start(core: Arc<Core>, storage: Storage, secret: &Secret, config: &Config) -> Self {
        let unused_hours = Some(config.upload_unused_hours).filter(|n| *n > 0);
        Self {
            removal: Removal::start(core.clone(), storage.clone(), unused_hours),
            stored_bytes: StoredBytes::start(&core, config.limits.max_stored_bytes_per_user),
            storage,
            max_bytes: config.max_upload_bytes as u64,
            min_free: config.min_free_disk_bytes,
            pace: Pace::new(config.limits.max_upload_bytes_per_second).map(Arc::new),
            quota: Some(config.limits.max_upload_bytes_per_day).filter(|n| *n > 0),
            max_files: config.max_upload_files,
            links: Links::new(secret, config.public_url.as_deref(), core.clock.clone()),
            core,
        }
    }

    /// Begins to receive a file of `user`'s.
    ///
    /// # Errors
    /// [`Error::UploadQuota`], [`Error::DiskFull`], [`Error::Busy`], [`Error::Internal`].
    pub async fn receive(&self, user: &User, name: &str) -> Result<Receiving> {
        let bounds = Bounds { max_bytes: self.max_bytes, min_free: self.min_free, pace: self.pace.clone() };
        let mut receiving = Receiving::begin(self.storage.clone(), self.core.clock.clone(), bounds, user.id, name)?;
        if let Some(quota) = self.quota {
            let left = quota.saturating_sub(in_time(self.core.db.uploaded_today(user.id)).await?);
            receiving.limit(left)?;
        }
        Ok(receiving)
    }

    /// Keeps a file that is complete, if it still fits into its owner's share of the day.
    ///
    /// # Errors
    /// As [`Receiving::push`], and as [`Uploads::receive`]; nothing is left of it then.
    pub async fn keep(&self, user: &User, mut receiving: Receiving) -> Result<StoredFile> {
        let noted = match receiving.complete().await {
            Ok((path, size)) => {
                let noted = in_time(self.core.db.note_file(path, user.id, size, self.quota)).await;
                noted.map_err(Error::from).and_then(|fits| {
                    if fits { Ok(path.to_owned()) } else { Err(Error::upload_quota(self.core.clock.now())) }
                })
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

    /// Removes stored files whose request failed.
    pub async fn take_back(&self, user: &User, files: &[StoredFile]) {
        for file in files {
            self.take_back_one(user, &file.path).await;
        }
    }

    async fn take_back_one(&self, user: &User, path: &str) {
        self.removal.remove(path).await;
        if let Err(e) = in_time(self.core.db.forget_upload(path, user.id)).await {
            tracing::warn!(error = %e, "a file that was taken back still counts for its owner");
        }
    }

    /// Opens a file for a request with its link: its kind, size and content.
    ///
    /// A file whose messages were deleted for everyone is refused by its row in the database, as the store may still have
    /// it.
    ///
    /// # Errors
    /// [`Error::InvalidSignature`], [`Error::LinkExpired`], [`Error::FileNotFound`], [`Error::Busy`], [`Error::Internal`].
    pub async fn open(
        &self,
        path: &str,
        link: &FileLink,
    ) -> Result<(FileKind, u64, impl Stream<Item = std::result::Result<Bytes, StorageError>> + Send + use<>)> {
        self.links.check(path, link)?;
        if in_time(self.core.db.is_file_deleted(path)).await? {
            return Err(Error::FileNotFound);
        }
        let kind = FilePath::parse(path).and_then(|path| path.kind()).ok_or(Error::FileNotFound)?;
        let (size, content) = self.storage.read(path).await?.ok_or(Error::FileNotFound)?;
        Ok((kind, size, content))
    }

    /// Removes the files of messages that were just deleted for everyone, without waiting for the next round.
    pub fn remove_soon(&self) {
        self.removal.due.notify_one();
    }

    /// Looks for files that no message named for `UPLOAD_UNUSED_HOURS`. They are removed later, if no message names them by
    /// then.
    pub async fn find_unused(&self) -> DbResult<()> {
        self.removal.find_unused().await
    }
}
