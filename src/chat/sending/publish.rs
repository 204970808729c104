//! The end of a lane: tells what was written, in the lane's order. First the sender is answered, then everyone else is
//! told.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use tokio::{sync::mpsc, time::timeout};
use uuid::Uuid;

use super::{
    job::{Batch, Job, QuoteAhead},
    quotes::quoted,
    reply::ReplyTo,
    sent::{Sent, bytes_of, message_of},
};
use crate::{
    chat::{core::Core, deliveries::Deliveries, messages::Messages, notifications::Notifications, uploads::Uploads},
    db::{Outcome, Written, in_time},
    domain::{ConversationId, Details, Message, User, UserId},
    error::{Error, Result},
    hub::{Audience, Event},
    protocol::events::outgoing,
};

/// Longest wait of a lane's publisher for reading a stored message: other messages wait behind it.
const QUOTE_WITHIN: Duration = Duration::from_secs(1);
/// Most reads of a new message of which a newer version was sent meanwhile.
const LOOKS: usize = 5;

/// Stored messages that were sent again, by conversation and number.
type Repeated = HashMap<(ConversationId, i64), Message>;

#[derive(Clone)]
pub struct Publisher {
    pub core: Arc<Core>,
    pub messages: Arc<Messages>,
    pub uploads: Arc<Uploads>,
    pub deliveries: Arc<Deliveries>,
    pub notifications: Arc<Notifications>,
}

/// The members of the conversations in which a batch stored something.
fn members(batch: &Batch) -> HashMap<ConversationId, &Arc<[UserId]>> {
    let written = batch.iter().filter_map(|(job, outcome)| Some((job, outcome.as_ref().ok()?)));
    let stored = written.filter(|(_, written)| matches!(written.outcome, Outcome::Stored { .. }));
    stored.map(|(job, written)| (job.message.conversation_id, &written.members)).collect()
}

impl Publisher {
    pub async fn run(self, mut batches: mpsc::Receiver<Batch>) {
        while let Some(batch) = batches.recv().await {
            let repeated = self.repeated_in(&batch).await;
            for (conversation, members) in members(&batch) {
                self.core.membership.remember(conversation, members).await;
            }
            for (job, outcome) in batch {
                let published = AssertUnwindSafe(self.publish(job, outcome, &repeated)).catch_unwind().await;
                if published.is_err() {
                    tracing::error!("publishing a message panicked; the lane goes on");
                }
            }
        }
    }

    /// Reads the messages that a batch repeats, in as few statements however many.
    async fn repeated_in(&self, batch: &Batch) -> Repeated {
        let seq = |(job, outcome): &(Job, _)| match outcome {
            Ok(Written { outcome: Outcome::Repeat { seq }, .. }) => Some((job.message.conversation_id, *seq)),
            _ => None,
        };
        let repeated: Vec<_> = batch.iter().filter_map(seq).collect();
        if repeated.is_empty() {
            return Repeated::new();
        }
        in_time(self.core.db.stored_messages(&repeated)).await.unwrap_or_else(|e| {
            tracing::warn!(error = %e, "stored messages not found again");
            Repeated::new()
        })
    }

    async fn publish(&self, job: Job, outcome: Result<Written>, repeated: &Repeated) {
        let Written { outcome, members, .. } = match outcome {
            Ok(written) => written,
            Err(e) => return job.fail(&e),
        };
        let refusal = match outcome {
            Outcome::Stored { seq, created_at, reply_to } => {
                self.uploads.stored_bytes.add(job.sender.id, bytes_of(&job.message));
                // All that is held is held to the end.
                let Job { message, sender, reply, quote, repeats, held: _held, .. } = job;
                let message = message_of(message, seq, created_at, reply_to);
                let sent = self.sent(message, sender, quote).await;
                return self.publish_new(sent, &members, reply, repeats).await;
            }
            Outcome::Repeat { seq } => match repeated.get(&(job.message.conversation_id, seq)) {
                Some(message) => return self.answer_repeat(message.clone(), job).await,
                None => Error::Internal,
            },
            Outcome::NotFound => Error::ConversationNotFound,
            Outcome::NotMember => Error::NotAuthorized,
            Outcome::Closed => Error::ConversationClosed,
            Outcome::Blocked => Error::Blocked,
            Outcome::ParticipantDeleted => Error::ParticipantDeleted,
            Outcome::ReplyNotFound => Error::ReplyNotFound,
            // It was tried again, or its sender was told that it failed.
            Outcome::TooLate => Error::Internal,
        };
        job.fail(&refusal);
    }

    /// Tells of a message that was just stored: its sender and those of its repeats, then everyone else.
    async fn publish_new(&self, mut sent: Sent, members: &[UserId], reply: ReplyTo, repeats: Vec<Job>) {
        let hub = &self.core.hub;
        let socket = reply.socket();
        if let Some(socket) = socket {
            hub.join(&socket.connection, sent.message().conversation_id);
        }
        let not_socket = socket.filter(|socket| socket.draws_itself()).map(|socket| socket.connection.id);
        let others: Vec<UserId> = members.iter().copied().filter(|id| *id != sent.sender.id).collect();
        let mut quote_hidden = self.quote_hidden(&sent).await;
        // Before anyone is told: a user who leaves after that was here when it came.
        let here = hub.present(others.iter().copied());
        let mut tell = Some(|sent: &Sent, quote_hidden: &[UserId]| {
            reply.sent(sent);
            self.answer(sent, repeats);
            self.tell(sent, members, &others, quote_hidden, not_socket);
        });
        let mut looks = 0..LOOKS;
        sent.is_late = self.core.on_their_way.are_late();
        while !self.tell_unless_older(&sent, || tell.take().into_iter().for_each(|tell| tell(&sent, &quote_hidden))) {
            // It was edited or deleted before it was told, or the message that it answers was.
            let now = if looks.next().is_some() { self.sent_now(&sent).await } else { None };
            let Some(now) = now else {
                sent.is_late = self.core.on_their_way.are_late();
                let sent = sent.with_nothing_gone(self.messages.last_told.of(sent.message().id).is_deleted());
                tell.take().into_iter().for_each(|tell| tell(&sent, &quote_hidden));
                break;
            };
            sent = now;
            quote_hidden = self.quote_hidden(&sent).await;
            sent.is_late = self.core.on_their_way.are_late();
        }
        self.after_sending(&sent, others, here);
    }

    /// The users who deleted the quoted message for themselves; none if the database does not say in time.
    async fn quote_hidden(&self, sent: &Sent) -> Vec<UserId> {
        let hidden = self.messages.quote_hidden(sent.message().reply_to_message_id);
        timeout(QUOTE_WITHIN, hidden).await.unwrap_or_default()
    }

    /// Tells of a new message by `tell`, unless something newer was told of it or of the one that it answers.
    fn tell_unless_older(&self, sent: &Sent, tell: impl FnOnce()) -> bool {
        let (message, last_told) = (sent.message(), &self.messages.last_told);
        let quoted = match &sent.details.reply_to {
            Some(full) => Some(last_told.quoted(&full.message)),
            None => last_told.quoted_by(message),
        };
        last_told.tell_new(message, quoted.as_ref(), tell)
    }

    /// The same message as it is in the database now; `None` if that does not say.
    async fn sent_now(&self, sent: &Sent) -> Option<Sent> {
        let look = self.messages.look(UserId::NOBODY, sent.message().id, |_| true);
        let message = timeout(QUOTE_WITHIN, look).await.ok()?.ok()?;
        Some(self.sent(message, sent.sender.clone(), None).await)
    }

    /// A stored message as it is told, with what it quotes.
    async fn sent(&self, mut message: Message, sender: Arc<User>, ahead: Option<QuoteAhead>) -> Sent {
        self.uploads.links.renew(&mut message);
        // Without the database the reply goes out all the same, quoting in short.
        let quoted = quoted(&self.messages, message.reply_to_message_id, &sender, ahead);
        let reply_to = timeout(QUOTE_WITHIN, quoted).await.ok().flatten();
        let (edit_history, edit_history_count) = (Vec::new(), 0);
        let details = Details { message, sender: Some(sender.clone()), edit_history, edit_history_count, reply_to };
        Sent::new(details, sender)
    }

    /// Answers a repeat, and repeats of it, with the stored message, and tells nobody else twice. The message is as the
    /// database has it: a sender who deleted it for themselves is told all the same that it is stored.
    async fn answer_repeat(&self, message: Message, job: Job) {
        let mut sent = self.sent(message, job.sender.clone(), None).await;
        sent.is_repeat = true;
        self.answer(&sent, job.split());
    }

    fn answer(&self, sent: &Sent, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            if let Some(socket) = job.reply.socket() {
                self.core.hub.join(&socket.connection, sent.message().conversation_id);
            }
            job.reply.sent(sent);
        }
    }

    /// Tells those of the room who are `members`, and every socket of `others`. Users who deleted the quoted message for
    /// themselves see that quote blank.
    fn tell(
        &self,
        sent: &Sent,
        members: &[UserId],
        others: &[UserId],
        quote_hidden: &[UserId],
        not_socket: Option<Uuid>,
    ) {
        if quote_hidden.is_empty() {
            return self.emit(sent, members, others, not_socket);
        }
        let part = |list: &[UserId], hidden: bool| -> Vec<UserId> {
            list.iter().copied().filter(|id| quote_hidden.contains(id) == hidden).collect()
        };
        self.emit(sent, &part(members, false), &part(others, false), not_socket);
        self.emit(&sent.with_blank_quote(), &part(members, true), &part(others, true), not_socket);
    }

    fn emit(&self, sent: &Sent, members: &[UserId], others: &[UserId], not_socket: Option<Uuid>) {
        let &Message { conversation_id, seq, .. } = sent.message();
        let audience = Audience { room: Some(conversation_id), members, users: others, not_socket, not_user: None };
        let event = if sent.is_reply() { outgoing::NEW_REPLY } else { outgoing::NEW_MESSAGE };
        let event = Event::of_json(event, sent.json().as_str()).of_message(conversation_id, seq);
        self.core.hub.emit(&audience, &event.recoverable(sent.comes()));
    }

    /// Queues delivery marks for users with a socket, and notifications for the others. If such a queue is full, a mark or a
    /// notification is lost, never a message.
    fn after_sending(&self, sent: &Sent, others: Vec<UserId>, here: Vec<UserId>) {
        for user in others.into_iter().filter(|id| !here.contains(id) && !sent.message().is_deleted) {
            self.notifications.queue(sent.message(), &sent.sender, user);
        }
        if !here.is_empty() {
            self.deliveries.queue(sent.message(), here);
        }
    }
}
