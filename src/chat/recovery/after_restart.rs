//! Connection state recovery after a restart of the server. The client's socket has a row in the database ([`super::returning`]).
//! The position of the last event that the client got shows which events it missed: in that message's conversation exactly, by
//! number; in the others by the database's time, unless a message was stored there at about the same time.
//! A client for which this is not known starts anew.

use std::{collections::HashSet, sync::Arc, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::replay::MAX_MISSED;
use crate::{
    chat::{core::Core, on_their_way::ON_TIME},
    db::{Came, Changed, DbResult, ReadSince, in_time},
    domain::{ConversationId, MessageId, User, UserId},
    hub::{Arrival, MissedEvents},
    pid::Pid,
    protocol::{Happening, Position, What},
};

/// Two messages of different conversations that were stored less than this apart may have been sent to the client in either
/// order: each is sent within [`ON_TIME`] after it was stored. The second above `ON_TIME` is for the sending itself, which
/// waits for nothing. So a message that was stored longer than this before the client's last message was sent before it.
const MARGIN_SECONDS: u8 = 2;
const _: () = assert!(MARGIN_SECONDS as u64 > ON_TIME.as_secs());
/// The event of a change is sent within this time, if at all. An event that is sent twice does no harm.
const CHANGES_MARGIN: TimeDelta = TimeDelta::seconds(30);
/// Most conversations of which something was missed.
const MAX_CONVERSATIONS: usize = 100;

/// The missed events in order, and the newest number of each of their conversations.
struct Found {
    happenings: Vec<Arc<Happening>>,
    up_to: Vec<(ConversationId, i64)>,
}

/// Finds what clients of an earlier life of this server missed.
pub struct AfterRestart {
    core: Arc<Core>,
}

impl AfterRestart {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The events that a client missed whose socket is from before the restart. `None` if that is not known.
    pub async fn missed(
        &self,
        user: &User,
        arrival: &mut Arrival,
        pid: Pid,
        known: Option<&Position>,
    ) -> Option<MissedEvents> {
        // A position from before this pid was given out belongs to an earlier socket, whose client started anew since.
        let known = known.filter(|known| known.message().is_some() && known.at() >= pid.since)?;
        let found = async {
            let window = self.core.hub.recovery_window().as_secs_f64();
            let taken = self.core.db.take_returning(&self.core.server_name, pid.id, user.id, known, window).await?;
            let Some(rooms) = taken else { return Ok(None) };
            arrival.expect_in(&rooms);
            Ok(self.found_since(user.id, known).await?.map(|found| (rooms, found)))
        };
        let found = in_time(found).await.unwrap_or_else(|e| {
            tracing::warn!(error = %e, "a client of before the restart starts anew");
            None
        });
        let Some((rooms, Found { happenings, up_to })) = found else {
            arrival.start_anew();
            return None;
        };
        arrival.inherit(pid.id, &happenings, up_to);
        Some(MissedEvents { rooms, happenings: Some(happenings) })
    }

    /// The events after the message at `known`; `None` if they are too many or not known.
    async fn found_since(&self, user: UserId, known: &Position) -> DbResult<Option<Found>> {
        let since = known.at() - CHANGES_MARGIN;
        let limit = i64::try_from(MAX_MISSED).unwrap_or(i64::MAX) + 1;
        // A message that is in flight during this read is sent after it, and may have been stored before.
        let (asked, is_behind) = (Instant::now(), self.core.on_their_way.are_late());
        let came = self.core.db.came_since(user, known, MARGIN_SECONDS.into(), limit).await?;
        let is_late = is_behind || asked.elapsed() > ON_TIME;
        let changed = self.core.db.changed_since(user, since, limit).await?;
        let reads = self.core.db.read_since(user, since, limit).await?;
        if [came.len(), changed.len(), reads.len()].iter().any(|n| *n > MAX_MISSED) {
            return Ok(None);
        }
        let Some(mut found) = told_of(user, known, &came, is_late) else { return Ok(None) };
        let new: HashSet<MessageId> = came.iter().map(|m| m.message).collect();
        for change in changed.iter().filter(|change| !new.contains(&change.message)) {
            let Some(what) = what(change) else { return Ok(None) };
            let (conversation, at) = (change.conversation, change.at);
            found.extend(what.into_iter().map(|what| (at, Happening { conversation, at, what })));
        }
        found.extend(reads.into_iter().filter(|read| !is_known(read, known)).map(|read| {
            let what = What::Read { by: read.by, last_read_seq: read.last_read_seq };
            (read.at, Happening { conversation: read.conversation, at: read.at, what })
        }));
        found.sort_by_key(|(at, _)| *at);
        let mut up_to: Vec<(ConversationId, i64)> = Vec::new();
        for message in &came {
            match up_to.last_mut() {
                Some(last) if last.0 == message.conversation => last.1 = message.seq,
                _ => up_to.push((message.conversation, message.seq)),
            }
        }
        let happenings = found.into_iter().map(|(_, happening)| Arc::new(happening)).collect();
        Ok((up_to.len() <= MAX_CONVERSATIONS).then_some(Found { happenings, up_to }))
    }
}

fn margin() -> TimeDelta {
    TimeDelta::seconds(MARGIN_SECONDS.into())
}

/// New messages, and their deletions, with the times that put them in order. `None` if the client may know one of them, or one
/// is the user's own: the socket that sent it hears of it by `chat:message_sent`, another may not at all.
fn told_of(user: UserId, known: &Position, came: &[Came], is_late: bool) -> Option<Vec<(DateTime<Utc>, Happening)>> {
    let (own, _) = known.message()?;
    let until = known.at() + margin();
    let mut told = Vec::with_capacity(came.len());
    let mut before: Option<(ConversationId, DateTime<Utc>)> = None;
    for message in came {
        let &Came { message: id, conversation, seq, created_at, .. } = message;
        if message.sender == user || (conversation != own && created_at < until) {
            return None;
        }
        // A clock may have been set back; the numbers never are.
        let at = before.filter(|(id, _)| *id == conversation).map_or(created_at, |(_, at)| at.max(created_at));
        before = Some((conversation, at));
        let what = What::New { message: id, seq, is_late };
        told.push((at, Happening { conversation, at: created_at, what }));
        if let Some((deleted_at, version)) = message.deleted {
            let what = What::Deleted { message: id, version: Some(version) };
            told.push((at.max(deleted_at), Happening { conversation, at: deleted_at, what }));
        }
    }
    Some(told)
}

/// True if the client got this read event before its last message. Sent again after that message, the event would look as if
/// the reader had read that message too.
fn is_known(read: &ReadSince, known: &Position) -> bool {
    known
        .message()
        .is_some_and(|(own, seq)| read.conversation == own && read.last_read_seq < seq && read.at < known.at())
}

/// The events of a change; `None` if they are not known: a user took a reaction away.
fn what(change: &Changed) -> Option<Vec<What>> {
    let &Changed { message, version, .. } = change;
    if change.is_hidden || change.is_deleted {
        return Some(vec![What::Deleted { message, version: (!change.is_hidden).then_some(version) }]);
    }
    let edited = change.is_edited.then_some(What::Edited { message, version });
    let reacted = change.reacted_by.map(|by| What::Reacted { message, version, by, added: true });
    let what: Vec<What> = edited.into_iter().chain(reacted).collect();
    (!what.is_empty()).then_some(what)
}
