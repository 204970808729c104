//! Delivery marks: that a message reached someone who was connected. Written in batches, off the sending path,
//! and told once they are written, so that nobody is told what the next query denies.

use std::{collections::HashSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::Chat;
use crate::{
    db::{Delivery, Member, in_time},
    domain::{Message, UserId},
    hub::{Audience, Event},
    protocol::{MessageDelivered, events::outgoing},
};

/// Marks that may wait.
pub const QUEUE: usize = 20_000;
const BATCH: usize = QUEUE;
/// From so many at once on there is so much to mark that it goes at a pace.
const CROWD: usize = 16;
/// From one statement to the next, then. The later messages of a conversation cover the earlier ones: to wait makes fewer
/// rows of them.
const PACE: Duration = Duration::from_millis(100);

/// How long a mark is tried again whose row somebody holds a lock on.
const TRY_FOR: Duration = Duration::from_secs(30);

/// A message that reached someone, and who wants to know.
pub struct Delivered {
    sender: UserId,
    delivery: Delivery,
    since: Instant,
}

impl Delivered {
    pub fn new(message: &Message, recipients: Vec<UserId>) -> Self {
        Self {
            sender: message.sender_id,
            delivery: Delivery {
                message_id: message.id,
                conversation_id: message.conversation_id,
                seq: message.seq,
                recipients,
            },
            since: Instant::now(),
        }
    }
}

/// Writes and tells, until the service stops.
pub async fn run(chat: Arc<Chat>, mut queue: mpsc::Receiver<Delivered>) {
    let mut waiting: Vec<Delivered> = Vec::new();
    let mut next = Instant::now();
    loop {
        // What met a lock is tried again without waiting for more to come.
        if waiting.is_empty() {
            if !chat.core.tasks.next_batch(&mut queue, &mut waiting, BATCH).await {
                return;
            }
            sleep_until(next).await;
        } else if chat.core.tasks.stop.is_cancelled() {
            return;
        } else {
            sleep(PACE).await;
        }
        while waiting.len() < BATCH
            && let Ok(delivered) = queue.try_recv()
        {
            waiting.push(delivered);
        }
        next = Instant::now() + if waiting.len() < CROWD { Duration::ZERO } else { PACE };
        let (about, deliveries): (Vec<_>, Vec<_>) =
            waiting.drain(..).map(|d| ((d.sender, d.since), d.delivery)).unzip();
        let (at, left) = match in_time(chat.db.mark_delivered(&deliveries)).await {
            Ok(marked) => marked,
            Err(e) => {
                // Lost marks are made up for by reading; the pause keeps a dead database from filling the log.
                tracing::warn!(error = %e, messages = deliveries.len(), "delivery marks not written");
                sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let left: HashSet<Member> = left.into_iter().collect();
        for ((sender, since), mut delivery) in about.into_iter().zip(deliveries) {
            let conversation = delivery.conversation_id;
            let is_left = |user: &UserId| left.contains(&(conversation, *user));
            let later: Vec<UserId> = delivery.recipients.extract_if(.., |user| is_left(user)).collect();
            if !delivery.recipients.is_empty() {
                tell(&chat, sender, &delivery, at);
            }
            if !later.is_empty() && since.elapsed() < TRY_FOR {
                waiting.push(Delivered { sender, delivery: Delivery { recipients: later, ..delivery }, since });
            }
        }
    }
}

fn tell(chat: &Chat, sender: UserId, delivery: &Delivery, delivered_at: DateTime<Utc>) {
    let &Delivery { message_id, conversation_id, .. } = delivery;
    let payload = MessageDelivered { message_id, conversation_id, delivered_at };
    let users: Vec<UserId> = delivery.recipients.iter().copied().chain([sender]).collect();
    let audience = Audience { users: &users, ..Audience::default() };
    chat.hub.emit(&audience, &Event::new(outgoing::MESSAGE_DELIVERED, &payload));
}
