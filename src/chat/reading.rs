//! Reading: the watermark moves to the newest message, and the other members hear of it once.

use std::sync::Arc;

use super::{coalesce::Coalesced, core::Core};
use crate::{
    db::ReadMark,
    domain::{ConversationId, User, UserId},
    error::{Error, Result},
    hub::{Audience, Connection, Event},
    protocol::{Happening, MessagesRead, What, events::outgoing},
};

pub struct Reading {
    core: Arc<Core>,
    unread: Coalesced<UserId, i64>,
}

impl Reading {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, unread: Coalesced::new() }
    }

    /// Marks everything in a conversation as read by `user`. Each other member's sockets, and the caller's other
    /// sockets, are told if anything changed. A calling socket enters the room. Returns how many became read.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::NotAuthorized`], [`Error::Internal`].
    pub async fn mark_read(
        self: &Arc<Self>,
        user: &Arc<User>,
        conversation: ConversationId,
        from: Option<&Arc<Connection>>,
    ) -> Result<i64> {
        let (reading, user, from) = (self.clone(), user.clone(), from.cloned());
        self.core.tasks.to_the_end(async move { reading.mark_and_tell(&user, conversation, from.as_ref()).await }).await
    }

    async fn mark_and_tell(
        &self,
        user: &User,
        conversation: ConversationId,
        from: Option<&Arc<Connection>>,
    ) -> Result<i64> {
        let mark = self.core.db.mark_read(conversation, user.id).await?.ok_or(Error::ConversationNotFound)?;
        if !mark.is_member {
            return Err(Error::NotAuthorized);
        }
        self.core.membership.remember(conversation, &mark.members).await;
        if let Some(connection) = from {
            self.core.hub.join(connection, conversation);
        }
        if mark.marked > 0 {
            self.tell_read(user, conversation, &mark, from).await;
        }
        Ok(mark.marked)
    }

    async fn tell_read(
        &self,
        user: &User,
        conversation_id: ConversationId,
        mark: &ReadMark,
        from: Option<&Arc<Connection>>,
    ) {
        let payload = MessagesRead {
            user_id: user.id,
            conversation_id,
            read_at: mark.read_at,
            last_read_seq: mark.last_read_seq,
        };
        let users = &*self.core.membership.without_blocked(user.id, &mark.members).await;
        let audience = Audience { users, not_socket: from.map(|c| c.id), ..Audience::default() };
        let what = What::Read { by: user.id, last_read_seq: mark.last_read_seq };
        let happening = Happening { conversation: conversation_id, at: mark.read_at, what };
        self.core.hub.emit(&audience, &Event::new(outgoing::MESSAGES_READ, &payload).recoverable(happening));
    }

    /// Messages by others that `user` has not read, over all conversations.
    pub async fn unread_count(&self, user: &User) -> Result<i64> {
        self.unread.get(user.id, async { Ok(self.core.db.unread_count(user.id).await?) }).await
    }
}
