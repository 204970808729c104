//! Entering and leaving a conversation's room.

use std::sync::Arc;

use super::{core::Core, presence::Presence, reading::Reading, typing::Typing};
use crate::{
    domain::{ConversationId, UserId},
    error::Result,
    hub::{Audience, Connection, Event},
    protocol::{RoomMember, events::outgoing},
};

pub struct Rooms {
    core: Arc<Core>,
    reading: Arc<Reading>,
    typing: Arc<Typing>,
    presence: Arc<Presence>,
}

impl Rooms {
    pub(super) fn new(core: Arc<Core>, reading: Arc<Reading>, typing: Arc<Typing>, presence: Arc<Presence>) -> Self {
        Self { core, reading, typing, presence }
    }

    /// Enters the room; what was unread there becomes read; the others in the room hear of it.
    pub async fn join(&self, connection: &Arc<Connection>, conversation: ConversationId) -> Result<()> {
        self.reading.mark_read(&connection.user(), conversation, Some(connection)).await?;
        let members = self.core.membership.members(conversation).await?;
        self.tell_room(outgoing::USER_JOINED, connection, conversation, &members).await;
        Ok(())
    }

    /// Leaves the room; the others there hear of it, and that the caller types no more.
    /// False, and nobody is told, if the socket was not inside.
    pub async fn leave(&self, connection: &Connection, conversation: ConversationId) -> bool {
        if !self.core.hub.leave(connection, conversation) {
            return false;
        }
        self.left(connection, conversation).await;
        true
    }

    /// A socket is gone: out of its rooms, it types no more, and its user has one connection less. One whose line `is_lost` may
    /// come back.
    pub async fn gone(&self, connection: &Connection, is_lost: bool) {
        let rooms = self.core.hub.remove(connection, is_lost);
        self.presence.disconnected(connection);
        self.typing.stop_of(connection);
        for room in rooms {
            self.left(connection, room).await;
        }
    }

    /// A socket that was away is in the room again; the others there hear of it.
    pub(super) async fn entered_again(&self, connection: &Connection, conversation: ConversationId) {
        if let Ok(members) = self.core.membership.members(conversation).await {
            self.tell_room(outgoing::USER_JOINED, connection, conversation, &members).await;
        }
    }

    async fn left(&self, connection: &Connection, conversation: ConversationId) {
        self.typing.stop_on(connection, conversation);
        // Without the database nobody is told; those in the room see the presence change when it is back.
        if let Ok(members) = self.core.membership.members(conversation).await {
            self.tell_room(outgoing::USER_LEFT, connection, conversation, &members).await;
        }
    }

    async fn tell_room(
        &self,
        event: &'static str,
        connection: &Connection,
        conversation: ConversationId,
        members: &[UserId],
    ) {
        let user = &*connection.user();
        let payload = RoomMember { user_id: user.id, display_name: user.name(), conversation_id: conversation };
        let members = &*self.core.membership.without_blocked(user.id, members).await;
        let audience =
            Audience { room: Some(conversation), members, not_socket: Some(connection.id), ..Audience::default() };
        self.core.hub.emit(&audience, &Event::new(event, &payload));
    }
}
