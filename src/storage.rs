//! The store of uploaded files: a local folder by default, S3 or a compatible store by configuration.

use std::{
    path::{Path as FsPath, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt as _, WriteMultipart, local::LocalFileSystem, path::Path,
};

use crate::config::Config;

/// Bytes of one part. S3 accepts no smaller parts; a local file uses small ones to keep memory flat.
const REMOTE_PART: usize = 5 << 20;
const LOCAL_PART: usize = 256 << 10;
/// Parts of one file that are in flight at the same time.
const PARTS_IN_FLIGHT: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// An error of the store. Logged, never sent to a client.
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Folder(#[from] std::io::Error),
    /// `UPLOAD_STORE` is not a URL.
    #[error("UPLOAD_STORE: {0}")]
    Url(#[from] url::ParseError),
}

#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    part: usize,
    /// The folder of the local store.
    folder: Option<PathBuf>,
}

impl Storage {
    /// Opens `UPLOAD_STORE` (`s3://bucket/prefix`, with credentials from the usual `AWS_…` variables), or the folder
    /// `uploads` in `DATA_DIR`.
    pub fn open(config: &Config) -> Result<Self, StorageError> {
        match config.upload_store.as_deref() {
            Some(url) => {
                let options =
                    std::env::vars().map(|(k, v)| (k.to_lowercase(), v)).filter(|(k, _)| k.starts_with("aws_"));
                let (store, prefix) = object_store::parse_url_opts(&url::Url::parse(url)?, options)?;
                Ok(Self { store: store.into(), prefix, part: REMOTE_PART, folder: None })
            }
            None => Self::local(&config.data_dir.join("uploads")),
        }
    }

    fn local(folder: &FsPath) -> Result<Self, StorageError> {
        std::fs::create_dir_all(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder)?.with_automatic_cleanup(true);
        let folder = Some(folder.to_owned());
        Ok(Self { store: Arc::new(store), prefix: Path::default(), part: LOCAL_PART, folder })
    }

    fn full(&self, path: &str) -> Path {
        self.prefix.parts().chain(Path::from(path).parts()).collect()
    }

    /// Free bytes on the disk that keeps the files; `None` if they are unknown, as in S3.
    pub fn free_bytes(&self) -> Result<Option<u64>, StorageError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let found = rustix::fs::statvfs(folder).map_err(std::io::Error::from)?;
        Ok(Some(found.f_bavail.saturating_mul(found.f_frsize)))
    }

    /// Begins a file. `path` does not exist until the file is finished.
    pub async fn begin(&self, path: &str) -> Result<Writing, StorageError> {
        let upload = self.store.put_multipart(&self.full(path)).await?;
        let file = self.folder.as_ref().map(|folder| folder.join(path));
        Ok(Writing { upload: WriteMultipart::new_with_chunk_size(upload, self.part), file })
    }

    /// Returns a file's size and content; `None` if it does not exist.
    pub async fn read(
        &self,
        path: &str,
    ) -> Result<Option<(u64, impl Stream<Item = Result<Bytes, StorageError>> + Send + use<>)>, StorageError> {
        match self.store.get(&self.full(path)).await {
            Ok(found) => Ok(Some((found.meta.size, found.into_stream().map(|part| part.map_err(StorageError::from))))),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes a file; a missing file is no error.
    pub async fn delete(&self, path: &str) -> Result<(), StorageError> {
        match self.store.delete(&self.full(path)).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

pub struct Writing {
    upload: WriteMultipart,
    /// The path that the file will have in the local store.
    file: Option<PathBuf>,
}

impl Writing {
    /// Appends bytes; waits if the store is slow.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.upload.wait_for_capacity(PARTS_IN_FLIGHT).await?;
        self.upload.write(bytes);
        Ok(())
    }

    /// Finishes the file.
    /// Fails with [`StorageError`]; then nothing of the file is left.
    pub async fn finish(self) -> Result<(), StorageError> {
        self.upload.finish().await?;
        Ok(())
    }

    /// Discards the file; nothing of it is left.
    pub async fn abort(self) {
        if let Err(e) = self.upload.abort().await {
            tracing::warn!(error = %e, "a broken upload was not cleaned up");
        }
        // Removes the folders that were made for this file; a folder that is not empty stays.
        for folder in self.file.iter().flat_map(|file| file.ancestors().skip(1).take(2)) {
            if std::fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}
