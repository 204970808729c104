//! The outcome of each message of a batch, from the rows of the statement that stored it.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::new_message::NewMessage;
use crate::{
    db::time::Time,
    domain::{Quote, UserId},
};

/// The outcome of one message of a batch.
#[derive(Clone, Debug)]
pub struct Written {
    pub outcome: Outcome,
    /// All members of the conversation; none where it was refused.
    pub members: Arc<[UserId]>,
    /// The database's time when it ran.
    pub(super) clock: DateTime<Utc>,
}

#[derive(Clone, Debug)]
pub enum Outcome {
    Stored {
        seq: i64,
        created_at: DateTime<Utc>,
        reply_to: Option<Quote>,
    },
    Repeat {
        /// The number of the stored one.
        seq: i64,
    },
    NotFound,
    NotMember,
    Closed,
    /// One of its two participants blocked the other.
    Blocked,
    ParticipantDeleted,
    /// The statement ran after its time, and stored nothing.
    TooLate,
    ReplyNotFound,
}

/// A row of the statement: a conversation, a message that was refused, or the quote of a reply.
pub(super) struct Row {
    /// Which message of the batch, from 1; none for a conversation.
    pub(super) ord: Option<i64>,
    pub(super) conversation_id: Option<Uuid>,
    pub(super) outcome: Option<String>,
    /// A conversation's last number before the batch, or that of a message which is stored already.
    pub(super) seq: Option<i64>,
    pub(super) created_at: Option<Time>,
    pub(super) members: Option<Vec<Uuid>>,
    pub(super) clock: DateTime<Utc>,
    pub(super) quote: Option<Json<Quote>>,
}

struct Numbering {
    last_seq: i64,
    at: DateTime<Utc>,
    members: Arc<[UserId]>,
}

#[derive(Default)]
pub(super) struct Answers {
    conversations: HashMap<Uuid, Numbering>,
    refused: HashMap<i64, Row>,
    quotes: HashMap<i64, Quote>,
    clock: DateTime<Utc>,
}

impl Answers {
    pub(super) fn of(rows: Vec<Row>) -> Self {
        let mut answers = Self::default();
        for mut row in rows {
            answers.clock = row.clock;
            match (row.ord, row.quote.take(), row.conversation_id, row.created_at.map(Into::into)) {
                (Some(ord), Some(quote), ..) => {
                    answers.quotes.insert(ord, quote.0);
                }
                (Some(ord), None, ..) => {
                    answers.refused.insert(ord, row);
                }
                (None, _, Some(id), Some(at)) => {
                    let members = row.members.unwrap_or_default().into_iter().map(UserId).collect();
                    let last_seq = row.seq.unwrap_or_default();
                    answers.conversations.insert(id, Numbering { last_seq, at, members });
                }
                _ => {}
            }
        }
        answers
    }

    /// What became of the message in this place of the batch; to be asked in their order. `None` where nothing was said.
    pub(super) fn of_message(&mut self, ord: i64, message: &NewMessage) -> Option<Written> {
        let conversation = self.conversations.get_mut(&message.conversation_id.0);
        let reply_to = self.quotes.remove(&ord);
        let Some(row) = self.refused.remove(&ord) else {
            let conversation = conversation?;
            conversation.last_seq += 1;
            let outcome = Outcome::Stored { seq: conversation.last_seq, created_at: conversation.at, reply_to };
            return Some(Written { outcome, members: conversation.members.clone(), clock: self.clock });
        };
        let outcome = match row.outcome?.as_str() {
            // Found by its own id: an earlier attempt had got through, and nobody was told yet.
            "stored_before" => Outcome::Stored { seq: row.seq?, created_at: row.created_at?.into(), reply_to },
            "repeat" => Outcome::Repeat { seq: row.seq? },
            "not_found" => Outcome::NotFound,
            "not_member" => Outcome::NotMember,
            "closed" => Outcome::Closed,
            "blocked" => Outcome::Blocked,
            "deleted" => Outcome::ParticipantDeleted,
            "too_late" => Outcome::TooLate,
            _ => Outcome::ReplyNotFound,
        };
        let is_stored = matches!(outcome, Outcome::Stored { .. } | Outcome::Repeat { .. });
        let members = conversation.filter(|_| is_stored).map(|c| c.members.clone()).unwrap_or_default();
        Some(Written { outcome, members, clock: self.clock })
    }
}
