//! Who is to get an event.

use uuid::Uuid;

use super::connection::Connection;
use crate::domain::{ConversationId, UserId};

/// Who is to get an event: the sockets in a room, as far as their users are `members`, and all sockets of `users`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Audience<'a> {
    /// A conversation's room.
    pub room: Option<ConversationId>,
    /// Of the room, only these: a participant who was removed may still sit in it.
    pub members: &'a [UserId],
    /// Every socket of these, wherever it is.
    pub users: &'a [UserId],
    /// But not this socket.
    pub not_socket: Option<Uuid>,
    /// But no socket of this user.
    pub not_user: Option<UserId>,
}

impl Audience<'_> {
    pub(super) fn spares(&self, c: &Connection) -> bool {
        Some(c.id) != self.not_socket && Some(c.user_id) != self.not_user
    }
}
