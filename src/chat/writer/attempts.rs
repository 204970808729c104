//! Writing a batch, as often as it takes within a limit.

use std::time::{Duration, Instant};

use super::{Chat, RETRY_PAUSE};
use crate::{
    db::{DbError, NewMessage, Written, in_time},
    error::Error,
};

/// How long a batch is tried again when the connection is at fault.
const RETRY_FOR: Duration = Duration::from_secs(8);
/// How often a batch is tried again when another transaction got in between, and after what pause, growing.
const MAX_CONFLICTS: u32 = 8;
const CONFLICT_PAUSE: Duration = Duration::from_millis(5);

/// Why a message was not written, as far as is known.
pub struct Failed {
    pub error: Error,
    /// An attempt got no answer, and none after it told.
    pub may_be_stored: bool,
}

pub async fn write_batch(chat: &Chat, messages: &[&NewMessage]) -> Vec<Result<Written, Failed>> {
    match write_with_retries(chat, messages, false).await {
        Ok(written) => written.into_iter().map(Ok).collect(),
        Err((e, tried)) if messages.len() > 1 && e.is_statement_fault() => {
            // One bad message must not take the others with it. Order is kept: one after the other. An earlier attempt
            // may have got through before the one that was refused.
            tracing::warn!(error = %e, messages = messages.len(), "batch refused, writing its messages one by one");
            let mut outcomes = Vec::with_capacity(messages.len());
            for message in messages {
                let one = write_with_retries(chat, std::slice::from_ref(message), true).await;
                outcomes.push(match one {
                    Ok(mut written) => written.pop().ok_or(Failed { error: Error::Internal, may_be_stored: tried }),
                    Err((e, again)) => Err(Failed { error: e.into(), may_be_stored: tried || again }),
                });
            }
            outcomes
        }
        Err((e, may_be_stored)) => {
            let error = Error::from(e);
            messages.iter().map(|_| Err(Failed { error: error.clone(), may_be_stored })).collect()
        }
    }
}

/// Tries again while the connection is at fault; ids tell what an attempt of unknown end has stored. An error comes with
/// whether such an attempt was made.
async fn write_with_retries(
    chat: &Chat,
    messages: &[&NewMessage],
    mut again: bool,
) -> Result<Vec<Written>, (DbError, bool)> {
    let deadline = Instant::now() + RETRY_FOR;
    let mut conflicts = 0;
    let mut unknown = false;
    loop {
        let e = match in_time(chat.db.write_messages(messages, again)).await {
            Ok(written) => return Ok(written),
            Err(e) => e,
        };
        unknown |= e.is_unknown();
        if e.is_conflict() && conflicts < MAX_CONFLICTS {
            // Someone came to take part while the statement waited, or an isolation level stricter than the default
            // refuses what waited for a lock; the next attempt sees what is there.
            conflicts += 1;
            tokio::time::sleep(CONFLICT_PAUSE * (conflicts - 1)).await;
        } else if e.is_statement_fault() || Instant::now() >= deadline {
            return Err((e, unknown));
        } else {
            tracing::warn!(error = %e, messages = messages.len(), "write failed, trying again");
            again = true;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}
