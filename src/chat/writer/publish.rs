//! Telling what was written, in the order of the lane.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt as _;
use tokio::sync::mpsc;

use super::{Batch, Queued, repeats::Entry};
use crate::{
    chat::{Chat, send::Job, sent::Stored},
    db::{Outcome, Written, in_time},
    domain::{ConversationId, Message, UserId},
    error::Error,
};

pub async fn publish(chat: Arc<Chat>, mut batches: mpsc::Receiver<Batch>) {
    while let Some(batch) = batches.recv().await {
        let stored = stored_before(&chat, repeated(&batch)).await;
        for (conversation, members) in members(&batch) {
            chat.core.membership.remember(conversation, members).await;
        }
        for (entry, outcome) in batch {
            let published = AssertUnwindSafe(publish_one(&chat, entry, outcome, &stored)).catch_unwind().await;
            if published.is_err() {
                tracing::error!("publishing a message panicked; the lane goes on");
            }
        }
    }
}

/// Who takes part in the conversations of a batch.
fn members(batch: &Batch) -> HashMap<ConversationId, &Arc<[UserId]>> {
    let written = batch.iter().filter_map(|(entry, outcome)| Some((entry, outcome.as_ref().ok()?)));
    let stored = written.filter(|(_, written)| matches!(written.outcome, Outcome::Stored { .. }));
    stored.map(|(entry, written)| (entry.queued.message.conversation_id, &written.members)).collect()
}

/// What a batch repeats, by number.
fn repeated(batch: &Batch) -> Vec<(ConversationId, i64)> {
    let seq = |(entry, outcome): &(Entry, _)| match outcome {
        Ok(Written { outcome: Outcome::Repeat { seq }, .. }) => Some((entry.queued.message.conversation_id, *seq)),
        _ => None,
    };
    batch.iter().filter_map(seq).collect()
}

/// Those messages, in as few statements however many.
async fn stored_before(chat: &Chat, repeated: Vec<(ConversationId, i64)>) -> HashMap<(ConversationId, i64), Message> {
    if repeated.is_empty() {
        return HashMap::new();
    }
    in_time(chat.db.stored_messages(&repeated)).await.unwrap_or_else(|e| {
        tracing::warn!(error = %e, "stored messages not found again");
        HashMap::new()
    })
}

async fn publish_one(
    chat: &Chat,
    entry: Entry,
    outcome: Result<Written, Error>,
    stored: &HashMap<(ConversationId, i64), Message>,
) {
    // The tokens are held until the end.
    let Entry { queued: Queued { message, job, token: _token, .. }, repeats } = entry;
    let (repeats, _tokens): (Vec<Job>, Vec<_>) = repeats.into_iter().map(|q| (q.job, q.token)).unzip();
    let refusal = match outcome {
        Ok(Written { outcome: Outcome::Stored { seq, created_at, reply_to }, members, .. }) => {
            let stored = Stored { message, seq, created_at, reply_to };
            return chat.publish_stored(stored, &members, job, repeats).await;
        }
        Ok(Written { outcome: Outcome::Repeat { seq }, .. }) => match stored.get(&(message.conversation_id, seq)) {
            Some(message) => return chat.answer_repeat(message.clone(), job, repeats).await,
            None => Error::Internal,
        },
        Ok(Written { outcome: Outcome::NotFound, .. }) => Error::ConversationNotFound,
        Ok(Written { outcome: Outcome::NotMember, .. }) => Error::NotAuthorized,
        Ok(Written { outcome: Outcome::Closed, .. }) => Error::ConversationClosed,
        Ok(Written { outcome: Outcome::Blocked, .. }) => Error::Blocked,
        Ok(Written { outcome: Outcome::ParticipantDeleted, .. }) => Error::ParticipantDeleted,
        Ok(Written { outcome: Outcome::ReplyNotFound, .. }) => Error::ReplyNotFound,
        // It was tried again, or its sender was told that it failed.
        Ok(Written { outcome: Outcome::TooLate, .. }) => Error::Internal,
        Err(e) => e,
    };
    for job in std::iter::once(job).chain(repeats) {
        job.fail(refusal.clone());
    }
}
