//! The embedded PostgreSQL, for starting with nothing installed. It serves one connection at a time.

use std::path::{Path, PathBuf};

use pglite_oxide::PgliteServer;
use rand::RngExt as _;

use super::{DbError, DbResult};
use crate::{
    config::Secret,
    domain::{Role, UserId},
};

/// The users that a first start puts into the embedded database, to try the chat with.
#[must_use]
pub fn demo_users() -> [(UserId, &'static str, Role, &'static str); 4] {
    let id = |n: u128| UserId(uuid::Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0000 + n));
    [
        (id(1), "customer@souk.example", Role::Customer, "Carla Customer"),
        (id(2), "seller@souk.example", Role::Seller, "Sami Seller"),
        (id(3), "admin@souk.example", Role::Admin, "Ada Admin"),
        (id(4), "manager@souk.example", Role::Manager, "Max Manager"),
    ]
}

/// A running embedded database. Close the pool, then [`Embedded::stop`] it.
pub struct Embedded {
    /// Gone once it was stopped.
    server: Option<PgliteServer>,
}

impl Drop for Embedded {
    /// Stopping waits for the last connection to close, which a thread that drops this in a panic may itself have open.
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            std::thread::spawn(move || drop(server));
        }
    }
}

impl Embedded {
    /// Starts the database under `data_dir`, making it on the first start. Takes half a second, several at first.
    ///
    /// # Errors
    /// [`DbError::Embedded`], among others when another process has the directory open.
    pub async fn start(data_dir: &Path) -> DbResult<Self> {
        let path: PathBuf = data_dir.join("postgres");
        let started = tokio::task::spawn_blocking(move || PgliteServer::builder().path(path).start()).await;
        match started {
            Ok(Ok(server)) => Ok(Self { server: Some(server) }),
            Ok(Err(e)) => Err(DbError::Embedded(format!("{e:#}"))),
            Err(e) => Err(DbError::Embedded(e.to_string())),
        }
    }

    /// Where to connect to.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.as_ref().map(PgliteServer::database_url).unwrap_or_default()
    }

    /// Stops the database and waits for it.
    ///
    /// # Errors
    /// [`DbError::Embedded`].
    pub async fn stop(mut self) -> DbResult<()> {
        let Some(server) = self.server.take() else { return Ok(()) };
        let stopped = tokio::task::spawn_blocking(move || server.shutdown()).await;
        match stopped {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(DbError::Embedded(format!("{e:#}"))),
            Err(e) => Err(DbError::Embedded(e.to_string())),
        }
    }
}

/// The secret kept in `data_dir`, made on the first call: 32 random bytes, readable by the owner alone.
///
/// # Errors
/// What the file system says.
pub fn generated_secret(data_dir: &Path) -> std::io::Result<Secret> {
    let path = data_dir.join("jwt_secret");
    match std::fs::read_to_string(&path) {
        Ok(secret) if secret.trim().len() >= 32 => return Ok(Secret::from(secret.trim())),
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    std::fs::create_dir_all(data_dir)?;
    let (high, low): (u128, u128) = rand::rng().random();
    let secret = format!("{high:032x}{low:032x}");
    write_private(&path, &secret)?;
    Ok(Secret::from(secret.as_str()))
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_secret_stays_the_same() {
        let dir = std::env::temp_dir().join(format!("souk-secret-{}", uuid::Uuid::new_v4()));
        let first = generated_secret(&dir).unwrap();
        assert!(first.expose().len() >= 32);
        assert!(generated_secret(&dir).unwrap() == first);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
