//! The parts that all services of the chat share.

use std::sync::Arc;

use super::{membership::Membership, on_their_way::OnTheirWay, tasks::Tasks};
use crate::{
    clock::Clock,
    db::Db,
    domain::UserId,
    hub::{Audience, Event, Hub},
    limits::Limits,
};

/// The parts that every service may use.
pub struct Core {
    /// The repository.
    pub db: Db,
    /// The sockets.
    pub hub: Arc<Hub>,
    /// The limits of users and addresses.
    pub limits: Arc<Limits>,
    /// Work in flight and background tasks.
    pub tasks: Tasks,
    /// Members and blocks, remembered for a while.
    pub membership: Membership,
    /// The messages in flight.
    pub on_their_way: Arc<OnTheirWay>,
    /// The time of day.
    pub clock: Clock,
    /// This server's name among those on the same database.
    pub server_name: String,
}

impl Core {
    /// The core of a server that starts.
    #[must_use]
    pub fn new(db: Db, hub: Arc<Hub>, limits: Arc<Limits>, clock: Clock, server_name: String) -> Self {
        let db = db.by_clock(clock.clone());
        let membership = Membership::new(db.clone());
        Self { db, hub, limits, tasks: Tasks::default(), membership, on_their_way: Arc::default(), clock, server_name }
    }

    /// Tells every socket of these users, in a room or not.
    pub fn tell(&self, users: &[UserId], event: &Event) {
        self.hub.emit(&Audience { users, ..Audience::default() }, event);
    }
}
