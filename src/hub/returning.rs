//! Sockets that may come back, for the database to keep: after a restart of the server that is all that is known of them.

use uuid::Uuid;

use super::{sockets::Hub, state::State};
use crate::domain::{Returning, UserId};

/// Most rooms that a socket comes back to. One with more starts anew, and the database hears nothing of it: each further room
/// would be a longer row.
pub const MAX_ROOMS: usize = 1000;
/// Most sockets of which the database hears at once.
const MAX_WRITTEN: usize = 1000;

impl Hub {
    /// Waits until there is something that the database has to hear of.
    pub async fn returning_changed(&self) {
        self.recovery.changed.notified().await;
    }

    /// How those sockets are now of which the database has to hear, and those as which nobody may come back any more: some of
    /// them, where they are many.
    #[must_use]
    pub fn take_returning(&self) -> (Vec<Returning>, Vec<(Uuid, UserId)>) {
        let mut state = self.state.write();
        let mut taken = 0..MAX_WRITTEN;
        let changed: Vec<_> = state.ghosts.changed.extract_if(|_, _| taken.next().is_some()).collect();
        if !state.ghosts.changed.is_empty() {
            self.recovery.changed.notify_one();
        }
        let (mut here, mut gone) = (Vec::new(), Vec::new());
        for (pid, user) in changed {
            match state.returning(pid, user) {
                Some(socket) => here.push(socket),
                None => gone.push((pid, user)),
            }
        }
        (here, gone)
    }

    /// The database has not heard of these.
    pub fn put_back_returning(&self, sockets: impl IntoIterator<Item = (Uuid, UserId)>) {
        self.state.write().ghosts.changed.extend(sockets);
        self.recovery.changed.notify_one();
    }
}

impl State {
    fn returning(&self, pid: Uuid, user: UserId) -> Option<Returning> {
        let line = self.line_of(user, pid);
        let rooms: Vec<_> = if let Some(line) = line {
            self.sockets.get(&line.id)?.rooms.iter().take(MAX_ROOMS + 1).copied().collect()
        } else {
            let ghost = self.ghosts.of_user.get(&user)?.iter().find(|ghost| ghost.pid == pid)?;
            ghost.rooms.iter().take(MAX_ROOMS + 1).copied().collect()
        };
        (rooms.len() <= MAX_ROOMS).then_some(Returning { pid, user, rooms, is_gone: line.is_none() })
    }
}
