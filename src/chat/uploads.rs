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
    domain::{ContentCheck, FileKind, HEAD_BYTES, User, clean_file_name},
    error::{Error, Result},
    protocol::FileLink,
    storage::{Storage, StorageError, Writing},
};

/// A signed URL works for 7 days (contract §3, Uploads).
const LINK_LIFE: Duration = Duration::from_hours(7 * 24);

/// The file store, its limits and its signing key.
pub struct Uploads {
    storage: Storage,
    key: Hmac<Sha256>,
    max_bytes: u64,
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
    owner: Uuid,
    name: String,
    size: u64,
    head: Vec<u8>,
    sink: Option<Sink>,
}

/// Where a file goes once its kind is known.
struct Sink {
    kind: FileKind,
    path: String,
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
        Self { storage, key, max_bytes: config.max_upload_bytes as u64, max_files: config.max_upload_files }
    }

    /// Begins to receive a file of `user`'s.
    #[must_use]
    pub fn receive(&self, user: &User, name: &str) -> Receiving {
        Receiving {
            storage: self.storage.clone(),
            max_bytes: self.max_bytes,
            owner: user.id.0,
            name: clean_file_name(name),
            size: 0,
            head: Vec::new(),
            sink: None,
        }
    }

    /// Takes a stored file back.
    pub async fn remove(&self, file: &StoredFile) {
        if let Err(e) = self.storage.delete(&file.path).await {
            tracing::warn!(error = %e, "a refused upload was not removed");
        }
    }

    /// The query that lets `path` be fetched until 7 days from `now`, and saved as `name`.
    #[must_use]
    pub fn sign(&self, path: &str, name: &str, now: DateTime<Utc>) -> String {
        let expires = now.timestamp() + i64::try_from(LINK_LIFE.as_secs()).unwrap_or(0);
        let signature = self.mac(path, name, expires).finalize().into_bytes();
        let hex: Vec<String> = signature.iter().map(|b| format!("{b:02x}")).collect();
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        format!("name={name}&expires={expires}&signature={}", hex.concat())
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
        let given = unhex(&link.signature).ok_or(Error::InvalidSignature)?;
        let mac = self.mac(path, &link.name, link.expires);
        mac.verify_slice(&given).map_err(|_| Error::InvalidSignature)?;
        if now.timestamp() >= link.expires {
            return Err(Error::LinkExpired);
        }
        let extension = path.rsplit_once('.').map_or("", |(_, e)| e);
        let kind = FileKind::of_extension(extension).ok_or(Error::FileNotFound)?;
        let (size, content) = self.storage.read(path).await?.ok_or(Error::FileNotFound)?;
        Ok((kind, size, content))
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

    /// Takes the next part of the file.
    ///
    /// # Errors
    /// [`Error::FileTooLarge`], [`Error::FileTypeNotAllowed`], [`Error::Internal`]; then give it up.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        if self.size > self.max_bytes {
            return Err(Error::FileTooLarge);
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

    /// The file is complete.
    ///
    /// # Errors
    /// As [`Receiving::push`]; nothing is left of it then.
    pub async fn finish(mut self) -> Result<StoredFile> {
        if self.sink.is_none()
            && let Err(e) = self.decide().await
        {
            self.abort().await;
            return Err(e);
        }
        if self.sink.as_ref().is_some_and(|sink| !sink.check.is_complete()) {
            self.abort().await;
            return Err(Error::FileTypeNotAllowed);
        }
        let Some(Sink { kind, path, writing, .. }) = self.sink.take() else { return Err(Error::Internal) };
        writing.finish().await?;
        Ok(StoredFile { name: self.name, kind, size: self.size, path, uploaded_at: Utc::now() })
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
        let path = format!("chat/{}/{}/{}", self.owner, Uuid::new_v4(), path_name(&self.name, kind));
        let check = ContentCheck::of(kind, start);
        let writing = self.storage.begin(&path).await?;
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

/// The last part of a file's path: what of its name is plain ASCII, with the extension of its kind.
fn path_name(name: &str, kind: FileKind) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let stem: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(60).collect();
    format!("{stem}.{}", kind.extensions()[0])
}

impl Chat {
    /// The file store.
    #[must_use]
    pub fn uploads(&self) -> &Uploads {
        &self.uploads
    }
}
