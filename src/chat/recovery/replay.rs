//! Makes the events again that a client missed, as its user may see them now.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    chat::{core::Core, uploads::Uploads},
    db::{DbResult, Watermark},
    domain::{ConversationId, Details, Message, MessageId, User, UserId},
    hub::{Event, MAX_ROOMS, MissedEvents},
    protocol::{
        Happening, MessageDeleted, MessageJson, MessageView, MessagesRead, ReactionChanged, What, events::outgoing,
    },
};

/// Most events that are told again; a client that missed more fetches it.
pub const MAX_MISSED: usize = 1000;

/// The events that are told again, and the rooms that the socket is in again.
pub struct Replay {
    pub rooms: Vec<ConversationId>,
    pub events: Vec<Event>,
}

/// The current state, in the database, of the messages that the missed events are about.
struct Facts {
    user: UserId,
    watermarks: HashMap<ConversationId, Vec<Watermark>>,
    messages: HashMap<MessageId, Message>,
    senders: HashMap<UserId, User>,
    blocked: HashSet<UserId>,
}

pub struct Replayer {
    core: Arc<Core>,
    uploads: Arc<Uploads>,
}

impl Replayer {
    pub fn new(core: Arc<Core>, uploads: Arc<Uploads>) -> Self {
        Self { core, uploads }
    }

    /// Makes the missed events again, with at most five statements. `None` if they are too many, or not known.
    pub async fn replay(&self, user: &User, missed: MissedEvents) -> DbResult<Option<Replay>> {
        let Some(happenings) = missed.happenings else { return Ok(None) };
        if happenings.len() > MAX_MISSED || missed.rooms.len() > MAX_ROOMS {
            return Ok(None);
        }
        let facts = self.facts(user.id, &happenings, &missed.rooms).await?;
        let rooms = missed.rooms.into_iter().filter(|room| facts.is_member(*room)).collect();
        let events =
            happenings.iter().filter(|h| facts.is_member(h.conversation)).filter_map(|h| facts.event(h)).collect();
        Ok(Some(Replay { rooms, events }))
    }

    async fn facts(&self, user: UserId, missed: &[Arc<Happening>], rooms: &[ConversationId]) -> DbResult<Facts> {
        let conversations: HashSet<_> = missed.iter().map(|h| h.conversation).chain(rooms.iter().copied()).collect();
        let conversations: Vec<_> = conversations.into_iter().collect();
        let watermarks = match conversations.as_slice() {
            [] => HashMap::new(),
            conversations => self.core.db.watermarks_of(conversations).await?,
        };
        let ids: HashSet<_> = missed.iter().filter_map(|h| h.message()).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let of = |id| watermarks.get(&id).map(Vec::as_slice).unwrap_or_default();
        let mut messages = self.core.db.messages_by_id(user, &ids, of).await?;
        for message in messages.values_mut() {
            self.uploads.links.renew(message);
        }
        let senders: HashSet<_> = messages.values().map(|message| message.sender_id).collect();
        let senders: Vec<_> = senders.into_iter().collect();
        let senders = if senders.is_empty() { Vec::new() } else { self.core.db.users(&senders).await? };
        let has_read = missed.iter().any(|h| matches!(h.what, What::Read { .. }));
        let blocked =
            if has_read { self.core.db.blocks_around(user).await?.into_iter().collect() } else { HashSet::new() };
        let senders = senders.into_iter().map(|sender| (sender.id, sender)).collect();
        Ok(Facts { user, watermarks, messages, senders, blocked })
    }
}

impl Facts {
    fn is_member(&self, conversation: ConversationId) -> bool {
        self.watermarks.get(&conversation).is_some_and(|members| members.iter().any(|w| w.user_id == self.user))
    }

    /// The event as it is told now; `None` for what the user may not hear any more, or what is gone.
    fn event(&self, happening: &Happening) -> Option<Event> {
        let &Happening { conversation: conversation_id, at, ref what } = happening;
        let event = match what {
            What::New { message, seq, .. } => {
                let message = self.messages.get(message)?;
                let name = if is_reply(message) { outgoing::NEW_REPLY } else { outgoing::NEW_MESSAGE };
                Event::of_json(name, self.json(message).as_str()).of_message(conversation_id, *seq)
            }
            What::Sent { message, temp_id, .. } => {
                let message = self.messages.get(message)?;
                let name = if is_reply(message) { outgoing::REPLY_SENT } else { outgoing::MESSAGE_SENT };
                Event::of_json(name, &self.json(message).with_temp_id(temp_id.as_deref()))
            }
            What::Edited { message, .. } => {
                let message = self.messages.get(message).filter(|message| !message.is_deleted)?;
                let sender = self.senders.get(&message.sender_id)?;
                let view = MessageView::from(message).from_sender(sender.name(), sender.role);
                Event::new(outgoing::MESSAGE_EDITED, &view)
            }
            What::Reacted { message, by, added, .. } => {
                let message = self.messages.get(message).filter(|message| !message.is_deleted)?;
                let name = if *added { outgoing::REACTION_ADDED } else { outgoing::REACTION_REMOVED };
                let (reactions, version) = (message.reactions.clone(), message.version);
                Event::new(
                    name,
                    &ReactionChanged { message_id: message.id, conversation_id, reactions, user_id: *by, version },
                )
            }
            What::Deleted { message: message_id, version } => {
                let deletion_type = if version.is_some() { "for_everyone" } else { "for_me" };
                let (message_id, version) = (*message_id, *version);
                let deleted = MessageDeleted { message_id, conversation_id, deletion_type, version };
                Event::new(outgoing::MESSAGE_DELETED, &deleted)
            }
            What::Read { by, last_read_seq } => {
                let (user_id, last_read_seq) = (*by, *last_read_seq);
                let payload = MessagesRead { user_id, conversation_id, read_at: at, last_read_seq };
                (!self.blocked.contains(by)).then(|| Event::new(outgoing::MESSAGES_READ, &payload))?
            }
        };
        Some(event.recoverable(happening.clone()))
    }

    /// A message as events carry it; the one that it answers in short.
    fn json(&self, message: &Message) -> MessageJson {
        match self.senders.get(&message.sender_id) {
            Some(sender) if !is_reply(message) => {
                MessageView::from(message).from_sender(sender.name(), sender.role).to_json()
            }
            sender => {
                let (message, sender) = (message.clone(), sender.cloned().map(Arc::new));
                let details =
                    Details { message, sender, edit_history: Vec::new(), edit_history_count: 0, reply_to: None };
                MessageView::from(&details).to_json()
            }
        }
    }
}

fn is_reply(message: &Message) -> bool {
    message.reply_to_message_id.is_some()
}
