//! Delivery marks: a message reached a user who was connected. They are written in batches, off the sending path, and told
//! after they are written, so that nobody is told what the next query denies.

use std::{collections::HashSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::core::Core;
use crate::{
    db::{Delivery, Member, in_time},
    domain::{Message, UserId},
    hub::Event,
    protocol::{MessageDelivered, events::outgoing},
};

const QUEUE: usize = 20_000;
const BATCH: usize = QUEUE;
/// From this many waiting marks on, statements are at least `PACE` apart.
const CROWD: usize = 16;
/// The pause between statements. A later message of a conversation covers the earlier ones, so waiting makes fewer rows.
const PACE: Duration = Duration::from_millis(100);

/// How long a mark whose row is locked is tried again.
const TRY_FOR: Duration = Duration::from_secs(30);

struct Delivered {
    sender: UserId,
    delivery: Delivery,
    since: Instant,
}

pub struct Deliveries {
    queue: mpsc::Sender<Delivered>,
}

impl Deliveries {
    pub(super) fn start(core: &Arc<Core>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        core.tasks.background(run(core.clone(), waiting));
        Self { queue }
    }

    /// Queues that a message reached `recipients`. If the queue is full, the mark is lost; reading makes up for it.
    pub fn queue(&self, message: &Message, recipients: Vec<UserId>) {
        let &Message { id: message_id, conversation_id, seq, .. } = message;
        let delivery = Delivery { message_id, conversation_id, seq, recipients };
        let delivered = Delivered { sender: message.sender_id, delivery, since: Instant::now() };
        if self.queue.try_send(delivered).is_err() {
            tracing::warn!("delivery marks are behind, one was dropped");
        }
    }
}

async fn run(core: Arc<Core>, mut queue: mpsc::Receiver<Delivered>) {
    let mut waiting: Vec<Delivered> = Vec::new();
    let mut next = Instant::now();
    loop {
        // What met a lock is tried again without waiting for more to come.
        if waiting.is_empty() {
            if !core.tasks.next_batch(&mut queue, &mut waiting, BATCH).await {
                return;
            }
            sleep_until(next).await;
        } else if core.tasks.stop.is_cancelled() {
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
        let (at, left) = match in_time(core.db.mark_delivered(&deliveries)).await {
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
                tell(&core, sender, &delivery, at);
            }
            if !later.is_empty() && since.elapsed() < TRY_FOR {
                waiting.push(Delivered { sender, delivery: Delivery { recipients: later, ..delivery }, since });
            }
        }
    }
}

fn tell(core: &Core, sender: UserId, delivery: &Delivery, delivered_at: DateTime<Utc>) {
    let &Delivery { message_id, conversation_id, .. } = delivery;
    let payload = MessageDelivered { message_id, conversation_id, delivered_at };
    let users: Vec<UserId> = delivery.recipients.iter().copied().chain([sender]).collect();
    core.tell(&users, &Event::new(outgoing::MESSAGE_DELIVERED, &payload));
}
