//! The use cases: what the chat does, called by sockets and REST alike. Everything is authorised here, against the
//! database.
//!
//! Each service has what it needs: the [`Core`], which all share, and the services below it.

mod blocks;
mod coalesce;
mod conversations;
mod core;
mod deliveries;
mod health;
mod heartbeat;
mod membership;
mod messages;
mod notifications;
mod on_their_way;
mod presence;
mod reading;
mod recovery;
mod rooms;
pub mod sending;
mod sync;
mod tasks;
mod typing;
mod uploads;
mod users;

use std::{sync::Arc, time::Duration};

use self::{
    blocks::Blocks,
    conversations::Conversations,
    deliveries::Deliveries,
    health::Health,
    heartbeat::Heartbeat,
    messages::Messages,
    notifications::Notifications,
    presence::Presence,
    reading::Reading,
    recovery::{Recovery, Returning},
    rooms::Rooms,
    sending::{Publisher, Sending},
    sync::CatchUp,
    typing::Typing,
    users::Users,
};
pub use self::{
    core::Core,
    health::DatabaseHealth,
    uploads::{Links, StoredFile, Uploads},
};
use crate::{
    config::{Config, Secret},
    db::DbError,
    storage::Storage,
};

pub struct Chat {
    pub core: Arc<Core>,
    pub users: Arc<Users>,
    pub conversations: Conversations,
    pub messages: Arc<Messages>,
    pub sending: Sending,
    pub reading: Arc<Reading>,
    pub rooms: Arc<Rooms>,
    pub typing: Arc<Typing>,
    pub presence: Arc<Presence>,
    pub blocks: Blocks,
    pub uploads: Arc<Uploads>,
    /// Catching up by number.
    pub sync: CatchUp,
    pub recovery: Recovery,
    pub health: Arc<Health>,
    heartbeat: Arc<Heartbeat>,
}

impl Chat {
    /// Registers this server, and starts the services with their background tasks.
    ///
    /// # Errors
    /// [`DbError`] if this server cannot be registered.
    pub async fn start(core: Core, storage: Storage, secret: &Secret, config: &Config) -> Result<Arc<Self>, DbError> {
        let core = Arc::new(core);
        let returning = Arc::new(Returning::new(core.clone()));
        let heartbeat = Arc::new(Heartbeat::new(core.clone(), returning.clone()));
        heartbeat.register().await?;
        let users = Arc::new(Users::start(core.clone()));
        let deliveries = Arc::new(Deliveries::start(&core));
        let notifications = Arc::new(Notifications::start(&core));
        let uploads = Arc::new(Uploads::start(core.clone(), storage, secret, config));
        let typing = Arc::new(Typing::start(core.clone()));
        let presence = Arc::new(Presence::new(core.clone(), Duration::from_secs(config.presence_grace)));
        let messages = Arc::new(Messages::new(core.clone(), uploads.clone(), notifications.clone(), config));
        let reading = Arc::new(Reading::new(core.clone()));
        let rooms = Arc::new(Rooms::new(core.clone(), reading.clone(), typing.clone(), presence.clone()));
        core.tasks.background(heartbeat.clone().run(presence.clone(), users.clone()));
        if core.hub.recovers() {
            core.tasks.background(returning.run());
        }
        core.tasks.background(core.hub.clone().watch_backlog(core.tasks.stop.clone()));
        let publisher = Publisher {
            core: core.clone(),
            messages: messages.clone(),
            uploads: uploads.clone(),
            deliveries,
            notifications,
        };
        let stored_bytes = uploads.stored_bytes.clone();
        Ok(Arc::new(Self {
            sending: Sending::start(core.clone(), typing.clone(), stored_bytes, &publisher, config),
            conversations: Conversations::new(core.clone(), presence.clone(), config.max_metadata_bytes),
            blocks: Blocks::new(core.clone(), presence.clone()),
            sync: CatchUp::new(core.clone(), uploads.clone(), rooms.clone()),
            recovery: Recovery::new(core.clone(), uploads.clone(), rooms.clone()),
            health: Arc::new(Health::new(core.clone())),
            core,
            users,
            messages,
            reading,
            rooms,
            typing,
            presence,
            uploads,
            heartbeat,
        }))
    }

    /// Takes no new work, finishes what is in flight within `limit`, and marks this server's users offline.
    pub async fn shut_down(&self, limit: Duration) {
        self.core.tasks.finish(limit).await;
        self.heartbeat.unregister().await;
    }
}
