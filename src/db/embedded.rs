//! The embedded PostgreSQL, for starting with nothing installed. It serves one connection at a time, and whoever reaches it is
//! its superuser: so it listens on no port, but on a socket in a directory that only this user may enter.

use std::path::{Path, PathBuf};

use pglite_oxide::PgliteServer;
use rand::RngExt as _;

use super::{DbError, DbResult};
use crate::{
    config::Secret,
    domain::{Role, UserId},
};

/// As the library has them by itself.
#[cfg(unix)]
const USER: &str = "postgres";
#[cfg(unix)]
const DATABASE: &str = "template1";
/// Where a client that is given a directory looks for the socket.
#[cfg(unix)]
const SOCKET: &str = ".s.PGSQL.5432";
/// The system takes no longer path for a socket (108 bytes on Linux, 104 elsewhere, with a zero at the end).
#[cfg(unix)]
const MAX_SOCKET_PATH: usize = 103;

/// The users that a first start puts into the embedded database, to try the chat with.
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
    url: String,
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
    /// Fails with [`DbError::Embedded`], among others when another process has the directory open.
    pub async fn start(data_dir: &Path) -> DbResult<Self> {
        let path: PathBuf = data_dir.join("postgres");
        #[cfg(unix)]
        let (directory, url) = {
            let directory = private_directory(data_dir).map_err(|e| DbError::Embedded(format!("its socket: {e}")))?;
            let url = socket_url(&directory);
            (directory, url)
        };
        let started = tokio::task::spawn_blocking(move || {
            let builder = PgliteServer::builder().path(path);
            #[cfg(unix)]
            let builder = builder.username(USER).database(DATABASE).unix(directory.join(SOCKET));
            builder.start()
        })
        .await;
        match started {
            Ok(Ok(server)) => {
                #[cfg(not(unix))]
                let url = server.database_url();
                Ok(Self { server: Some(server), url })
            }
            Ok(Err(e)) => Err(DbError::Embedded(format!("{e:#}"))),
            Err(e) => Err(DbError::Embedded(e.to_string())),
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops the database and waits for it.
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

/// Where the socket goes: `socket` in `data_dir`, or a directory of its own among the system's temporary files where that
/// path is too long for a socket. Its owner alone may enter it.
#[cfg(unix)]
fn private_directory(data_dir: &Path) -> std::io::Result<PathBuf> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    std::fs::create_dir_all(data_dir)?;
    // A client takes only a path from the root for a socket's.
    let mut directory = data_dir.canonicalize()?.join("socket");
    if directory.join(SOCKET).as_os_str().len() > MAX_SOCKET_PATH {
        directory = std::env::temp_dir().join(format!("souk-{}", uuid::Uuid::new_v4().simple()));
    }
    match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))?;
        }
        made => made?,
    }
    Ok(directory)
}

/// The URL of a database whose socket is in `directory`.
#[cfg(unix)]
fn socket_url(directory: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let host = percent_encoding::percent_encode(directory.as_os_str().as_bytes(), percent_encoding::NON_ALPHANUMERIC);
    format!("postgres://{USER}@{host}:5432/{DATABASE}?sslmode=disable")
}

/// The secret kept in `data_dir`, made on the first call: 32 random bytes, readable by the owner alone.
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

    #[cfg(unix)]
    #[test]
    fn the_socket_is_where_nobody_else_may_go_however_long_the_path_is() {
        use std::os::unix::fs::PermissionsExt as _;
        let base = std::env::temp_dir().join(format!("souk-socket-{}", uuid::Uuid::new_v4()));
        for data_dir in [base.join("data"), base.join("d".repeat(120))] {
            let directory = private_directory(&data_dir).unwrap();
            assert!(directory.is_absolute() && directory.join(SOCKET).as_os_str().len() <= MAX_SOCKET_PATH);
            assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
            let options: sqlx::postgres::PgConnectOptions = socket_url(&directory).parse().unwrap();
            assert_eq!(options.get_socket(), Some(&directory));
            std::fs::remove_dir_all(directory).unwrap();
        }
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn the_generated_secret_stays_the_same() {
        let dir = std::env::temp_dir().join(format!("souk-secret-{}", uuid::Uuid::new_v4()));
        let first = generated_secret(&dir).unwrap();
        assert!(first.expose().len() >= 32);
        assert!(generated_secret(&dir).unwrap() == first);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
