//! Notifications for members who have no socket on this server (contract §Notifications). Servers are not linked, so for a
//! user whose socket is on another server the row is all they get. Notifications are written in batches, off the sending
//! path; one that cannot be written costs a line in the log and nothing else. When a message is deleted for everyone, its
//! text is taken out of its notifications.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{sync::mpsc, time::timeout};
use uuid::Uuid;

use super::core::Core;
use crate::{
    db::{DbResult, Notification, NotificationTable, in_time},
    domain::{Message, MessageId, User, UserId, is_blank},
};

const QUEUE: usize = 20_000;
const BATCH: usize = 256;
/// How long a notification whose user's row is locked is tried again, and how often.
const LOCKED_FOR: Duration = Duration::from_mins(2);
const LOCKED_PAUSE: Duration = Duration::from_secs(1);
const PREVIEW_CHARS: usize = 50;
/// Interval at which texts of deleted messages are looked for; after a deletion on this server that is done at once.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Old notes forgotten at a time, once in `LOOK_EVERY`.
const FORGET: i64 = 5_000;
/// Messages that may wait to be looked at again, while the shop's table refuses.
const MAX_UNCHECKED: usize = 10_000;

enum Task {
    Write(Notification),
    /// Takes the text out of notifications whose message was deleted for everyone.
    Redact,
}

impl Task {
    fn notification(self) -> Option<Notification> {
        match self {
            Self::Write(notification) => Some(notification),
            Self::Redact => None,
        }
    }
}

pub struct Notifications {
    queue: mpsc::Sender<Task>,
}

impl Notifications {
    pub(super) fn start(core: &Arc<Core>) -> Self {
        let (queue, tasks) = mpsc::channel(QUEUE);
        core.tasks.background(run(core.clone(), tasks));
        let notifications = Self { queue };
        // What an earlier life of this server, or SQL users meanwhile, left to be done.
        notifications.redact();
        notifications
    }

    /// Queues a notification of a new message for `user`. If the queue is full, it is lost.
    pub fn queue(&self, message: &Message, sender: &User, user: UserId) {
        if self.queue.try_send(Task::Write(notification(message, sender, user))).is_err() {
            tracing::warn!("notifications are behind, one was dropped");
        }
    }

    /// Has the texts of deleted messages taken out of their notifications. If the queue is full, the next look finds them.
    pub fn redact(&self) {
        self.queue.try_send(Task::Redact).ok();
    }
}

/// The notification of a message for a user without a socket.
fn notification(message: &Message, sender: &User, user_id: UserId) -> Notification {
    let is_reply = message.reply_to_message_id.is_some();
    let mut metadata = json!({
        "conversation_id": message.conversation_id,
        "message_id": message.id,
        "sender_id": message.sender_id,
        "sender_name": sender.name(),
    });
    if let Some(reply_to) = message.reply_to_message_id {
        metadata["reply_to_message_id"] = json!(reply_to);
    }
    Notification {
        id: Uuid::new_v4(),
        message_id: message.id,
        user_id,
        title: if is_reply { "New Reply" } else { "New Message" },
        message: format!("{}: {}", sender.name(), preview(&message.text)),
        metadata,
        action_url: format!("/messages/{}", message.conversation_id),
        action_text: if is_reply { "View Reply" } else { "View Message" },
    }
}

fn preview(text: &str) -> String {
    match text.char_indices().nth(PREVIEW_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if is_blank(text) => "📎".to_owned(),
        None => text.to_owned(),
    }
}

/// Writes, and takes out texts, until the server stops.
async fn run(core: Arc<Core>, mut queue: mpsc::Receiver<Task>) {
    let mut waiting = Vec::with_capacity(BATCH);
    let mut table: Option<NotificationTable> = None;
    let mut locked: Vec<(Notification, Instant)> = Vec::new();
    let (mut looked_at, mut forgot_at) = (Instant::now(), Instant::now());
    let mut texts = Texts { unchecked: Vec::new(), not_before: Instant::now() };
    loop {
        // Now and then without being told: SQL users delete messages too, and a server may have stopped in between.
        let pause = if locked.is_empty() { LOOK_EVERY } else { LOCKED_PAUSE };
        if let Ok(false) = timeout(pause, core.tasks.next_batch(&mut queue, &mut waiting, BATCH)).await {
            return;
        }
        let new: Vec<Notification> = waiting.drain(..).filter_map(Task::notification).collect();
        let mut done = in_time(write(&core, &mut table, &new)).await;
        if done.as_ref().is_err_and(|e| e.is_locked() || e.is_statement_fault() && new.len() > 1) {
            done = write_each(&core, &mut table, &new, &mut locked).await;
        }
        texts.check_again(&new);
        if looked_at.elapsed() >= LOCKED_PAUSE && !locked.is_empty() {
            locked = write_locked(&core, &mut table, locked, &mut texts).await;
            looked_at = Instant::now();
        }
        if let Err(e) = done {
            tracing::warn!(error = %e, notifications = new.len(), "notifications not written");
            // The table may have changed under us; the pause keeps a dead database from filling the log.
            table = None;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        texts.redact_if_due(&core, &mut table).await;
        if forgot_at.elapsed() >= LOOK_EVERY {
            forgot_at = Instant::now();
            if let Err(e) = in_time(core.db.forget_old_notifications(FORGET)).await {
                tracing::warn!(error = %e, "old notes of notifications not forgotten");
            }
        }
    }
}

/// Writes each by itself, so that one that a rule of the shop's refuses, or whose user's row is locked, does not take the
/// others with it. Those that met a lock are kept in `locked`.
async fn write_each(
    core: &Core,
    table: &mut Option<NotificationTable>,
    new: &[Notification],
    locked: &mut Vec<(Notification, Instant)>,
) -> DbResult<()> {
    let mut done = Ok(());
    for one in new {
        match in_time(write(core, table, std::slice::from_ref(one))).await {
            Err(e) if e.is_locked() && locked.len() < QUEUE => locked.push((one.clone(), Instant::now())),
            Err(e) => done = Err(e),
            Ok(()) => {}
        }
    }
    done
}

/// Tries again those whose user's row was locked; returns those for which it still is.
async fn write_locked(
    core: &Core,
    table: &mut Option<NotificationTable>,
    locked: Vec<(Notification, Instant)>,
    texts: &mut Texts,
) -> Vec<(Notification, Instant)> {
    let mut left = Vec::new();
    for (one, since) in locked {
        let list = std::slice::from_ref(&one);
        let done = in_time(write(core, table, list)).await;
        texts.check_again(list);
        match done {
            Err(e) if e.is_locked() && since.elapsed() < LOCKED_FOR => left.push((one, since)),
            Err(e) => tracing::warn!(error = %e, "a notification was not written"),
            Ok(()) => {}
        }
    }
    left
}

async fn known<'t>(core: &Core, table: &'t mut Option<NotificationTable>) -> DbResult<Option<&'t NotificationTable>> {
    if table.is_none() {
        *table = core.db.notification_table().await?;
    }
    Ok(table.as_ref())
}

async fn write(core: &Core, table: &mut Option<NotificationTable>, new: &[Notification]) -> DbResult<()> {
    if !new.is_empty()
        && let Some(table) = known(core, table).await?
    {
        core.db.notify(table, new).await?;
    }
    Ok(())
}

struct Texts {
    /// Messages whose notifications may have been written after the message was deleted.
    unchecked: Vec<MessageId>,
    /// If the shop's table refuses, it is not asked again with every notification.
    not_before: Instant,
}

impl Texts {
    fn check_again(&mut self, new: &[Notification]) {
        let room = MAX_UNCHECKED.saturating_sub(self.unchecked.len());
        self.unchecked.extend(new.iter().map(|n| n.message_id).take(room));
    }

    async fn redact_if_due(&mut self, core: &Core, table: &mut Option<NotificationTable>) {
        if Instant::now() < self.not_before {
            return;
        }
        match in_time(redact(core, table, &self.unchecked)).await {
            Ok(()) => self.unchecked.clear(),
            Err(e) => {
                tracing::warn!(error = %e, "texts of deleted messages not taken out of notifications");
                self.not_before = Instant::now() + LOOK_EVERY;
            }
        }
    }
}

/// Takes out the texts that are marked, and those of `unchecked` messages that are deleted by now.
async fn redact(core: &Core, table: &mut Option<NotificationTable>, unchecked: &[MessageId]) -> DbResult<()> {
    if let Some(table) = known(core, table).await? {
        while core.db.redact_notifications(table, unchecked).await? {}
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
