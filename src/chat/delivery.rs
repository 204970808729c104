//! Delivery marks: that a message reached someone who was connected. Written in batches, off the sending path,
//! and told once they are written, so that nobody is told what the next query denies.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::Chat;
use crate::{
    db::{Delivery, in_time},
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

/// A message that reached someone, and who wants to know.
pub struct Delivered {
    sender: UserId,
    delivery: Delivery,
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
        }
    }
}

/// Writes and tells, until the service stops.
pub async fn run(chat: Arc<Chat>, mut queue: mpsc::Receiver<Delivered>) {
    let mut waiting = Vec::new();
    let mut next = Instant::now();
    loop {
        if !chat.next_batch(&mut queue, &mut waiting, BATCH).await {
            return;
        }
        sleep_until(next).await;
        while waiting.len() < BATCH
            && let Ok(delivered) = queue.try_recv()
        {
            waiting.push(delivered);
        }
        next = Instant::now() + if waiting.len() < CROWD { Duration::ZERO } else { PACE };
        let (senders, deliveries): (Vec<_>, Vec<_>) = waiting.drain(..).map(|d| (d.sender, d.delivery)).unzip();
        let at = match in_time(chat.db.mark_delivered(&deliveries)).await {
            Ok(at) => at,
            Err(e) => {
                // Lost marks are made up for by reading; the pause keeps a dead database from filling the log.
                tracing::warn!(error = %e, messages = deliveries.len(), "delivery marks not written");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        for (sender, d) in senders.into_iter().zip(deliveries) {
            let payload =
                MessageDelivered { message_id: d.message_id, conversation_id: d.conversation_id, delivered_at: at };
            let mut users = d.recipients;
            users.push(sender);
            let audience = Audience { users: &users, ..Audience::default() };
            chat.hub.emit(&audience, &Event::new(outgoing::MESSAGE_DELIVERED, &payload));
        }
    }
}
