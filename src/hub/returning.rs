//! The sockets that may come back, as rows for the database. After a restart the server knows nothing else of them.

use uuid::Uuid;

use super::{sockets::Hub, state::State};
use crate::domain::{Returning, UserId};

/// Most rooms of a socket that may come back after a restart. A socket in more rooms has no row, so that rows stay short, and its
/// client starts anew.
pub const MAX_ROOMS: usize = 1000;
/// Most sockets in one statement.
const MAX_WRITTEN: usize = 1000;

impl Hub {
    /// Waits until a row is to be written or deleted.
    pub async fn returning_changed(&self) {
        self.recovery.changed.notified().await;
    }

    /// Takes the sockets that changed since the last call, at most 1,000: those whose rows are to be written, and those whose rows
    /// are to be deleted, because nobody may come back as them any more.
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
