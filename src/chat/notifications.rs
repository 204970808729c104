//! Notifications for participants who are offline (contract §3). Written in batches behind the sending path; one that
//! cannot be written costs a line in the log and nothing else.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::sync::mpsc;

use super::{Chat, Sent};
use crate::{
    db::{DbError, DbResult, Notification, NotificationTable, in_time},
    domain::UserId,
};

/// Notifications that may wait.
pub const QUEUE: usize = 20_000;
const BATCH: usize = 256;
const PREVIEW_CHARS: usize = 50;

/// What the offline are told of a message.
pub fn notification(sent: &Sent, user_id: UserId) -> Notification {
    let m = sent.message();
    let is_reply = sent.is_reply();
    let mut metadata = json!({
        "conversation_id": m.conversation_id,
        "message_id": m.id,
        "sender_id": m.sender_id,
        "sender_name": sent.sender.name(),
    });
    if let Some(reply_to) = m.reply_to_message_id {
        metadata["reply_to_message_id"] = json!(reply_to);
    }
    Notification {
        user_id,
        title: if is_reply { "New Reply" } else { "New Message" },
        message: format!("{}: {}", sent.sender.name(), preview(&m.text)),
        metadata,
        action_url: format!("/messages/{}", m.conversation_id),
        action_text: if is_reply { "View Reply" } else { "View Message" },
    }
}

fn preview(text: &str) -> String {
    match text.char_indices().nth(PREVIEW_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if text.trim().is_empty() => "📎".to_owned(),
        None => text.to_owned(),
    }
}

/// Writes until the service stops.
pub async fn run(chat: Arc<Chat>, mut queue: mpsc::Receiver<Notification>) {
    let mut waiting = Vec::with_capacity(BATCH);
    let mut table: Option<NotificationTable> = None;
    loop {
        if !chat.next_batch(&mut queue, &mut waiting, BATCH).await {
            return;
        }
        let mut written = in_time(write(&chat, &mut table, &waiting)).await;
        if waiting.len() > 1 && written.as_ref().is_err_and(DbError::is_statement_fault) {
            // A rule of the shop's refused one of them: it must not take the others with it.
            for one in waiting.chunks(1) {
                written = in_time(write(&chat, &mut table, one)).await;
            }
        }
        if let Err(e) = written {
            tracing::warn!(error = %e, notifications = waiting.len(), "notifications not written");
            // The table may have changed under us; the pause keeps a dead database from filling the log.
            table = None;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        waiting.clear();
    }
}

async fn write(chat: &Chat, table: &mut Option<NotificationTable>, all: &[Notification]) -> DbResult<()> {
    if table.is_none() {
        *table = chat.db.notification_table().await?;
    }
    if let Some(table) = table {
        chat.db.notify(table, &chat.server_name, all).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::preview;

    #[test]
    fn previews_are_cut_after_fifty_characters() {
        assert_eq!(preview("short"), "short");
        assert_eq!(preview(&"ü".repeat(50)), "ü".repeat(50));
        assert_eq!(preview(&"ü".repeat(51)), format!("{}…", "ü".repeat(50)));
    }
}
