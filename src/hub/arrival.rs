//! Sockets on their way in. A client knows that it is connected once the CONNECT packet is there, and that packet goes
//! out before the library calls the connect handler: whatever is sent to its user in between must not pass it by.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Audience, Connection, Event, Hub, Sid, State};
use crate::domain::UserId;

/// Events that came for a user while one of their sockets was on its way in.
pub(super) type Waiting = Arc<Mutex<Vec<Event>>>;

/// A socket that was let in and is not in the hub yet. Dropped, it never comes.
pub struct Arrival {
    hub: Arc<Hub>,
    user: UserId,
    session: Option<Sid>,
    waiting: Waiting,
}

impl Hub {
    /// Keeps what is sent to `user` from now on for a socket that is about to be told that it is connected.
    #[must_use]
    pub fn expect(self: &Arc<Self>, user: UserId) -> Arrival {
        let waiting = Waiting::default();
        self.state.write().arriving.entry(user).or_default().push(waiting.clone());
        Arrival { hub: self.clone(), user, session: None, waiting }
    }

    /// Whose session this is; `None` as long as nobody has shown a token there.
    #[must_use]
    pub fn user_of(&self, session: Sid) -> Option<UserId> {
        let state = self.state.read();
        let here = state.sessions.get(&session).map(|connection| connection.user().id);
        here.or_else(|| state.arriving_sessions.get(&session).copied())
    }
}

impl Arrival {
    /// Says over which session it comes.
    #[must_use]
    pub fn over(mut self, session: Sid) -> Self {
        self.hub.state.write().arriving_sessions.insert(session, self.user);
        self.session = Some(session);
        self
    }

    /// Puts the socket into its user's room, and sends it what came meanwhile, before anything newer. One for which more
    /// came than a socket on hold may have is disconnected.
    ///
    /// # Panics
    /// Not with a connection of the user who was expected.
    pub fn complete(self, connection: &Arc<Connection>) {
        assert_eq!(connection.user_id, self.user, "another user's socket was expected");
        let hold = {
            let mut state = self.hub.state.write();
            state.forget(&self);
            let waiting = std::mem::take(&mut *self.waiting.lock());
            if waiting.len() > self.hub.max_held {
                self.hub.cut(connection);
            }
            let hold = self.hub.hold_with(connection, waiting);
            state.add(connection.clone());
            hold
        };
        drop(hold);
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.hub.state.write().forget(self);
    }
}

impl State {
    fn forget(&mut self, arrival: &Arrival) {
        if let Some(session) = arrival.session {
            self.arriving_sessions.remove(&session);
        }
        if let Some(list) = self.arriving.get_mut(&arrival.user) {
            list.retain(|waiting| !Arc::ptr_eq(waiting, &arrival.waiting));
            if list.is_empty() {
                self.arriving.remove(&arrival.user);
            }
        }
    }

    /// Keeps an event for those on their way in. One more than `max` says that there were too many.
    pub(super) fn keep(&self, audience: &Audience<'_>, event: &Event, max: usize) {
        if self.arriving.is_empty() {
            return;
        }
        let users = audience.users.iter().filter(|user| Some(**user) != audience.not_user);
        for waiting in users.filter_map(|user| self.arriving.get(user)).flatten() {
            let mut waiting = waiting.lock();
            if waiting.len() <= max {
                waiting.push(event.clone());
            }
        }
    }
}
