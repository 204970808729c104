//! The receivers of an event.

use uuid::Uuid;

use super::connection::Connection;
use crate::domain::{ConversationId, UserId};

/// The receivers of an event: the sockets in a room whose users are `members`, and all sockets of `users`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Audience<'a> {
    pub room: Option<ConversationId>,
    /// The members: a socket in the room whose user is not one of them gets nothing. A removed member may still be in the room.
    pub members: &'a [UserId],
    /// All sockets of these users get the event, also those that are not in the room.
    pub users: &'a [UserId],
    pub not_socket: Option<Uuid>,
    pub not_user: Option<UserId>,
}

impl Audience<'_> {
    pub(super) fn spares(&self, c: &Connection) -> bool {
        Some(c.id) != self.not_socket && Some(c.user_id) != self.not_user
    }
}
