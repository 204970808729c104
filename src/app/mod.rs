//! Wires everything together: makes a server that can be started and stopped from the configuration.

mod admission;
mod answers;
mod client_script;
mod guarded;
mod http;
mod linger;
mod origins;
mod paths;
mod server;
mod socket_bodies;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use socketioxide::SocketIo;
use tokio::net::TcpListener;

use self::{admission::Admission, server::Gate};
#[cfg(feature = "embedded")]
use crate::db::embedded::{self, Embedded};
use crate::{
    auth::Tokens,
    chat::{Chat, Core},
    clock::Clock,
    config::{Config, Secret},
    db::{Db, DbError, SchemaState},
    hub::Hub,
    limits::{Limits, Proxies},
    pid::Pids,
    rest::{self, RestState},
    socket::{self, SocketState},
    storage::{Storage, StorageError},
};

/// The time that sockets and connections have to close after the work in flight is finished.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No database, or one that cannot be migrated.
    #[error("database: {0}")]
    Database(#[from] DbError),
    /// `AUTO_MIGRATE` is false, and the schema is not the one that this server was built for.
    #[error("database: {0}")]
    Schema(String),
    /// The store of uploads cannot be opened.
    #[error("uploads: {0}")]
    Uploads(#[from] StorageError),
    #[error("data directory {0}: {1}")]
    DataDir(String, std::io::Error),
}

/// A database that is up to date, and the secret that goes with it.
pub struct Store {
    pub db: Db,
    pub secret: Secret,
    #[cfg(feature = "embedded")]
    embedded: Option<Embedded>,
}

impl Store {
    /// Opens `DATABASE_URL`, or the embedded database in `DATA_DIR`, and migrates it. With `AUTO_MIGRATE=false` it changes
    /// nothing, and refuses a schema that is not this server's.
    pub async fn open(config: &Config) -> Result<Self, StartError> {
        let store = Self::connect(config).await?;
        if config.auto_migrate {
            let applied = store.db.migrate().await?;
            if applied > 0 {
                tracing::info!(applied, "database migrated");
            }
        } else if let Some(fault) = schema_fault(store.db.schema_state().await?) {
            store.close().await;
            return Err(StartError::Schema(fault));
        }
        if config.makes_user_indexes() {
            store.db.make_user_indexes(false).await?;
        }
        #[cfg(feature = "embedded")]
        if store.embedded.is_some() {
            // Demo users of an earlier start, whose tokens were printed, may not connect in production.
            store.db.seed_users(&embedded::demo_users(), !config.is_production()).await?;
        }
        Ok(store)
    }

    /// Like [`Store::open`], but does not change the schema.
    pub async fn connect(config: &Config) -> Result<Self, StartError> {
        if let (Some(url), Some(secret)) = (&config.database_url, &config.jwt_secret) {
            let db = Db::connect(url.expose(), config, config.database_max_connections).await?;
            return Ok(Self {
                db,
                secret: secret.clone(),
                #[cfg(feature = "embedded")]
                embedded: None,
            });
        }
        #[cfg(feature = "embedded")]
        return Self::embedded(config).await;
        #[cfg(not(feature = "embedded"))]
        Err(DbError::Embedded("not part of this build; set DATABASE_URL and JWT_SECRET".into()).into())
    }

    #[cfg(feature = "embedded")]
    async fn embedded(config: &Config) -> Result<Self, StartError> {
        let dir = &config.data_dir;
        let fault = |e| StartError::DataDir(dir.display().to_string(), e);
        std::fs::create_dir_all(dir).map_err(fault)?;
        let secret = match &config.jwt_secret {
            Some(secret) => secret.clone(),
            None => embedded::generated_secret(dir).map_err(fault)?,
        };
        tracing::info!(data_dir = %dir.display(), "starting the embedded database");
        let embedded = Embedded::start(dir).await?;
        // The embedded database serves one connection at a time.
        let db = Db::connect(embedded.url(), config, 1).await?;
        Ok(Self { db, secret, embedded: Some(embedded) })
    }

    /// Closes the database, and stops the embedded one.
    pub async fn close(self) {
        self.db.close().await;
        #[cfg(feature = "embedded")]
        if let Some(embedded) = self.embedded
            && let Err(e) = embedded.stop().await
        {
            tracing::warn!(error = %e, "embedded database");
        }
    }
}

/// The error line for a start on a schema of another version; `None` if the schema is right.
fn schema_fault(state: SchemaState) -> Option<String> {
    match state {
        SchemaState::Current => None,
        SchemaState::Old(missing) => {
            let missing: Vec<String> = missing.iter().map(|version| format!("{version:04}")).collect();
            Some(format!(
                "the schema is older than this server, and AUTO_MIGRATE is false: run `souk migrate` first (missing: {})",
                missing.join(", ")
            ))
        }
        SchemaState::Other(version) => Some(DbError::OtherSchema(version).to_string()),
    }
}

pub struct App {
    store: Store,
    chat: Arc<Chat>,
    hub: Arc<Hub>,
    io: SocketIo,
    router: Router,
    gate: Gate,
    shutdown_timeout: Duration,
}

impl App {
    /// Starts the chat on `store`. `server_name` identifies this server among others on the same database.
    pub async fn build(config: &Config, store: Store, server_name: String) -> Result<Self, StartError> {
        let hub = Arc::new(Hub::new(config));
        if config.makes_user_indexes() {
            let db = store.db.clone();
            tokio::spawn(async move {
                db.make_user_indexes(true).await.inspect_err(|e| tracing::warn!(error = %e, "indexes on users"))
            });
        }
        let storage = Storage::open(config)?;
        let limits = Arc::new(Limits::new(&config.limits));
        let clock = Clock::system();
        let core = Core::new(store.db.clone(), hub.clone(), limits.clone(), clock.clone(), server_name);
        let chat = Chat::start(core, storage, &store.secret, config).await?;
        let tokens = Arc::new(Tokens::new(&store.secret, clock));
        let pids = Arc::new(Pids::new(&store.secret));
        let event_timeout = Duration::from_secs(config.request_timeout);
        let queue = config.socket_queue;
        let state = SocketState {
            chat: chat.clone(),
            hub: hub.clone(),
            limits: limits.clone(),
            tokens: tokens.clone(),
            pids,
            queue,
            event_timeout,
        };
        let (layer, io) = socket::layer(config, state);
        let environment = config.environment.as_str().into();
        let public_url = config.public_url.as_deref().map(Into::into);
        let (started, max_body) = (Instant::now(), config.max_body_bytes);
        let rest_state = RestState {
            chat: chat.clone(),
            limits: limits.clone(),
            tokens,
            started,
            environment,
            public_url,
            max_body,
        };
        let read_within = Duration::from_secs(config.answer_timeout);
        let rest = rest::router(rest_state.clone());
        let rest = http::rest_layers(rest, &chat, max_body, config.request_timeout, read_within);
        let max_form = config.max_upload_bytes.saturating_mul(config.max_upload_files).saturating_add(1 << 20);
        let file_within = Duration::from_secs(config.upload_timeout);
        let files = rest::files_router(rest_state);
        let files = http::rest_layers(files, &chat, max_form, config.upload_timeout, file_within);
        let proxies = Arc::new(Proxies::new(config.limits.trusted_proxies.clone()));
        let admission = Admission { limits, proxies: proxies.clone() };
        let router = http::wrap(rest.merge(files).layer(layer), config, &hub, admission);
        let gate = Gate::new(&config.limits, proxies, read_within);
        let shutdown_timeout = Duration::from_secs(config.shutdown_timeout);
        Ok(Self { store, chat, hub, io, router, gate, shutdown_timeout })
    }

    pub fn chat(&self) -> &Arc<Chat> {
        &self.chat
    }

    /// Serves until `shutdown` resolves; then stops accepting, finishes the work in flight, marks users offline,
    /// closes sockets (clients see `transport close` and reconnect), and closes the database.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let connections = server::accept(listener, self.gate, self.router, shutdown).await;
        tracing::info!(sockets = self.hub.len(), "shutting down");
        self.chat.shut_down(self.shutdown_timeout).await;
        if tokio::time::timeout(CLOSE_TIMEOUT, self.io.close()).await.is_err() {
            tracing::warn!("some sockets did not close in time");
        }
        if tokio::time::timeout(CLOSE_TIMEOUT, connections.shut_down()).await.is_err() {
            tracing::warn!("some connections did not close in time");
        }
        self.store.close().await;
        tracing::info!("stopped");
    }
}
