//! A connection while it is out of the pool, and how it goes back: at once, after it was cleaned, or not at all.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use deadpool::managed::Object;
use sqlx::Error;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    backend::{Backend, Health},
    manager::Manager,
    retry::{READ_ONLY, code_of, is_loss},
    session::Session,
    time_limit::ANSWER_WITHIN,
};
use crate::limits::Turn;

/// A place of the user's share, and a permit where few connections may be out.
pub(super) type Turns = (Option<Turn>, Option<Box<OwnedSemaphorePermit>>);

pub struct Lease {
    health: Arc<Health>,
    /// There until it is dropped.
    session: Option<Session<'static>>,
    is_lost: bool,
    /// The places that it takes.
    turns: Turns,
}

impl Lease {
    pub(super) fn new(session: Session<'static>, health: Arc<Health>, turns: Turns) -> Self {
        Self { health, session: Some(session), is_lost: false, turns }
    }

    /// Gives the connection back: nothing is on its way, and no transaction is open.
    pub fn done(mut self) {
        self.health.answered();
        drop(self.session.take());
    }

    /// Gives it back if `outcome` is the complete answer to its statement.
    pub fn done_if_ok<T>(mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        match &outcome {
            Ok(_) => self.done(),
            Err(Error::Io(e)) if e.kind() == std::io::ErrorKind::TimedOut => {
                self.is_lost = true;
                if let Some(backend) = self.backend() {
                    self.health.fell_silent(backend);
                }
            }
            Err(e) if is_loss(e) => {
                self.is_lost = true;
                self.health.lost_one();
            }
            Err(e) => {
                if code_of(e).is_some() {
                    self.health.answered();
                }
                match code_of(e).as_deref() {
                    Some(READ_ONLY) => self.health.is_read_only(),
                    _ => self.health.notice_pooler(e),
                }
            }
        }
        outcome
    }

    fn backend(&self) -> Option<&Backend> {
        self.session.as_ref().and_then(Session::backend)
    }
}

impl Deref for Lease {
    type Target = Session<'static>;

    fn deref(&self) -> &Self::Target {
        self.session.as_ref().expect("taken only when dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.session.as_mut().expect("taken only when dropped")
    }
}

impl Drop for Lease {
    /// Its statement was refused or given up, or its transaction rolls back: whoever has the connection next must not wait
    /// for that, nor be told of it. Until then its place in the pool stays taken, so that there are never more backends than
    /// the pool may have; the server ends the statement by its `statement_timeout`.
    fn drop(&mut self) {
        let Some(connection) = self.session.take().map(Session::into_connection) else { return };
        if self.is_lost {
            return drop(Object::take(connection));
        }
        let (health, turns) = (self.health.clone(), std::mem::take(&mut self.turns));
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return drop(Object::take(connection)) };
        runtime.spawn(async move {
            clean(connection, health).await;
            drop(turns);
        });
    }
}

/// Ends what is left of a transaction, and looks whether the session can be written in: it may have been opened before a
/// failover was over.
async fn clean(mut backend: Object<Manager>, health: Arc<Health>) {
    // sqlx rolls back what was begun, but a BEGIN that got no answer is not begun to it. Where no transaction is open this
    // opens one, as a ROLLBACK alone would put a warning into the database's log.
    let rows = sqlx::raw_sql("BEGIN; ROLLBACK; SHOW transaction_read_only").fetch_all(backend.connection.get_mut());
    match tokio::time::timeout(ANSWER_WITHIN, rows).await {
        Ok(Ok(rows)) => {
            let is_read_only = rows.first().and_then(|row| sqlx::Row::try_get::<String, _>(row, 0).ok());
            if is_read_only.as_deref() == Some("on") {
                health.is_read_only();
            }
            return;
        }
        Ok(Err(_)) => health.lost_one(),
        Err(_) => health.fell_silent(&backend),
    }
    drop(Object::take(backend));
}
