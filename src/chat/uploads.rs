//! Where uploaded files are, how large they may be, and the links to them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::Stream;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;

use super::{
    Chat, Receiving,
    receiving::{Bounds, Pace},
};
use crate::{
    config::{Config, Secret},
    domain::{FileKind, FilePath, User},
    error::{Error, Result},
    protocol::FileLink,
    storage::{Storage, StorageError},
};

/// A signed URL works for 7 days (contract §Uploads).
pub(super) const LINK_LIFE: Duration = Duration::from_hours(7 * 24);

/// The file store, its limits and its signing key.
pub struct Uploads {
    storage: Storage,
    key: Hmac<Sha256>,
    max_bytes: u64,
    min_free: u64,
    pace: Option<Arc<Pace>>,
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
            pace: Pace::new(config.limits.max_upload_bytes_per_second).map(Arc::new),
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
        let bounds = Bounds { max_bytes: self.max_bytes, min_free: self.min_free, pace: self.pace.clone() };
        Receiving::begin(self.storage.clone(), bounds, user.id, name)
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

impl Chat {
    /// The file store.
    #[must_use]
    pub fn uploads(&self) -> &Uploads {
        &self.uploads
    }
}
