//! Opening and listing conversations.

use std::{collections::HashMap, sync::Arc};

use super::{coalesce::Coalesced, core::Core, presence::Presence};
use crate::{
    db::Participant,
    domain::{Conversation, ConversationId, ConversationKind, NewConversation, User, UserId},
    error::{Error, Result},
    protocol::{Before, ConversationView, CreateConversation, ListConversations, ParticipantView},
};

pub struct Listed {
    conversations: Vec<Conversation>,
    others: HashMap<ConversationId, Vec<Participant>>,
    /// The `before` of the next page; `None` if there is none.
    pub next: Option<String>,
}

impl Listed {
    pub fn view(&self) -> Vec<ConversationView<'_>> {
        self.conversations.iter().map(|c| ConversationView::new(c, self.details(c.id))).collect()
    }

    fn details(&self, id: ConversationId) -> Vec<ParticipantView<'_>> {
        let others = self.others.get(&id).map(Vec::as_slice).unwrap_or_default();
        others.iter().map(|p| ParticipantView::new(&p.user, p.is_online, p.last_seen_at, p.is_deleted)).collect()
    }
}

pub struct Conversations {
    core: Arc<Core>,
    presence: Arc<Presence>,
    max_metadata_bytes: usize,
    /// An app asks for its lists from all its tabs when something happens.
    lists: Coalesced<(UserId, ListConversations), Arc<Listed>>,
}

impl Conversations {
    pub(super) fn new(core: Arc<Core>, presence: Arc<Presence>, max_metadata_bytes: usize) -> Self {
        Self { core, presence, max_metadata_bytes, lists: Coalesced::new() }
    }

    /// The conversation between the caller and another, made if there is none.
    ///
    /// # Errors
    /// The refusals of `POST /conversations` (contract §REST).
    pub async fn open(&self, caller: &User, asked: CreateConversation) -> Result<Listed> {
        if asked.participant == caller.id {
            return Err(Error::InvalidParticipant("You cannot start a conversation with yourself"));
        }
        if asked.metadata.to_string().len() > self.max_metadata_bytes {
            let most = self.max_metadata_bytes;
            return Err(Error::InvalidPayload(format!("metadata must be an object of at most {most} bytes")));
        }
        let other =
            self.core.db.user(asked.participant).await?.filter(|u| u.active).ok_or(Error::ParticipantNotFound)?;
        let kind = ConversationKind::between(caller.role, other.role)
            .ok_or(Error::RolesMayNotTalk("Users with these roles may not talk to each other"))?;
        if let Some(word) = asked.kind {
            let asked_kind = ConversationKind::parse(&word)
                .ok_or_else(|| Error::InvalidPayload("type is not a conversation type".into()))?;
            if asked_kind != kind {
                return Err(Error::RolesMayNotTalk("Users with these roles may not have a conversation of this type"));
            }
        }
        let new = NewConversation {
            creator: caller.id,
            participant: other.id,
            kind,
            subject: asked.subject,
            related_entity_type: asked.related_entity_type,
            related_entity_id: asked.related_entity_id,
            metadata: asked.metadata,
        };
        let may_begin = || self.core.limits.rates.new_conversation(caller.id, other.id);
        let id = self.core.db.get_or_create_conversation(&new, may_begin).await??.ok_or(Error::Blocked)?;
        let conversation = self.core.db.conversation(id, caller.id).await?.ok_or(Error::Internal)?;
        self.with_others(caller, vec![conversation]).await
    }

    /// A page of the caller's conversations, newest activity first; two statements whatever its size.
    pub async fn list(&self, caller: &User, list: ListConversations) -> Result<Arc<Listed>> {
        let read = async {
            let conversations = self.core.db.conversations(caller.id, list.limit, list.before.as_ref()).await?;
            let is_full = i64::try_from(conversations.len()).is_ok_and(|found| found >= list.limit);
            let next = conversations.last().filter(|_| is_full).map(|last| Before::place_of(last).to_string());
            Ok(Arc::new(Listed { next, ..self.with_others(caller, conversations).await? }))
        };
        self.lists.get((caller.id, list.clone()), read).await
    }

    async fn with_others(&self, viewer: &User, conversations: Vec<Conversation>) -> Result<Listed> {
        let ids: Vec<ConversationId> = conversations.iter().map(|c| c.id).collect();
        let mut others: HashMap<ConversationId, Vec<Participant>> = HashMap::new();
        for mut p in self.core.db.other_participants(&ids, viewer.id).await? {
            if p.is_deleted {
                let conversation = conversations.iter().find(|c| c.id == p.conversation_id);
                let kind = conversation.and_then(|c| ConversationKind::parse(&c.kind));
                p.user.role = kind.map_or(p.user.role, |kind| kind.counterpart(viewer.role));
            } else {
                p.is_online |= !p.is_blocked && self.presence.is_here(p.user.id);
            }
            others.entry(p.conversation_id).or_default().push(p);
        }
        Ok(Listed { conversations, others, next: None })
    }
}
