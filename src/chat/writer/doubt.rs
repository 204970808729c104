//! Messages of which it is not known for a while whether they were stored.

use std::{pin::pin, time::Duration};

use tokio::sync::mpsc;

use super::{Batch, Chat, Queued, RETRY_PAUSE, attempts::Failed, fail_overdue, repeats::Entry};
use crate::db::{GOOD_FOR, NewMessage, Outcome, Written, in_time};

const SETTLE_PAUSE: Duration = Duration::from_secs(1);

/// The messages of which it is not known whether they were stored. Their senders are told that they failed.
pub fn doubtful(batch: &[Entry], outcomes: &[Result<Written, Failed>]) -> Vec<Queued> {
    let doubtful = batch.iter().zip(outcomes).filter(|(_, o)| o.as_ref().is_err_and(|f| f.may_be_stored));
    doubtful.map(|(e, _)| e.queued.without_sender()).collect()
}

/// Finds out which of these were stored after all, so that everyone connected hears of them in their order. It takes as
/// long as the database is silent; who queues up meanwhile is answered in time.
pub async fn settle(
    chat: &Chat,
    doubtful: Vec<Queued>,
    queue: &mut mpsc::Receiver<Queued>,
    waiting: &mut Vec<Queued>,
) -> Batch {
    let messages: Vec<&NewMessage> = doubtful.iter().map(|q| &q.message).collect();
    let written = wait_until_known(chat, &messages, queue, waiting).await;
    let found: Batch = doubtful
        .into_iter()
        .zip(written)
        .filter(|(_, w)| matches!(w.outcome, Outcome::Stored { .. }))
        .map(|(queued, w)| (Entry { queued, repeats: Vec::new() }, Ok(w)))
        .collect();
    tracing::warn!(stored = found.len(), "it is known now what was stored");
    found
}

async fn wait_until_known(
    chat: &Chat,
    messages: &[&NewMessage],
    queue: &mut mpsc::Receiver<Queued>,
    waiting: &mut Vec<Queued>,
) -> Vec<Written> {
    let settled = async {
        tokio::time::sleep(GOOD_FOR).await;
        loop {
            match in_time(chat.db.settle_messages(messages)).await {
                Ok(written) => return written,
                Err(e) => tracing::warn!(error = %e, messages = messages.len(), "not known yet what was stored"),
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    };
    let mut settled = pin!(settled);
    let mut tick = tokio::time::interval(RETRY_PAUSE);
    loop {
        tokio::select! {
            written = &mut settled => return written,
            _ = tick.tick() => {
                while let Ok(queued) = queue.try_recv() {
                    waiting.push(queued);
                }
                fail_overdue(waiting);
            }
        }
    }
}
