//! Every setting, with its environment variable and its default.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, ValueEnum};

use super::{limits::LimitsConfig, secret::Secret};

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for people to read.
    Text,
    /// One JSON object per line.
    Json,
}

/// The kind of pooler between this server and its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pooler {
    /// The server detects it at start.
    Auto,
    /// A pooler that may give each transaction another connection to Postgres.
    Transaction,
}

/// All settings. Every flag has an environment variable of the same name in capitals.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// Port to listen on; 0 lets the system choose
    #[arg(long, env = "PORT", default_value_t = 5000, global = true)]
    pub port: u16,
    /// Address to listen on
    #[arg(long, env = "HOST", default_value = "0.0.0.0", global = true)]
    pub host: IpAddr,
    /// Postgres to use (≥ 14); without it the embedded one in DATA_DIR
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    pub database_url: Option<Secret>,
    /// Allow the embedded database in production
    #[arg(long, env = "EMBEDDED", num_args = 0..=1, default_value = "false", default_missing_value = "true", value_parser = switch, global = true)]
    pub embedded: bool,
    /// Folder of the embedded database and its generated secret
    #[arg(long, env = "DATA_DIR", default_value = "./data", global = true)]
    pub data_dir: PathBuf,
    /// Secret of the HS256 tokens, at least 32 bytes; required with DATABASE_URL, generated without it
    #[arg(long, env = "JWT_SECRET", hide_env_values = true, global = true)]
    pub jwt_secret: Option<Secret>,
    /// Allowed origins of browsers and apps, separated by commas, e.g. `https://shop.example,capacitor://localhost`
    #[arg(long, env = "FRONTEND_URL", value_delimiter = ',', global = true)]
    pub frontend_url: Vec<String>,
    /// `production` refuses the localhost origins that development allows, creates no demo users, and uses the embedded
    /// database only with EMBEDDED=true
    #[arg(long = "environment", env = "NODE_ENV", default_value = "development", global = true)]
    pub environment: String,
    /// Most database connections
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000), global = true)]
    pub database_max_connections: u32,
    /// Most database connections in use for one user; 0 means a quarter of all
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS_PER_USER", default_value_t = 0, global = true)]
    pub database_max_connections_per_user: u32,
    /// `transaction` for a transaction-mode pooler such as PgBouncer; `auto` looks for one at start
    #[arg(long, env = "DATABASE_POOLER", default_value = "auto", global = true)]
    pub database_pooler: Pooler,
    /// Prepared statements kept per connection; 0 means the same as DATABASE_POOLER=transaction
    #[arg(long, env = "DATABASE_STATEMENT_CACHE", default_value_t = 100, global = true)]
    pub database_statement_cache: usize,
    /// Seconds to wait for a database at start
    #[arg(long, env = "DATABASE_START_TIMEOUT", default_value_t = 30, global = true)]
    pub database_start_timeout: u64,
    /// Milliseconds a request waits for a database connection
    #[arg(long, env = "DATABASE_ACQUIRE_TIMEOUT_MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..), global = true)]
    pub database_acquire_timeout_ms: u64,
    /// Milliseconds after which Postgres ends a statement
    #[arg(long, env = "DATABASE_STATEMENT_TIMEOUT_MS", default_value_t = 4500, value_parser = clap::value_parser!(u64).range(100..=4500), global = true)]
    pub database_statement_timeout_ms: u64,
    /// Milliseconds that a statement waits for a lock before it returns its connection to the pool and tries again
    #[arg(long, env = "DATABASE_LOCK_TIMEOUT_MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..=4000), global = true)]
    pub database_lock_timeout_ms: u64,
    /// Milliseconds after which Postgres ends a session that is idle in a transaction
    #[arg(long, env = "DATABASE_IDLE_TRANSACTION_TIMEOUT_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1000..=600_000), global = true)]
    pub database_idle_transaction_timeout_ms: u64,
    /// Bring the schema up to date at start; with `false` a start changes nothing and refuses an old schema (use `souk migrate`)
    #[arg(long, env = "AUTO_MIGRATE", num_args = 0..=1, default_value = "true", default_missing_value = "true", value_parser = switch, action = clap::ArgAction::Set, global = true)]
    pub auto_migrate: bool,
    /// Make the indexes on `users` that a search among many users needs; `false` leaves that to the shop
    #[arg(long, env = "USER_INDEXES", default_value_t = true, action = clap::ArgAction::Set, global = true)]
    pub user_indexes: bool,
    /// Most characters of a message
    #[arg(long, env = "MAX_MESSAGE_CHARS", default_value_t = 5000, value_parser = positive(), global = true)]
    pub max_message_chars: usize,
    /// Most bytes of a conversation's metadata, as JSON
    #[arg(long, env = "MAX_METADATA_BYTES", default_value_t = 4 << 10, value_parser = positive(), global = true)]
    pub max_metadata_bytes: usize,
    /// Most bytes of one REST body, except uploads
    #[arg(long, env = "MAX_BODY_BYTES", default_value_t = 4 << 20, value_parser = positive(), global = true)]
    pub max_body_bytes: usize,
    /// Most bytes of one Socket.IO packet; 16 kB before its socket is connected
    #[arg(long, env = "MAX_PAYLOAD_BYTES", default_value_t = 1 << 20, value_parser = positive(), global = true)]
    pub max_payload_bytes: usize,
    /// Where uploads are kept, e.g. s3://bucket/prefix (credentials from AWS_… variables); default DATA_DIR/uploads
    #[arg(long, env = "UPLOAD_STORE", global = true)]
    pub upload_store: Option<String>,
    /// Most bytes of one uploaded file
    #[arg(long, env = "MAX_UPLOAD_BYTES", default_value_t = 10 << 20, value_parser = positive(), global = true)]
    pub max_upload_bytes: usize,
    /// Most files of one upload
    #[arg(long, env = "MAX_UPLOAD_FILES", default_value_t = 10, value_parser = positive(), global = true)]
    pub max_upload_files: usize,
    /// Hours after which an uploaded file that no message names is removed; 0 for never
    #[arg(long, env = "UPLOAD_UNUSED_HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=876_000), global = true)]
    pub upload_unused_hours: u32,
    /// Bytes that must stay free on the disk that keeps uploads; 0 for no limit
    #[arg(long, env = "MIN_FREE_DISK_BYTES", default_value_t = 1 << 30, global = true)]
    pub min_free_disk_bytes: u64,
    /// Seconds that an upload or a download may take
    #[arg(long, env = "UPLOAD_TIMEOUT", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..), global = true)]
    pub upload_timeout: u64,
    /// Address of this server in links to files; default is the address that the client used
    #[arg(long, env = "PUBLIC_URL", global = true)]
    pub public_url: Option<String>,
    /// Lanes that write messages side by side (the embedded database has one)
    #[arg(long, env = "WRITER_LANES", default_value_t = 2, value_parser = positive(), global = true)]
    pub writer_lanes: usize,
    /// Messages that may wait in one lane; beyond that senders are told that the server is busy
    #[arg(long, env = "WRITER_QUEUE", default_value_t = 10_000, value_parser = positive(), global = true)]
    pub writer_queue: usize,
    /// Most messages in one batch
    #[arg(long, env = "WRITER_BATCH", default_value_t = 384, value_parser = positive(), global = true)]
    pub writer_batch: usize,
    /// Events of one socket that may wait to be handled; beyond that it is told that the server is busy
    #[arg(long, env = "SOCKET_QUEUE", default_value_t = 1024, value_parser = positive(), global = true)]
    pub socket_queue: usize,
    /// Packets that may wait to be sent to one socket; beyond that it is disconnected
    #[arg(long, env = "SOCKET_SEND_BUFFER", default_value_t = 1024, value_parser = positive(), global = true)]
    pub socket_send_buffer: usize,
    /// Bytes that may wait to be sent to one socket; beyond that it is disconnected
    #[arg(long, env = "SOCKET_SEND_BUFFER_BYTES", default_value_t = 4 << 20, value_parser = positive(), global = true)]
    pub socket_send_buffer_bytes: usize,
    /// Bytes that may wait to be sent to all sockets; beyond that the sockets with the most are disconnected
    #[arg(long, env = "SEND_BUFFERS_BYTES", default_value_t = 256 << 20, value_parser = positive(), global = true)]
    pub send_buffers_bytes: usize,
    /// Limits of one user and one address
    #[command(flatten)]
    pub limits: LimitsConfig,
    /// Seconds between Engine.IO pings
    #[arg(long, env = "PING_INTERVAL", default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..), global = true)]
    pub ping_interval: u64,
    /// Seconds that a client has to answer a ping
    #[arg(long, env = "PING_TIMEOUT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..), global = true)]
    pub ping_timeout: u64,
    /// Seconds from the end of a user's last socket until the user is shown offline
    #[arg(long, env = "PRESENCE_GRACE", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=600), global = true)]
    pub presence_grace: u64,
    /// Seconds during which a browser whose line broke may come back and be told what it missed (Socket.IO's connection state
    /// recovery); 0 for never
    #[arg(long, env = "RECOVERY_WINDOW", default_value_t = 120, value_parser = clap::value_parser!(u64).range(..=3600), global = true)]
    pub recovery_window: u64,
    /// Seconds that a REST request or a socket event may take
    #[arg(long, env = "REQUEST_TIMEOUT", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..), global = true)]
    pub request_timeout: u64,
    /// Seconds that a client has to read an answer; a file may take UPLOAD_TIMEOUT
    #[arg(long, env = "ANSWER_TIMEOUT", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..), global = true)]
    pub answer_timeout: u64,
    /// Seconds that the work in flight has after SIGTERM
    #[arg(long, env = "SHUTDOWN_TIMEOUT", default_value_t = 10, global = true)]
    pub shutdown_timeout: u64,
    /// Name of this server among others on the same database; default is host name and port
    #[arg(long, env = "SERVER_NAME", global = true)]
    pub server_name: Option<String>,
    /// Log filter, e.g. `info` or `souk=debug`
    #[arg(long, env = "RUST_LOG", default_value = "info", global = true)]
    pub log: String,
    /// Log format
    #[arg(long, env = "LOG_FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,
}

/// Parses `true` or `false`; an empty value means `false`.
fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" | "" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

fn positive() -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser as _;
    clap::value_parser!(u64).range(1..=u64::from(u32::MAX)).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
}
