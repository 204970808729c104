//! Connection state recovery: a client whose line broke comes back, and is told what it missed as if it had been connected.
//!
//! While it was away the hub kept the events for it (`hub/ghosts`), without their texts. When it comes back, membership, blocks and
//! texts are read again.

mod after_restart;
mod replay;
mod returning;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

pub use self::returning::Returning;
use self::{
    after_restart::AfterRestart,
    replay::{Replay, Replayer},
};
use super::{core::Core, rooms::Rooms, uploads::Uploads};
use crate::{
    db::in_time,
    domain::{ConversationId, User},
    hub::{Arrival, Connection},
    pid::Pid,
    protocol::Position,
};

/// Longest wait for the end of the old socket of a client that is back already.
const END_WITHIN: Duration = Duration::from_secs(5);

pub struct Recovery {
    core: Arc<Core>,
    rooms: Arc<Rooms>,
    after_restart: AfterRestart,
    replayer: Replayer,
}

impl Recovery {
    pub(super) fn new(core: Arc<Core>, uploads: Arc<Uploads>, rooms: Arc<Rooms>) -> Self {
        let (after_restart, replayer) = (AfterRestart::new(core.clone()), Replayer::new(core.clone(), uploads));
        Self { core, rooms, after_restart, replayer }
    }

    /// The time by the database's clock, which dates pids.
    pub fn now(&self) -> DateTime<Utc> {
        self.core.db.time()
    }

    /// Lets a client take the place of its earlier socket, which `pid` names; `offset` is the position of the last event that it
    /// got. False if it starts anew: then it has to fetch what it needs.
    pub async fn recover(&self, user: &User, arrival: &mut Arrival, pid: Pid, offset: Option<&str>) -> bool {
        let known = match offset.map(Position::parse) {
            Some(None) => return false,
            known => known.flatten(),
        };
        let missed = match arrival.take_over(pid.id, known.as_ref(), END_WITHIN).await {
            Some(missed) => missed,
            None => match self.after_restart.missed(user, arrival, pid, known.as_ref()).await {
                Some(missed) => missed,
                None => return false,
            },
        };
        let replay = match in_time(self.replayer.replay(user, missed)).await {
            Ok(replay) => replay,
            Err(e) => {
                tracing::warn!(error = %e, "a client is not told what it missed");
                None
            }
        };
        let resumed = replay.is_some_and(|Replay { rooms, events }| arrival.resume(rooms, events));
        if !resumed {
            arrival.start_anew();
        }
        resumed
    }

    /// A socket is in its rooms again; the others there hear of it.
    pub fn came_back(&self, connection: &Arc<Connection>, entered: Vec<ConversationId>) {
        if entered.is_empty() {
            return;
        }
        let (rooms, connection) = (self.rooms.clone(), connection.clone());
        self.core.tasks.in_flight.spawn(async move {
            for conversation in entered {
                rooms.entered_again(&connection, conversation).await;
            }
        });
    }
}
