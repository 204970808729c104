//! Sockets on their way in. A client knows that it is connected once the CONNECT packet is there, and that packet goes
//! out before the library calls the connect handler: whatever is sent to its user in between must not pass it by.

use std::sync::Arc;

use socketioxide::socket::Sid;

use super::{
    connection::Connection,
    event::Event,
    ghosts::Ghost,
    sockets::Hub,
    state::{Expected, Waiting},
};
use crate::domain::{ConversationId, UserId};

/// A socket that was let in and is not in the hub yet. Dropped, it never comes.
pub struct Arrival {
    pub(super) hub: Arc<Hub>,
    pub(super) user: UserId,
    session: Option<Sid>,
    pub(super) waiting: Waiting,
    /// The socket whose place it takes.
    pub(super) ghost: Option<Ghost>,
    /// The events that came for it before it took that place. They are in that socket's log too.
    pub(super) before: Vec<Event>,
    /// The events that it missed, sent first.
    pub(super) replay: Vec<Event>,
    /// The numbers up to which these are all messages, by conversation; only after a restart of the server.
    pub(super) told: Vec<(ConversationId, i64)>,
}

impl Hub {
    /// Keeps the events for `user` from now on, for a socket that is about to get its CONNECT packet.
    #[must_use]
    pub fn expect(self: &Arc<Self>, user: UserId) -> Arrival {
        let waiting = Waiting::default();
        self.state.write().arriving.entry(user).or_default().push(waiting.clone());
        let (before, replay, told) = (Vec::new(), Vec::new(), Vec::new());
        Arrival { hub: self.clone(), user, session: None, waiting, ghost: None, before, replay, told }
    }

    /// The user of a session; `None` until its handshake showed a valid token.
    pub fn user_of(&self, session: Sid) -> Option<UserId> {
        let state = self.state.read();
        let here = state.sessions.get(&session).map(|connection| connection.user().id);
        here.or_else(|| state.arriving_sessions.get(&session).copied())
    }
}

impl Arrival {
    #[must_use]
    pub fn over(mut self, session: Sid) -> Self {
        self.hub.state.write().arriving_sessions.insert(session, self.user);
        self.session = Some(session);
        self
    }

    /// Puts the socket into its user's room and those that it comes back to, and sends it what it missed and what came
    /// meanwhile, before anything newer. One for which more came than a socket on hold may have is disconnected. Returns the
    /// rooms that it came back to.
    pub fn complete(mut self, connection: &Arc<Connection>) -> Vec<ConversationId> {
        assert_eq!(connection.user_id, self.user, "another user's socket was expected");
        let (hold, rooms) = {
            let mut state = self.hub.state.write();
            state.forget_arrival(self.user, self.session, &self.waiting);
            let Expected { events: mut waiting, rooms } = std::mem::take(&mut *self.waiting.lock());
            if waiting.len() > self.hub.max_held {
                // Some of what came is lost: nobody may come back as this one.
                self.hub.expel(connection);
            }
            self.ghost = None;
            waiting.splice(..0, std::mem::take(&mut self.replay));
            let hold = self.hub.hold_with(connection, waiting);
            self.told.iter().for_each(|(conversation, seq)| hold.tell(*conversation, *seq));
            connection.gate.lock().replayed = std::mem::take(&mut self.told);
            state.add(connection.clone());
            for room in &rooms {
                state.enter(connection, *room);
            }
            (hold, rooms)
        };
        self.hub.recovery.changed.notify_one();
        drop(hold);
        rooms.into_iter().collect()
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let hub = self.hub.clone();
        let mut state = hub.state.write();
        state.forget_arrival(self.user, self.session, &self.waiting);
        self.put_back(&mut state);
        drop(state);
        self.hub.recovery.changed.notify_one();
    }
}
