//! Messages that are sent again while the first sending still waits.

use foldhash::HashMap;

use super::job::Job;
use crate::{
    db::NewMessage,
    domain::{ConversationId, MessageId, UserId},
};

/// Messages with the same key are repeats of each other: the same `clientMessageId`, or the same content and `tempId`.
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

/// Joins each repeat to the first message with its key. A statement cannot see the rows that it inserts itself. And after an
/// outage, when clients send again the messages that are queued already, repeats must not be written one by one.
pub fn join_repeats(queued: Vec<Job>) -> Vec<Job> {
    let mut first = HashMap::default();
    let repeated: Vec<usize> = queued
        .iter()
        .enumerate()
        .map(|(at, job)| RepeatKey::of(&job.message).map_or(at, |key| *first.entry(key).or_insert(at)))
        .collect();
    let mut place = HashMap::default();
    let mut joined: Vec<Job> = Vec::with_capacity(queued.len());
    for ((at, job), first) in queued.into_iter().enumerate().zip(repeated) {
        if at == first {
            place.insert(at, joined.len());
            joined.push(job);
        } else if let Some(original) = place.get(&first).and_then(|n| joined.get_mut(*n)) {
            original.repeats.push(job);
        }
    }
    joined
}
