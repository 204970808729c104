//! Reading what replies quote while they are written: a lane's publisher tells one message after the other, and what it reads for
//! a reply keeps all behind it waiting.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Chat, repeats::Entry};
use crate::{
    chat::details::BYTES_IN_AN_EVENT,
    domain::{Details, MessageId, User},
};

/// What was read longer ago is read again.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// The message that a reply quotes, once it is read.
pub struct QuoteAhead(oneshot::Receiver<(Instant, Option<Box<Details>>)>);

impl QuoteAhead {
    /// What was read; `None` where that was too long ago, or did not work.
    pub async fn quoted(self) -> Option<Option<Box<Details>>> {
        let (at, quoted) = self.0.await.ok()?;
        (at.elapsed() <= GOOD_FOR).then_some(quoted)
    }
}

/// Begins to read what the replies of a batch quote, one after the other, as they will be told.
pub fn read_ahead(chat: &Arc<Chat>, batch: &mut [Entry]) {
    let mut wanted: Vec<(Arc<User>, MessageId, oneshot::Sender<_>)> = Vec::new();
    for entry in batch {
        let queued = &mut entry.queued;
        if let Some(id) = queued.message.reply_to {
            let (tell, told) = oneshot::channel();
            queued.job.quote = Some(QuoteAhead(told));
            wanted.push((queued.job.sender().clone(), id, tell));
        }
    }
    if wanted.is_empty() {
        return;
    }
    let chat = chat.clone();
    tokio::spawn(async move {
        for (sender, id, tell) in wanted {
            // Who is refused needs none.
            if !tell.is_closed()
                && let Ok(quoted) = chat.quoted(&sender, Some(id), BYTES_IN_AN_EVENT).await
            {
                tell.send((Instant::now(), quoted)).ok();
            }
        }
    });
}
