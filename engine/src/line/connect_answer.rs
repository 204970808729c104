//! What the application adds to the answer to a Socket.IO CONNECT packet.

use super::Line;

impl Line {
    /// Keeps what is to be added to the answer to the next Socket.IO CONNECT packet.
    pub fn set_connect_members(&self, members: Box<str>) {
        self.state.lock().connect_members = Some(members);
    }

    /// Takes it.
    pub fn take_connect_members(&self) -> Option<Box<str>> {
        self.state.lock().connect_members.take()
    }
}
