//! The use cases: what the chat does, called by sockets and REST alike. Everything is authorised here, against the
//! database's facts.

mod accounts;
mod actions;
mod after_restart;
mod blocks;
mod coalesce;
mod conversations;
mod delivery;
mod details;
mod expiry;
mod file_links;
mod files;
mod health;
mod history;
mod last_told;
mod notifications;
mod online;
mod people;
mod read;
mod reading;
mod receiving;
mod recovery;
mod rooms;
mod send;
mod sent;
mod stored_bytes;
mod sync;
mod typing;
mod uploads;
mod writer;

use std::{collections::HashSet, sync::Arc, time::Duration};

use moka::future::Cache;
use tokio::sync::{Notify, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use coalesce::Coalesced;
pub use conversations::{Listed, OpenConversation};
pub use health::DatabaseHealth;
pub use history::MessageList;
pub use reading::ReadTurn;
pub use receiving::Receiving;
pub use send::{Done, Origin};
pub use sent::Sent;
pub use sync::{Missed, Synced};
pub use uploads::{StoredFile, Uploads};

use crate::{
    config::Config,
    db::{Db, DbError},
    domain::{ConversationId, UserId},
    error::{Error, Result},
    hub::Hub,
    limits::{Limits, caller, for_caller},
    protocol::ListConversations,
};

/// How long background tasks have to write what waits when the service stops.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(3);
/// How long who takes part, and who blocked whom, may be remembered for events that store nothing (typing, coming and
/// going).
const MEMBERS_TTL: Duration = Duration::from_secs(30);

/// The chat service.
pub struct Chat {
    db: Db,
    hub: Arc<Hub>,
    limits: Limits,
    server_name: String,
    max_message_chars: usize,
    /// How often a message may be edited; `None` as often as one likes.
    max_edits: Option<i32>,
    stored_bytes: stored_bytes::StoredBytes,
    last_told: last_told::LastTold,
    max_metadata_bytes: usize,
    members: Cache<ConversationId, Arc<[UserId]>>,
    blocks: Cache<UserId, Arc<HashSet<UserId>>>,
    writer: writer::Writer,
    typing: typing::TypingState,
    uploads: Uploads,
    /// Files are to go, without waiting for the next round.
    files_due: Notify,
    accounts: accounts::Accounts,
    /// What an app asks for from all its tabs when something happens.
    lists: Coalesced<(UserId, ListConversations), Arc<Listed>>,
    unread: Coalesced<UserId, i64>,
    read_turns: reading::ReadTurns,
    online: online::OnlineState,
    health: health::HealthState,
    /// Work that must be finished before the process may end.
    in_flight: TaskTracker,
    /// What is done behind the sending path.
    behind: Behind,
    background: TaskTracker,
    /// Ends the background tasks, once each has written what waits.
    stop: CancellationToken,
}

/// The queues behind the sending path.
struct Behind {
    deliveries: mpsc::Sender<delivery::Delivered>,
    notifications: mpsc::Sender<notifications::Task>,
}

impl Chat {
    /// Starts the service and its background tasks: the writer's lanes, delivery marks, presence, typing.
    ///
    /// # Errors
    /// [`DbError`] when this server cannot be registered.
    pub async fn start(
        db: Db,
        hub: Arc<Hub>,
        uploads: Uploads,
        config: &Config,
        server_name: String,
    ) -> std::result::Result<Arc<Self>, DbError> {
        let (deliveries, delivery_queue) = mpsc::channel(delivery::QUEUE);
        let (notifications, notification_queue) = mpsc::channel(notifications::QUEUE);
        let (typing, typing_queue) = typing::TypingState::new();
        let (accounts, lookups) = accounts::Accounts::new();
        let (writer, lanes) = writer::Writer::new(config);
        let chat = Arc::new(Self {
            read_turns: reading::ReadTurns::new(db.reads_at_once()),
            db,
            hub,
            limits: Limits::new(&config.limits),
            server_name,
            max_message_chars: config.max_message_chars,
            max_edits: i32::try_from(config.limits.max_edits_per_message).ok().filter(|max| *max > 0),
            stored_bytes: stored_bytes::StoredBytes::new(config.limits.max_stored_bytes_per_user),
            last_told: last_told::LastTold::default(),
            max_metadata_bytes: config.max_metadata_bytes,
            members: Cache::builder().max_capacity(100_000).time_to_live(MEMBERS_TTL).build(),
            blocks: Cache::builder().max_capacity(100_000).time_to_live(MEMBERS_TTL).build(),
            writer,
            typing,
            uploads,
            files_due: Notify::new(),
            accounts,
            lists: Coalesced::new(),
            unread: Coalesced::new(),
            online: online::OnlineState::new(Duration::from_secs(config.presence_grace)),
            health: health::HealthState::default(),
            behind: Behind { deliveries, notifications },
            background: TaskTracker::new(),
            in_flight: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        chat.register_server().await?;
        for lane in lanes {
            lane.spawn(&chat, config.writer_batch);
        }
        chat.background.spawn(accounts::run(chat.clone(), lookups));
        chat.background.spawn(delivery::run(chat.clone(), delivery_queue));
        chat.background.spawn(notifications::run(chat.clone(), notification_queue));
        // What an earlier life of this server, or SQL users meanwhile, left to be done.
        chat.redact_notifications();
        chat.background.spawn(stored_bytes::run(chat.clone()));
        chat.background.spawn(typing::run(chat.clone(), typing_queue));
        chat.background.spawn(online::run(chat.clone()));
        if chat.hub.recovers() {
            chat.background.spawn(after_restart::run(chat.clone()));
        }
        chat.background.spawn(files::run(chat.clone()));
        chat.background.spawn(chat.hub.clone().watch_backlog(chat.stop.clone()));
        Ok(chat)
    }

    /// The sockets.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// How much each may ask for.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The repository.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// What has to be finished before the process may end: hold a token while at it.
    #[must_use]
    pub fn in_flight(&self) -> &TaskTracker {
        &self.in_flight
    }

    /// Runs work in a task of its own: whoever waits for it may give up, and what it stores is told all the same.
    async fn to_the_end<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        self.in_flight.spawn(for_caller(caller(), work)).await.unwrap_or(Err(Error::Internal))
    }

    /// Whether the service is shutting down and takes no new work.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.in_flight.is_closed()
    }

    /// Takes no new work, finishes what is in flight within `limit`, marks this server's users offline.
    pub async fn shut_down(&self, limit: Duration) {
        self.in_flight.close();
        if tokio::time::timeout(limit, self.in_flight.wait()).await.is_err() {
            tracing::warn!(left = self.in_flight.len(), "work in flight was not finished in time");
        }
        self.stop.cancel();
        self.background.close();
        if tokio::time::timeout(BACKGROUND_LIMIT, self.background.wait()).await.is_err() {
            tracing::warn!("background work was not finished in time");
        }
        self.unregister_server().await;
    }

    /// Waits for work of a background task. False once the service stops and nothing waits any more.
    async fn next_batch<T>(&self, queue: &mut mpsc::Receiver<T>, batch: &mut Vec<T>, max: usize) -> bool {
        tokio::select! {
            biased;
            n = queue.recv_many(batch, max) => n > 0,
            () = self.stop.cancelled() => {
                queue.close();
                queue.recv_many(batch, max).await > 0
            }
        }
    }

    /// Who takes part, remembered for up to 30 s. Empty for a conversation that does not exist.
    async fn members(&self, conversation: ConversationId) -> Result<Arc<[UserId]>> {
        if let Some(members) = self.members.get(&conversation).await {
            return Ok(members);
        }
        let members: Arc<[UserId]> = self.db.members(conversation).await?.into();
        if !members.is_empty() {
            self.members.insert(conversation, members.clone()).await;
        }
        Ok(members)
    }

    /// Remembers who takes part, as a statement just said.
    async fn remember_members(&self, conversation: ConversationId, members: &Arc<[UserId]>) {
        if self.members.get(&conversation).await.is_some_and(|known| known == *members) {
            return;
        }
        self.members.insert(conversation, members.clone()).await;
    }
}
