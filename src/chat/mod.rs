//! The use cases: what the chat does, called by sockets and REST alike. Everything is authorised here, against the
//! database's facts.

mod accounts;
mod actions;
mod after_restart;
mod blocks;
mod coalesce;
mod conversations;
mod core;
mod delivery;
mod details;
mod file_links;
mod files;
mod health;
mod history;
mod last_told;
mod membership;
mod notifications;
mod online;
mod people;
mod read;
mod reading;
mod receiving;
mod recovery;
mod rooms;
pub mod sending;
mod stored_bytes;
mod sync;
mod tasks;
mod typing;
mod uploads;

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, mpsc};
use tokio_util::task::TaskTracker;

use self::coalesce::Coalesced;
pub use self::core::Core;
pub use conversations::{Listed, OpenConversation};
pub use health::DatabaseHealth;
pub use history::MessageList;
pub use reading::ReadTurn;
pub use receiving::Receiving;
pub use sync::{Missed, Synced};
pub use uploads::{StoredFile, Uploads};

use crate::{
    config::Config,
    db::{Db, DbError},
    domain::UserId,
    hub::Hub,
    limits::Limits,
    protocol::ListConversations,
};

/// The chat service.
pub struct Chat {
    core: Arc<Core>,
    db: Db,
    hub: Arc<Hub>,
    max_message_chars: usize,
    /// How often a message may be edited; `None` as often as one likes.
    max_edits: Option<i32>,
    stored_bytes: stored_bytes::StoredBytes,
    last_told: last_told::LastTold,
    max_metadata_bytes: usize,
    lanes: sending::Lanes,
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
    /// What is done behind the sending path.
    behind: Behind,
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
    pub async fn start(core: Core, uploads: Uploads, config: &Config) -> std::result::Result<Arc<Self>, DbError> {
        let (deliveries, delivery_queue) = mpsc::channel(delivery::QUEUE);
        let (notifications, notification_queue) = mpsc::channel(notifications::QUEUE);
        let (typing, typing_queue) = typing::TypingState::new();
        let (accounts, lookups) = accounts::Accounts::new();
        let (lanes, queues) = sending::Lanes::new(config);
        let chat = Arc::new(Self {
            read_turns: reading::ReadTurns::new(core.db.reads_at_once()),
            db: core.db.clone(),
            hub: core.hub.clone(),
            core: Arc::new(core),
            max_message_chars: config.max_message_chars,
            max_edits: i32::try_from(config.limits.max_edits_per_message).ok().filter(|max| *max > 0),
            stored_bytes: stored_bytes::StoredBytes::new(config.limits.max_stored_bytes_per_user),
            last_told: last_told::LastTold::default(),
            max_metadata_bytes: config.max_metadata_bytes,
            lanes,
            typing,
            uploads,
            files_due: Notify::new(),
            accounts,
            lists: Coalesced::new(),
            unread: Coalesced::new(),
            online: online::OnlineState::new(Duration::from_secs(config.presence_grace)),
            health: health::HealthState::default(),
            behind: Behind { deliveries, notifications },
        });
        chat.register_server().await?;
        for lane in queues {
            sending::spawn(&chat, lane, config.writer_batch);
        }
        chat.core.tasks.background(accounts::run(chat.clone(), lookups));
        chat.core.tasks.background(delivery::run(chat.clone(), delivery_queue));
        chat.core.tasks.background(notifications::run(chat.clone(), notification_queue));
        // What an earlier life of this server, or SQL users meanwhile, left to be done.
        chat.redact_notifications();
        chat.core.tasks.background(stored_bytes::run(chat.clone()));
        chat.core.tasks.background(typing::run(chat.clone(), typing_queue));
        chat.core.tasks.background(online::run(chat.clone()));
        if chat.hub.recovers() {
            chat.core.tasks.background(after_restart::run(chat.clone()));
        }
        chat.core.tasks.background(files::run(chat.clone()));
        chat.core.tasks.background(chat.hub.clone().watch_backlog(chat.core.tasks.stop.clone()));
        Ok(chat)
    }

    /// The sockets.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// How much each may ask for.
    #[must_use]
    pub fn limits(&self) -> &Arc<Limits> {
        &self.core.limits
    }

    /// The repository.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// What has to be finished before the process may end: hold a token while at it.
    #[must_use]
    pub fn in_flight(&self) -> &TaskTracker {
        &self.core.tasks.in_flight
    }

    /// Whether the service is shutting down and takes no new work.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.core.tasks.is_stopping()
    }

    /// Takes no new work, finishes what is in flight within `limit`, marks this server's users offline.
    pub async fn shut_down(&self, limit: Duration) {
        self.core.tasks.finish(limit).await;
        self.unregister_server().await;
    }
}
