//! Messages that are sent again while the first sending still waits.

use foldhash::HashMap;

use super::Queued;
use crate::{
    db::NewMessage,
    domain::{ConversationId, MessageId, UserId},
};

/// A message, and those that came with it and repeat it: they share its fate.
pub struct Entry {
    pub queued: Queued,
    pub repeats: Vec<Queued>,
}

/// What makes a message a repeat of another: the sender's id for it, or the same content under the same `tempId`.
#[derive(PartialEq, Eq, Hash)]
enum RepeatKey<'a> {
    Client(ConversationId, UserId, &'a str),
    Temp(ConversationId, UserId, &'a str, &'a str, String, Option<MessageId>),
}

impl<'a> RepeatKey<'a> {
    fn of(m: &'a NewMessage) -> Option<Self> {
        let (conversation, sender) = (m.conversation_id, m.sender_id);
        match (&m.client_message_id, &m.temp_id) {
            (Some(id), _) => Some(Self::Client(conversation, sender, id)),
            (None, Some(id)) => {
                let has_none = m.attachments.as_array().is_some_and(Vec::is_empty);
                let attachments = if has_none { String::new() } else { m.attachments.to_string() };
                Some(Self::Temp(conversation, sender, id, &m.text, attachments, m.reply_to))
            }
            (None, None) => None,
        }
    }
}

/// Puts repeats to what they repeat: a statement cannot see what it inserts itself, and after an outage, when everybody
/// sends again what is queued already, they must not be written one by one.
pub fn gather(queued: Vec<Queued>) -> Vec<Entry> {
    let mut first = HashMap::default();
    let repeated: Vec<usize> = queued
        .iter()
        .enumerate()
        .map(|(at, q)| RepeatKey::of(&q.message).map_or(at, |key| *first.entry(key).or_insert(at)))
        .collect();
    let mut place = HashMap::default();
    let mut entries: Vec<Entry> = Vec::with_capacity(queued.len());
    for ((at, queued), first) in queued.into_iter().enumerate().zip(repeated) {
        if at == first {
            place.insert(at, entries.len());
            entries.push(Entry { queued, repeats: Vec::new() });
        } else if let Some(entry) = place.get(&first).and_then(|n| entries.get_mut(*n)) {
            entry.repeats.push(queued);
        }
    }
    entries
}
