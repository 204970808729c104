//! The rows of sockets whose clients may come back after a restart of this server: each has its rooms, and nothing that it
//! was told.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use crate::{
    chat::core::Core,
    db::{DbResult, in_time},
};

/// Changes within this time are written as one statement.
const GATHER: Duration = Duration::from_millis(50);
const RETRY_PAUSE: Duration = Duration::from_secs(1);

pub struct Returning {
    core: Arc<Core>,
}

impl Returning {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Leaves the rows to the next life of this server. Called before it registers, and when it ends.
    pub async fn keep(&self) -> DbResult<()> {
        let Core { db, server_name, .. } = &*self.core;
        db.inherit_returning(server_name).await?;
        db.forget_returning(server_name, self.window()).await
    }

    pub async fn forget_old(&self) -> DbResult<()> {
        if !self.core.hub.recovers() {
            return Ok(());
        }
        self.core.db.forget_returning(&self.core.server_name, self.window()).await
    }

    fn window(&self) -> f64 {
        self.core.hub.recovery_window().as_secs_f64()
    }

    /// Writes sockets as they come and go, until the server stops.
    pub async fn run(self: Arc<Self>) {
        let stop = &self.core.tasks.stop;
        while stop.run_until_cancelled(self.core.hub.returning_changed()).await.is_some() {
            stop.run_until_cancelled(tokio::time::sleep(GATHER)).await;
            if let Err(e) = self.write().await {
                tracing::warn!(error = %e, "the sockets that may come back after a restart are not written");
                stop.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE)).await;
            }
        }
        if let Err(e) = self.write().await {
            tracing::warn!(error = %e, "clients may start anew after the restart");
        }
    }

    async fn write(&self) -> DbResult<()> {
        let Core { db, hub, server_name, .. } = &*self.core;
        let (sockets, gone) = hub.take_returning();
        if sockets.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let pids: Vec<Uuid> = gone.iter().map(|(pid, _)| *pid).collect();
        let written = in_time(db.write_returning(server_name, &sockets, &pids)).await;
        if written.is_err() {
            hub.put_back_returning(sockets.iter().map(|s| (s.pid, s.user)).chain(gone));
        }
        written
    }
}
