//! Catching up: what a client missed while it was away. A conversation's messages have numbers without gaps, so a client that
//! knows everything up to one number misses exactly what follows. Changes of older messages are told from a minute before
//! the last message that it knows: a change may be told twice, but is never missed.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use super::{core::Core, rooms::Rooms, uploads::Uploads};
use crate::{
    db::{Known, Page, Slice, SyncState},
    domain::{ConversationId, Message, User},
    error::{Error, Result},
    hub::Connection,
    protocol::{
        Failure, HiddenView, KnownToClient, MessageView, MissedView, ReadView, SyncRequest, SyncView, SyncedView,
        join_limit,
    },
};

/// A change may have been made this long before the message that the client got last, and told after it. It is longer
/// than any event or statement may take.
const MARGIN_SECONDS: i32 = 60;
/// A client that missed more messages of a conversation than this starts it anew.
const MAX_GAP: i64 = 5000;
/// As does one that missed more changes than this.
const MAX_CHANGES: i64 = 200;
/// The page with which it starts.
const RESET_PAGE: i64 = 50;
/// Messages of one answer over all conversations.
const MAX_MESSAGES: i64 = 500;
/// Conversations of an answer to `since`.
const MAX_CONVERSATIONS: i64 = 100;

/// The messages and changes of one conversation that a client missed.
pub struct Missed {
    state: SyncState,
    reset: bool,
    has_more: bool,
    /// With this answer the client knows everything up to this number.
    pub up_to: i64,
    messages: Vec<Message>,
    changes: Vec<Message>,
}

impl Missed {
    pub fn view(&self) -> MissedView<'_> {
        let reads = self.state.watermarks.iter().map(|w| ReadView {
            user_id: w.user_id,
            last_read_seq: w.last_read_seq,
            read_at: w.last_read_at,
            last_delivered_seq: w.last_delivered_seq,
            delivered_at: w.last_delivered_at,
        });
        let hidden = self.state.hidden.iter().map(|h| HiddenView { message_id: h.message_id, seq: h.seq });
        MissedView {
            last_seq: self.state.last_seq,
            messages: self.messages.iter().map(MessageView::from).collect(),
            up_to: self.up_to,
            has_more: self.has_more,
            reset: self.reset,
            changes: self.changes.iter().map(MessageView::from).collect(),
            deleted_for_me: hidden.collect(),
            reads: reads.collect(),
            unread_count: self.state.unread_count,
        }
    }
}

/// The answer to a client that catches up: one entry for each conversation.
pub struct Synced {
    /// As the client named them.
    conversations: Vec<(String, Result<Missed>)>,
    reset: bool,
    server_time: DateTime<Utc>,
}

impl Synced {
    pub fn view(&self) -> SyncView<'_> {
        SyncView {
            conversations: self.conversations.iter().map(|(id, outcome)| (id.as_str(), view(outcome))).collect(),
            has_more: self.conversations.iter().any(|(_, outcome)| outcome.as_ref().is_ok_and(|m| m.has_more)),
            reset: self.reset,
            server_time: self.server_time,
        }
    }

    /// The number up to which the client now has every message, by conversation.
    pub fn covers(&self) -> impl Iterator<Item = (ConversationId, i64)> + '_ {
        self.conversations.iter().filter_map(|(_, o)| o.as_ref().ok()).map(|m| (m.state.known.conversation, m.up_to))
    }
}

fn view(outcome: &Result<Missed>) -> SyncedView<'_> {
    match outcome {
        Ok(missed) => SyncedView::Missed(missed.view()),
        Err(e) => SyncedView::Failed(Failure::new(e, "Failed to sync")),
    }
}

pub struct CatchUp {
    core: Arc<Core>,
    uploads: Arc<Uploads>,
    rooms: Arc<Rooms>,
}

impl CatchUp {
    pub(super) fn new(core: Arc<Core>, uploads: Arc<Uploads>, rooms: Arc<Rooms>) -> Self {
        Self { core, uploads, rooms }
    }

    /// Reads the messages and changes that the caller missed. A conversation of which they are no member fails alone.
    pub async fn catch_up(&self, user: &User, request: SyncRequest) -> Result<Synced> {
        // The database's clock, by which it is compared when it comes back, and before anything is read.
        let server_time = self.core.db.now().await?;
        let (named, reset) = match request.known {
            KnownToClient::Conversations(named) => (named, false),
            KnownToClient::Since(since) => {
                let since = since - TimeDelta::seconds(MARGIN_SECONDS.into());
                let active = self.core.db.active_since(user.id, since, MAX_GAP + 1, MAX_CONVERSATIONS + 1).await?;
                let reset = active.len() > usize::try_from(MAX_CONVERSATIONS).unwrap_or(usize::MAX);
                let missed = self.missed(user, &active[..active.len() - usize::from(reset)], request.limit).await?;
                let conversations =
                    missed.into_iter().map(|m| (m.state.known.conversation.to_string(), Ok(m))).collect();
                return Ok(Synced { conversations, reset, server_time });
            }
        };
        let known: Vec<Known> = named
            .iter()
            .filter_map(|(id, seq)| Some(Known { conversation: ConversationId::parse(id)?, seq: *seq, since: None }))
            .collect();
        let mut missed: HashMap<ConversationId, Missed> = HashMap::new();
        for m in self.missed(user, &known, request.limit).await? {
            missed.insert(m.state.known.conversation, m);
        }
        let conversations = named
            .into_iter()
            .map(|(id, _)| {
                let found = ConversationId::parse(&id).and_then(|id| missed.remove(&id));
                let outcome = match found {
                    Some(m) if m.state.is_member => Ok(m),
                    Some(_) => Err(Error::NotAuthorized),
                    None => Err(Error::ConversationNotFound),
                };
                (id, outcome)
            })
            .collect();
        Ok(Synced { conversations, reset, server_time })
    }

    /// Enters the room like [`Rooms::join`], and says what was missed after `last_seq`. The caller's socket must be on
    /// hold meanwhile, so that nothing newer comes first.
    pub async fn join_after(
        &self,
        connection: &Arc<Connection>,
        conversation: ConversationId,
        last_seq: i64,
    ) -> Result<Missed> {
        self.rooms.join(connection, conversation).await?;
        let known = Known { conversation, seq: last_seq, since: None };
        let missed = self.missed(&connection.user(), &[known], join_limit()).await?;
        missed.into_iter().find(|m| m.state.is_member).ok_or(Error::NotAuthorized)
    }

    /// In two statements, however many conversations. Those of which the caller is no member have no messages.
    async fn missed(&self, user: &User, known: &[Known], limit: i64) -> Result<Vec<Missed>> {
        let states = match known {
            [] => Vec::new(),
            known => self.core.db.sync_states(user.id, known, MARGIN_SECONDS, MAX_CHANGES + 1).await?,
        };
        let mut left = MAX_MESSAGES;
        let mut slices = Vec::new();
        let mut missed: Vec<Missed> =
            states.into_iter().map(|state| plan(state, limit, &mut left, &mut slices)).collect();
        if slices.is_empty() {
            return Ok(missed);
        }
        let place: HashMap<ConversationId, usize> =
            missed.iter().enumerate().map(|(n, m)| (m.state.known.conversation, n)).collect();
        let watermarks = |id| place.get(&id).map(|n| missed[*n].state.watermarks.as_slice()).unwrap_or_default();
        let messages = self.core.db.messages_of(user.id, &slices, watermarks).await?;
        for mut message in messages {
            self.uploads.links.renew(&mut message);
            if let Some(n) = place.get(&message.conversation_id) {
                let m = &mut missed[*n];
                let list = if m.reset || message.seq > m.state.known.seq { &mut m.messages } else { &mut m.changes };
                list.push(message);
            }
        }
        Ok(missed)
    }
}

/// Decides what is told of a conversation, within `limit` and the room that is `left` in the answer.
fn plan(mut state: SyncState, limit: i64, left: &mut i64, slices: &mut Vec<Slice>) -> Missed {
    let (known, last_seq) = (state.known, state.last_seq);
    let too_many = state.changes > MAX_CHANGES || i64::try_from(state.hidden.len()).unwrap_or(i64::MAX) > MAX_CHANGES;
    let gap = last_seq - known.seq;
    let reset = state.is_member && (!(0..=MAX_GAP).contains(&gap) || state.changed_since.is_none() || too_many);
    let mut ask = |page, changed_since| slices.push(Slice { conversation: known.conversation, page, changed_since });
    // What is committed after the first statement is not told by the second: it comes as events.
    let before = Some(last_seq + 1);
    let mut up_to = last_seq;
    if !state.is_member {
        state.hidden.clear();
    } else if reset {
        state.hidden.clear();
        ask(Page { limit: RESET_PAGE, offset: 0, before, after: None }, None);
        *left -= RESET_PAGE;
    } else {
        let told = gap.min(limit).min((*left).max(0));
        up_to = known.seq + told;
        *left -= told;
        if told > 0 {
            // Counted by number and not by row: what the caller deleted for themselves takes no other's place.
            ask(Page { limit: told, offset: 0, before: Some(up_to + 1), after: Some(known.seq) }, None);
        }
        if state.changes > 0 {
            let page = Page { limit: MAX_CHANGES, offset: 0, before: Some(known.seq + 1), after: None };
            ask(page, state.changed_since);
        }
    }
    Missed { state, reset, has_more: up_to < last_seq, up_to, messages: Vec::new(), changes: Vec::new() }
}
