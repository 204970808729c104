//! Reads the messages that replies quote, while the replies are written. A lane's publisher sends one message after the other, so
//! every message behind a reply would wait while the publisher reads the quoted message.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::job::{Job, QuoteAhead};
use crate::{
    chat::messages::{BYTES_IN_AN_EVENT, Messages},
    domain::{Details, MessageId, User},
};

/// A quoted message that was read longer ago is read again.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Starts a task that reads the quoted messages of a batch, one after the other, in the order in which the replies are sent.
pub fn read_ahead(messages: &Arc<Messages>, batch: &mut [Job]) {
    let mut wanted: Vec<(Arc<User>, MessageId, oneshot::Sender<_>)> = Vec::new();
    for job in batch {
        if let Some(id) = job.message.reply_to {
            let (tell, told) = oneshot::channel();
            job.quote = Some(told);
            wanted.push((job.sender.clone(), id, tell));
        }
    }
    if wanted.is_empty() {
        return;
    }
    let messages = messages.clone();
    tokio::spawn(async move {
        for (sender, id, tell) in wanted {
            // A reply that was refused needs none.
            if !tell.is_closed()
                && let Ok(quoted) = messages.quoted(&sender, Some(id), BYTES_IN_AN_EVENT).await
            {
                tell.send((Instant::now(), quoted)).ok();
            }
        }
    });
}

/// The quoted message of a reply, in full: as it was read ahead, or as it is now.
pub async fn quoted(
    messages: &Messages,
    reply_to: Option<MessageId>,
    sender: &User,
    ahead: Option<QuoteAhead>,
) -> Option<Box<Details>> {
    reply_to?;
    if let Some(ahead) = ahead
        && let Ok((at, quoted)) = ahead.await
        && at.elapsed() <= GOOD_FOR
    {
        return quoted;
    }
    messages.quoted(sender, reply_to, BYTES_IN_AN_EVENT).await.ok().flatten()
}
