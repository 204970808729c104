//! Uploads: each file is looked at while it streams to the store, and is nowhere if anything is wrong with it.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::Stream;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;
use uuid::Uuid;

use super::Chat;
use crate::{
    config::{Config, Secret},
    domain::{ContentCheck, FileKind, FilePath, HEAD_BYTES, User, clean_file_name},
    error::{Error, Result},
    protocol::FileLink,
    storage::{Storage, StorageError, Writing},
};

/// A signed URL works for 7 days (contract §Uploads).
pub(super) const LINK_LIFE: Duration = Duration::from_hours(7 * 24);

/// How often a file that is being stored looks whether there still is space.
const LOOK_FOR_SPACE_EVERY: u64 = 1 << 20;

/// The file store, its limits and its signing key.
pub struct Uploads {
    storage: Storage,
    key: Hmac<Sha256>,
    max_bytes: u64,
    min_free: u64,
    /// Bytes that one user may upload in a day.
    pub(super) quota: Option<u64>,
    /// After how many hours a file that no message names is removed.
    pub(super) unused_hours: Option<u32>,
    /// `PUBLIC_URL`, without a slash at its end.
    pub(super) public_url: Option<String>,
    /// Most files of one request.
    pub max_files: usize,
}

/// A stored file.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// Name as shown.
    pub name: String,
    /// Kind, by content.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// Where it is in the store.
    pub path: String,
    /// When it was stored.
    pub uploaded_at: DateTime<Utc>,
}

/// A file being received.
pub struct Receiving {
    storage: Storage,
    max_bytes: u64,
    /// What is left of its owner's share of the day.
    left_today: u64,
    min_free: u64,
    /// At which size to look for space again.
    next_look: u64,
    owner: Uuid,
    name: String,
    size: u64,
    head: Vec<u8>,
    sink: Option<Sink>,
}

/// Where a file goes once its kind is known.
struct Sink {
    kind: FileKind,
    path: FilePath,
    check: ContentCheck,
    writing: Writing,
}

impl From<StorageError> for Error {
    fn from(e: StorageError) -> Self {
        tracing::error!(error = %e, "file store");
        Self::Internal
    }
}

impl Uploads {
    /// Signs with a key of its own, made from the tokens' secret.
    #[must_use]
    pub fn new(storage: Storage, secret: &Secret, config: &Config) -> Self {
        let mut key = keyed(secret.expose().as_bytes());
        key.update(b"souk file links");
        let key = keyed(&key.finalize().into_bytes());
        Self {
            storage,
            key,
            max_bytes: config.max_upload_bytes as u64,
            min_free: config.min_free_disk_bytes,
            quota: Some(config.limits.max_upload_bytes_per_day).filter(|n| *n > 0),
            unused_hours: Some(config.upload_unused_hours).filter(|n| *n > 0),
            public_url: config.public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned()),
            max_files: config.max_upload_files,
        }
    }

    /// Begins to receive a file of `user`'s.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Internal`].
    pub(super) fn receive(&self, user: &User, name: &str) -> Result<Receiving> {
        let mut receiving = Receiving {
            storage: self.storage.clone(),
            max_bytes: self.max_bytes,
            left_today: u64::MAX,
            min_free: self.min_free,
            next_look: 0,
            owner: user.id.0,
            name: clean_file_name(name),
            size: 0,
            head: Vec::new(),
            sink: None,
        };
        receiving.look_for_space()?;
        Ok(receiving)
    }

    /// Removes a file from the store; one that is not there is removed already.
    ///
    /// # Errors
    /// [`StorageError`], which is logged.
    pub(super) async fn remove(&self, path: &str) -> std::result::Result<(), StorageError> {
        let removed = self.storage.delete(path).await;
        removed.inspect_err(|e| tracing::warn!(error = %e, "a file was not removed"))
    }

    /// The query that lets `path` be fetched until `expires`, and saved as `name`.
    pub(super) fn sign(&self, path: &str, name: &str, expires: i64) -> String {
        let signature = self.mac(path, name, expires).finalize().into_bytes();
        let hex: Vec<String> = signature.iter().map(|b| format!("{b:02x}")).collect();
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        format!("name={name}&expires={expires}&signature={}", hex.concat())
    }

    /// Whether a link is ours and good.
    ///
    /// # Errors
    /// [`Error::InvalidSignature`], [`Error::LinkExpired`].
    pub fn check(&self, path: &str, link: &FileLink, now: DateTime<Utc>) -> Result<()> {
        if !self.is_signed(path, link) {
            return Err(Error::InvalidSignature);
        }
        if now.timestamp() >= link.expires { Err(Error::LinkExpired) } else { Ok(()) }
    }

    /// A file's kind, size and content, for who has its link.
    ///
    /// # Errors
    /// [`Error::InvalidSignature`], [`Error::LinkExpired`], [`Error::FileNotFound`], [`Error::Internal`].
    pub async fn open(
        &self,
        path: &str,
        link: &FileLink,
        now: DateTime<Utc>,
    ) -> Result<(FileKind, u64, impl Stream<Item = std::result::Result<Bytes, StorageError>> + Send + use<>)> {
        self.check(path, link, now)?;
        let kind = FilePath::parse(path).and_then(|path| path.kind()).ok_or(Error::FileNotFound)?;
        let (size, content) = self.storage.read(path).await?.ok_or(Error::FileNotFound)?;
        Ok((kind, size, content))
    }

    /// Whether we signed this link, expired or not.
    pub(super) fn is_signed(&self, path: &str, link: &FileLink) -> bool {
        let mac = self.mac(path, &link.name, link.expires);
        unhex(&link.signature).is_some_and(|given| mac.verify_slice(&given).is_ok())
    }

    fn mac(&self, path: &str, name: &str, expires: i64) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        // Neither a path nor a name has a line break.
        mac.update(format!("{expires}\n{path}\n{name}").as_bytes());
        mac
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length (RFC 2104 §2): this does not fail.
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || text.len() % 2 == 1 {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}

impl Receiving {
    /// The name as it will be shown.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes note of what is left of its owner's share of the day.
    ///
    /// # Errors
    /// [`Error::UploadQuota`] where that is nothing.
    pub(super) fn limit(&mut self, left_today: u64) -> Result<()> {
        self.left_today = left_today;
        if left_today == 0 { Err(Error::upload_quota(Utc::now())) } else { Ok(()) }
    }

    /// Takes the next part of the file.
    ///
    /// # Errors
    /// [`Error::FileTooLarge`], [`Error::FileTypeNotAllowed`], [`Error::UploadQuota`], [`Error::DiskFull`],
    /// [`Error::Internal`]; then give it up.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        if self.size > self.max_bytes {
            return Err(Error::FileTooLarge);
        }
        if self.size > self.left_today {
            return Err(Error::upload_quota(Utc::now()));
        }
        if self.size >= self.next_look {
            self.look_for_space()?;
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
            Some(free) if free < self.min_free => {
                tracing::error!(free, least = self.min_free, "too little space is left for uploads");
                Err(Error::DiskFull)
            }
            _ => Ok(()),
        }
    }

    /// All of it is here: its path and size, if it is what it is called. Finish it, or give it up.
    ///
    /// # Errors
    /// As [`Receiving::push`].
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
            uploaded_at: Utc::now(),
        })
    }

    /// Gives it up; nothing is left of it.
    pub async fn abort(self) {
        if let Some(sink) = self.sink {
            sink.writing.abort().await;
        }
    }

    /// Decides what it is, and begins to store it. However much of it is here, its first bytes alone decide.
    async fn decide(&mut self) -> Result<()> {
        let head = std::mem::take(&mut self.head);
        let start = &head[..head.len().min(HEAD_BYTES)];
        let kind = FileKind::detect(start, &self.name).ok_or(Error::FileTypeNotAllowed)?;
        self.name = kind.rename(&self.name);
        let path = FilePath::new(self.owner, &self.name, kind);
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

impl Chat {
    /// The file store.
    #[must_use]
    pub fn uploads(&self) -> &Uploads {
        &self.uploads
    }
}
