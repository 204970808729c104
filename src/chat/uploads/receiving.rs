//! A file while it is received. Its content is checked while it streams to the store, and nothing is left of a file that is
//! refused.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use crate::{
    clock::Clock,
    domain::{ContentCheck, FileKind, FilePath, HEAD_BYTES, UserId, clean_file_name},
    error::{Error, Result},
    limits::Shares,
    storage::{Storage, StorageError, Writing},
};

/// The space that is left is checked each time so many bytes were stored.
const LOOK_FOR_SPACE_EVERY: u64 = 1 << 20;
/// After so many bytes a file waits until its owner may store more. Smaller ones do not wait.
const PORTION: u64 = 256 << 10;

pub(super) struct Bounds {
    pub max_bytes: u64,
    pub min_free: u64,
    pub pace: Option<Arc<Pace>>,
}

/// The rate at which one user's files are stored, all together: others need the disk and the processors too.
pub(super) struct Pace {
    turns: Arc<Shares>,
    bytes_per_second: u64,
}

impl Pace {
    /// `None` is without a limit.
    pub fn new(bytes_per_second: u64) -> Option<Self> {
        (bytes_per_second > 0).then(|| Self { turns: Shares::new(1), bytes_per_second })
    }

    /// Waits for as long as these bytes may take, and until the owner's other files did.
    async fn wait(&self, owner: UserId, bytes: u64) {
        let _turn = self.turns.turn(owner).await;
        let micros = bytes.saturating_mul(1_000_000) / self.bytes_per_second;
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }
}

#[derive(Clone, Debug)]
pub struct StoredFile {
    /// Name as shown.
    pub name: String,
    /// Kind, by content.
    pub kind: FileKind,
    pub size: u64,
    pub path: String,
    pub uploaded_at: DateTime<Utc>,
}

impl From<StorageError> for Error {
    fn from(e: StorageError) -> Self {
        tracing::error!(error = %e, "file store");
        Self::Internal
    }
}

pub struct Receiving {
    storage: Storage,
    clock: Clock,
    bounds: Bounds,
    /// Bytes that its owner may still upload today.
    left_today: u64,
    /// Size at which free space is checked again.
    next_look: u64,
    owner: UserId,
    name: String,
    size: u64,
    /// Bytes that came since it last waited.
    unpaced: u64,
    head: Vec<u8>,
    sink: Option<Sink>,
}

/// The object in the store that a file is written to, once its kind is known.
struct Sink {
    kind: FileKind,
    path: FilePath,
    check: ContentCheck,
    writing: Writing,
}

impl Receiving {
    pub(super) fn begin(storage: Storage, clock: Clock, bounds: Bounds, owner: UserId, name: &str) -> Result<Self> {
        let mut receiving = Self {
            storage,
            clock,
            bounds,
            left_today: u64::MAX,
            next_look: 0,
            owner,
            name: clean_file_name(name),
            size: 0,
            unpaced: 0,
            head: Vec::new(),
            sink: None,
        };
        receiving.look_for_space()?;
        Ok(receiving)
    }

    /// Takes note of what is left of its owner's share of the day.
    ///
    /// # Errors
    /// [`Error::UploadQuota`] if nothing is left.
    pub(super) fn limit(&mut self, left_today: u64) -> Result<()> {
        self.left_today = left_today;
        if left_today == 0 { Err(Error::upload_quota(self.clock.now())) } else { Ok(()) }
    }

    /// Takes the next part of the file.
    ///
    /// # Errors
    /// [`Error::FileTooLarge`], [`Error::FileTypeNotAllowed`], [`Error::UploadQuota`], [`Error::DiskFull`],
    /// [`Error::Internal`]; then give it up.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        if self.size > self.bounds.max_bytes {
            return Err(Error::FileTooLarge);
        }
        if self.size > self.left_today {
            return Err(Error::upload_quota(self.clock.now()));
        }
        if self.size >= self.next_look {
            self.look_for_space()?;
        }
        self.unpaced += bytes.len() as u64;
        if self.unpaced >= PORTION
            && let Some(pace) = &self.bounds.pace
        {
            pace.wait(self.owner, std::mem::take(&mut self.unpaced)).await;
        }
        if self.sink.is_none() {
            self.head.extend_from_slice(bytes);
            if self.head.len() >= HEAD_BYTES {
                self.decide().await?;
            }
            return Ok(());
        }
        self.write(bytes).await
    }

    fn look_for_space(&mut self) -> Result<()> {
        self.next_look = self.size + LOOK_FOR_SPACE_EVERY;
        match self.storage.free_bytes()? {
            Some(free) if free < self.bounds.min_free => {
                tracing::error!(free, least = self.bounds.min_free, "too little space is left for uploads");
                Err(Error::DiskFull)
            }
            _ => Ok(()),
        }
    }

    /// The file is complete: its path and size, if its content is what its name says. Call `finish` or `abort` next.
    pub(super) async fn complete(&mut self) -> Result<(&str, u64)> {
        if self.sink.is_none() {
            self.decide().await?;
        }
        match &self.sink {
            Some(sink) if sink.check.is_complete() => Ok((sink.path.as_str(), self.size)),
            _ => Err(Error::FileTypeNotAllowed),
        }
    }

    /// Makes it a stored file.
    ///
    /// # Errors
    /// [`Error::Internal`]; nothing is left of it then.
    pub(super) async fn finish(self) -> Result<StoredFile> {
        let Some(Sink { kind, path, writing, .. }) = self.sink else { return Err(Error::Internal) };
        writing.finish().await?;
        Ok(StoredFile {
            name: self.name,
            kind,
            size: self.size,
            path: path.as_str().to_owned(),
            uploaded_at: self.clock.now(),
        })
    }

    /// Gives it up; nothing is left of it.
    pub async fn abort(self) {
        if let Some(sink) = self.sink {
            sink.writing.abort().await;
        }
    }

    /// Decides the file's kind, by its first bytes alone, and begins to store it.
    async fn decide(&mut self) -> Result<()> {
        let head = std::mem::take(&mut self.head);
        let start = &head[..head.len().min(HEAD_BYTES)];
        let kind = FileKind::detect(start, &self.name).ok_or(Error::FileTypeNotAllowed)?;
        self.name = kind.rename(&self.name);
        let path = FilePath::new(self.owner.0, &self.name, kind);
        let check = ContentCheck::of(kind, start);
        let writing = self.storage.begin(path.as_str()).await?;
        self.sink = Some(Sink { kind, path, check, writing });
        self.write(&head).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(sink) = &mut self.sink else { return Err(Error::Internal) };
        if !sink.check.push(bytes) {
            return Err(Error::FileTypeNotAllowed);
        }
        Ok(sink.writing.write(bytes).await?)
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join3;
    use tokio::time::Instant;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_users_files_share_their_pace_and_anothers_have_one_of_their_own() {
        let pace = Pace::new(1_000_000).unwrap();
        let (a, b) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let started = Instant::now();
        let timed = async |owner| {
            pace.wait(owner, 100_000).await;
            started.elapsed()
        };
        let (first, second, other) = join3(timed(a), timed(a), timed(b)).await;
        assert!(first >= Duration::from_millis(100) && second >= Duration::from_millis(200));
        assert!(other < second, "{other:?}");
        assert!(Pace::new(0).is_none());
    }
}
