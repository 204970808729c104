//! A fresh database and a running chat for each test.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use souk::storage::Storage;
use souk::{
    app::Store,
    chat::{
        Chat, Core,
        sending::{ReplyTo, SendRequest},
    },
    clock::Clock,
    config::Config,
    db::Pool,
    domain::{ConversationId, Draft, Message, Role, User, UserId},
    error::Error,
    hub::Hub,
    limits::Limits,
    protocol::{CreateConversation, ListConversations, ListMessages, Payload},
};
use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{oneshot, watch},
};
use uuid::Uuid;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

/// The chat on a database of its own.
pub struct World {
    pub chat: Arc<Chat>,
    pub config: Config,
    store: Option<Store>,
    dir: Option<std::path::PathBuf>,
}

/// An empty native database, or a directory for an embedded one, as configuration.
pub async fn fresh_config() -> Config {
    let secret = "0123456789abcdef0123456789abcdef";
    let mut args = vec!["souk".to_owned(), "--jwt-secret".into(), secret.into()];
    if let Ok(server) = std::env::var("TEST_DATABASE_URL") {
        let name = format!("souk_test_{}", Uuid::new_v4().simple());
        let pool = PgPool::connect(&server).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&pool).await.unwrap();
        pool.close().await;
        let base = server.rsplit_once('/').unwrap().0;
        args.extend(["--database-url".into(), format!("{base}/{name}")]);
    } else {
        let dir = std::env::temp_dir().join(format!("souk-test-{}", Uuid::new_v4()));
        args.extend(["--data-dir".into(), dir.display().to_string()]);
    }
    Cli::parse_from(args).config
}

/// Whether the tests run on a native Postgres, which takes several connections.
pub fn is_native() -> bool {
    std::env::var("TEST_DATABASE_URL").is_ok()
}

/// How many statements wait for a lock.
pub const WAITING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";

/// Waits until the count says what is wanted.
pub async fn until(world: &World, sql: &'static str, wanted: i64, limit: Duration) {
    let started = Instant::now();
    loop {
        let found: i64 = sqlx::query_scalar(sql).fetch_one(&world.pool()).await.unwrap();
        if found == wanted {
            return;
        }
        assert!(started.elapsed() < limit, "{sql}: {found} instead of {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A way to the database on which what is asked and what is answered can be held back.
pub struct Line {
    pub port: u16,
    pub requests_held: watch::Sender<bool>,
    pub answers_held: watch::Sender<bool>,
}

impl Line {
    pub async fn to(host: &str, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = Self {
            port: listener.local_addr().unwrap().port(),
            requests_held: watch::channel(false).0,
            answers_held: watch::channel(false).0,
        };
        let (requests, answers) = (line.requests_held.subscribe(), line.answers_held.subscribe());
        let host = host.to_owned();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((host.as_str(), port)).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(pass_on(from_client, to_server, requests.clone()));
                tokio::spawn(pass_on(from_server, to_client, answers.clone()));
            }
        });
        line
    }

    /// The same configuration with the database at the other end of a line.
    pub async fn before(config: Config) -> (Config, Self) {
        let url = config.database_url.as_ref().unwrap().expose().to_owned();
        let direct: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
        let line = Self::to(direct.get_host(), direct.get_port()).await;
        let through = url.replace(&format!(":{}/", direct.get_port()), &format!(":{}/", line.port));
        (Config { database_url: Some(through.as_str().into()), ..config }, line)
    }
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut held: watch::Receiver<bool>) {
    let mut bytes = [0; 8192];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if held.wait_for(|held| !held).await.is_err() || to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

impl World {
    /// A chat on a fresh database.
    pub async fn new() -> Self {
        Self::on(fresh_config().await).await
    }

    /// A chat on a fresh database that goes by this clock.
    pub async fn by(clock: &Clock) -> Self {
        Self::on_by(fresh_config().await, clock).await
    }

    /// A chat on the database that `config` names.
    pub async fn on(config: Config) -> Self {
        Self::on_by(config, &Clock::system()).await
    }

    /// As [`World::on`], by this clock.
    pub async fn on_by(config: Config, clock: &Clock) -> Self {
        let store = Store::open(&config).await.unwrap();
        let storage = Storage::open(&config).unwrap();
        let hub = Arc::new(Hub::new(&config));
        let limits = Arc::new(Limits::new(&config.limits));
        let core = Core::new(store.db.clone(), hub, limits, clock.clone(), "test".into());
        let chat = Chat::start(core, storage, &store.secret, &config).await.unwrap();
        let dir = config.database_url.is_none().then(|| config.data_dir.clone());
        Self { chat, config, store: Some(store), dir }
    }

    pub fn pool(&self) -> Pool {
        self.chat.core.db.pool()
    }

    pub async fn user(&self, role: Role) -> Arc<User> {
        let id = UserId(Uuid::new_v4());
        sqlx::query("INSERT INTO users (id, email, password_hash, role, display_name) VALUES ($1, $2, '!', $3, $4)")
            .bind(id.0)
            .bind(format!("{id}@test.example"))
            .bind(role.as_str())
            .bind(format!("{role:?}"))
            .execute(&self.pool())
            .await
            .unwrap();
        Arc::new(self.chat.core.db.user(id).await.unwrap().unwrap())
    }

    pub async fn open(&self, from: &User, with: &User) -> Result<ConversationId, Error> {
        self.open_with(from, serde_json::json!({ "participantId": with.id })).await
    }

    pub async fn open_with(&self, from: &User, body: serde_json::Value) -> Result<ConversationId, Error> {
        let asked = CreateConversation::try_from(&Payload::from(body))?;
        let opened = self.chat.conversations.open(from, asked).await?;
        let view = serde_json::to_value(opened.view().pop()).unwrap();
        Ok(ConversationId::parse(view["id"].as_str().unwrap()).unwrap())
    }

    pub async fn send(&self, from: &Arc<User>, to: ConversationId, text: &str) -> Result<Message, Error> {
        self.send_draft(from, to, Draft { text: text.into(), ..Draft::default() }).await
    }

    pub async fn send_draft(&self, from: &Arc<User>, to: ConversationId, draft: Draft) -> Result<Message, Error> {
        self.begin_send(from, to, draft).await.unwrap()
    }

    /// Queues a message; the receiver has the outcome once there is one.
    pub fn begin_send(
        &self,
        from: &Arc<User>,
        to: ConversationId,
        draft: Draft,
    ) -> oneshot::Receiver<Result<Message, Error>> {
        let (tell, told) = oneshot::channel();
        let (reply, outcome) = ReplyTo::task();
        let (sender, destination) = (from.clone(), Ok(self.chat.sending.destination(to)));
        let (temp_id_again, permit) = (false, None);
        self.chat.sending.send(SendRequest { sender, destination, draft: Ok(draft), temp_id_again, permit, reply });
        tokio::spawn(async move {
            if let Ok(outcome) = outcome.await {
                tell.send(outcome.map(|sent| sent.message().clone())).ok();
            }
        });
        told
    }

    pub async fn messages(&self, user: &User, of: ConversationId) -> Result<Vec<Message>, Error> {
        self.page(user, of, serde_json::json!({ "limit": 200 })).await
    }

    pub async fn page(&self, user: &User, of: ConversationId, q: serde_json::Value) -> Result<Vec<Message>, Error> {
        let list = ListMessages::from(&Payload::from(q));
        Ok(self.chat.messages.page(user, of, &list).await?.messages)
    }

    /// The caller's conversations as the wire carries them.
    pub async fn conversations(&self, user: &User, query: serde_json::Value) -> Vec<serde_json::Value> {
        let list = ListConversations::try_from(&Payload::from(query)).unwrap();
        let listed = self.chat.conversations.list(user, list).await.unwrap();
        listed.view().iter().map(|v| serde_json::to_value(v).unwrap()).collect()
    }

    /// Stops the chat and the database, and removes what was made for the test.
    pub async fn close(mut self) {
        self.chat.shut_down(std::time::Duration::from_secs(5)).await;
        if let Some(store) = self.store.take() {
            store.close().await;
        }
        if let Some(dir) = self.dir.take() {
            std::fs::remove_dir_all(dir).ok();
        }
    }

    /// Stops the chat and the database; returns how to open the same database again.
    pub async fn stop(mut self) -> Config {
        self.chat.shut_down(std::time::Duration::from_secs(5)).await;
        self.store.take().unwrap().close().await;
        self.config
    }

    /// As [`World::stop`], but as if killed: presence is not cleared.
    pub async fn stop_without_goodbye(mut self) -> Config {
        self.store.take().unwrap().close().await;
        self.config
    }
}
