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

pub struct Core {
    pub db: Db,
    pub hub: Arc<Hub>,
    pub limits: Arc<Limits>,
    pub tasks: Tasks,
    pub membership: Membership,
    pub on_their_way: Arc<OnTheirWay>,
    pub clock: Clock,
    /// This server's name among those on the same database.
    pub server_name: String,
}

impl Core {
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
