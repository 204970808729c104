//! Sending: check, queue, and once it is committed tell everyone (contract §Sending).

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use serde_json::Value;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{
    Chat,
    delivery::Delivered,
    details::BYTES_IN_AN_EVENT,
    notifications::{Task, notification},
    sent::{Sent, Stored},
    writer::{Queued, QuoteAhead},
};
use crate::{
    db::NewMessage,
    domain::{ConversationId, Details, Draft, Message, MessageId, User, UserId},
    error::{Error, Result},
    hub::{Audience, Connection, Event},
    protocol::events::outgoing,
};

/// How long a lane's publisher may wait for a look at a stored message: others wait behind it.
const QUOTE_WITHIN: Duration = Duration::from_secs(1);
/// How often a new message is read again where something newer was told of it meanwhile.
const LOOKS: usize = 5;

/// What to do with the outcome: called once, in the order of the conversation, before anyone else is told.
pub type Done = Box<dyn FnOnce(Result<&Sent>) + Send>;

/// The socket a message came from.
pub struct Origin {
    /// The socket.
    pub connection: Arc<Connection>,
    /// Whether it gave a `tempId` and so draws the message itself.
    pub draws_itself: bool,
    /// Whether it sent a message with this `tempId` before: the same text is then a repeat for longer.
    pub temp_id_again: bool,
}

/// What goes with a message through the writer.
pub struct Job {
    sender: Arc<User>,
    origin: Option<Origin>,
    done: Done,
    /// What it quotes, where that is being read already.
    pub(super) quote: Option<QuoteAhead>,
    /// Held until the message is published: a socket's other events wait for that.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Job {
    pub fn sender(&self) -> &Arc<User> {
        &self.sender
    }

    pub fn fail(self, error: Error) {
        (self.done)(Err(error));
    }

    /// A job for the same sender, of whose outcome nobody waits to hear any more.
    pub fn answered(&self) -> Self {
        Self { sender: self.sender.clone(), origin: None, done: Box::new(|_| ()), quote: None, _permit: None }
    }
}

impl Chat {
    /// Which lane messages to this conversation take. Two messages of one socket in different lanes may overtake each
    /// other, so a socket changes lanes only when nothing of its own is in flight.
    #[must_use]
    pub fn lane_of(&self, conversation: ConversationId) -> usize {
        self.writer.lane_of(conversation)
    }

    /// Checks a draft and queues it. `done` hears of the outcome, whatever it is.
    pub fn send(
        &self,
        sender: Arc<User>,
        conversation: Result<ConversationId>,
        draft: Result<Draft>,
        origin: Option<Origin>,
        permit: Option<OwnedSemaphorePermit>,
        done: Done,
    ) {
        let checked = draft.and_then(|d| d.check(self.max_message_chars).map(|()| d)).and_then(|d| {
            let conversation = conversation?;
            self.stored_bytes.check(sender.id)?;
            if self.is_stopping() { Err(Error::Busy) } else { Ok((conversation, d)) }
        });
        let (conversation_id, draft) = match checked {
            Ok(checked) => checked,
            Err(e) => return done(Err(e)),
        };
        self.stop_typing(conversation_id, sender.id);
        let message = NewMessage {
            id: MessageId::new(),
            conversation_id,
            sender_id: sender.id,
            kind: draft.kind(),
            attachments: serde_json::to_value(&draft.attachments).unwrap_or_else(|_| Value::Array(Vec::new())),
            text: draft.text,
            client_message_id: draft.client_message_id,
            temp_id: draft.temp_id,
            temp_id_again: origin.as_ref().is_some_and(|o| o.temp_id_again),
            reply_to: draft.reply_to,
        };
        let job = Job { sender, origin, done, quote: None, _permit: permit };
        if let Err(full) = self.writer.push(Queued::new(message, job, self.core.tasks.in_flight.token())) {
            full.job.fail(Error::Busy);
        }
    }

    /// Tells everyone of a message that was just stored. `repeats` are further askings for the same.
    pub(super) async fn publish_stored(&self, stored: Stored, members: &[UserId], job: Job, repeats: Vec<Job>) {
        let Job { sender, origin, done, quote, _permit } = job;
        self.stored_bytes.add(sender.id, stored.bytes());
        let mut sent = self.sent(stored.into_message(), sender, quote).await;
        if let Some(origin) = &origin {
            self.hub.join(&origin.connection, sent.message().conversation_id);
        }
        let others: Vec<UserId> = members.iter().copied().filter(|id| *id != sent.sender.id).collect();
        let mut quote_hidden = self.quote_hidden_from(sent.message().reply_to_message_id).await;
        // Before anyone is told: who leaves after that was here when it came.
        let here = self.hub.present(others.iter().copied());
        let not_socket = origin.filter(|o| o.draws_itself).map(|o| o.connection.id);
        let mut tell = Some(|sent: &Sent, quote_hidden: &[UserId]| {
            done(Ok(sent));
            self.answer(sent, repeats);
            self.tell_new(sent, members, &others, quote_hidden, not_socket);
        });
        let mut looks = 0..LOOKS;
        while !self.tell_unless_older(&sent, || tell.take().into_iter().for_each(|tell| tell(&sent, &quote_hidden))) {
            // It was edited or deleted before it was told, or the message that it answers was.
            let now = if looks.next().is_some() { self.sent_now(&sent).await } else { None };
            let Some(now) = now else {
                let sent = sent.with_nothing_gone(self.last_told.of(sent.message().id).is_deleted());
                tell.take().into_iter().for_each(|tell| tell(&sent, &quote_hidden));
                break;
            };
            sent = now;
            quote_hidden = self.quote_hidden_from(sent.message().reply_to_message_id).await;
        }
        self.after_sending(&sent, others, here);
    }

    /// Tells of a new message by `tell`, unless something newer was told of it or of the one that it answers.
    fn tell_unless_older(&self, sent: &Sent, tell: impl FnOnce()) -> bool {
        let message = sent.message();
        let quoted = match &sent.details.reply_to {
            Some(full) => Some(self.last_told.quoted(&full.message)),
            None => self.last_told.quoted_by(message),
        };
        self.last_told.tell_new(message, quoted.as_ref(), tell)
    }

    /// The same message as it is in the database now; `None` where that does not say.
    async fn sent_now(&self, sent: &Sent) -> Option<Sent> {
        let message = timeout(QUOTE_WITHIN, self.look(UserId::NOBODY, sent.message().id, |_| true)).await.ok()?.ok()?;
        Some(self.sent(message, sent.sender.clone(), None).await)
    }

    /// Tells those of the room who are `members`, and every socket of `others`; those who deleted the quoted message for
    /// themselves see that quote blank.
    fn tell_new(
        &self,
        sent: &Sent,
        members: &[UserId],
        others: &[UserId],
        quote_hidden: &[UserId],
        not_socket: Option<uuid::Uuid>,
    ) {
        if quote_hidden.is_empty() {
            return self.tell_part(sent, members, others, not_socket);
        }
        let part = |list: &[UserId], hidden: bool| -> Vec<UserId> {
            list.iter().copied().filter(|id| quote_hidden.contains(id) == hidden).collect()
        };
        self.tell_part(sent, &part(members, false), &part(others, false), not_socket);
        self.tell_part(&sent.with_blank_quote(), &part(members, true), &part(others, true), not_socket);
    }

    /// Tells those of the room who are `members`, and every socket of `others`.
    fn tell_part(&self, sent: &Sent, members: &[UserId], others: &[UserId], not_socket: Option<uuid::Uuid>) {
        let room = Some(sent.message().conversation_id);
        let audience = Audience { room, members, users: others, not_socket, not_user: None };
        let event = if sent.is_reply() { outgoing::NEW_REPLY } else { outgoing::NEW_MESSAGE };
        let event = Event::of_json(event, sent.json().as_str());
        let event = event.of_message(sent.message().conversation_id, sent.message().seq);
        self.hub.emit(&audience, &event.recoverable(sent.comes()));
    }

    /// What can wait: delivery marks for those who are here, notifications for those who are not. A full queue costs a
    /// mark or a notification, never a message.
    fn after_sending(&self, sent: &Sent, others: Vec<UserId>, here: Vec<UserId>) {
        let away = others.into_iter().filter(|id| !here.contains(id) && !sent.message().is_deleted);
        for user in away {
            if self.behind.notifications.try_send(Task::Write(notification(sent, user))).is_err() {
                tracing::warn!("notifications are behind, one was dropped");
            }
        }
        if !here.is_empty() && self.behind.deliveries.try_send(Delivered::new(sent.message(), here)).is_err() {
            tracing::warn!("delivery marks are behind, one was dropped");
        }
    }

    async fn sent(&self, mut message: Message, sender: Arc<User>, ahead: Option<QuoteAhead>) -> Sent {
        self.uploads.renew_links(&mut message, Utc::now());
        // Without the database the reply goes out all the same, quoting in short.
        let quoted = timeout(QUOTE_WITHIN, self.quoted_by(&message, &sender, ahead)).await.ok().flatten();
        let (edit_history, edit_history_count) = (Vec::new(), 0);
        let details =
            Details { message, sender: Some(sender.clone()), edit_history, edit_history_count, reply_to: quoted };
        Sent::new(details, sender)
    }

    /// What a message quotes, in full: as it was read ahead, or as it is now.
    async fn quoted_by(&self, message: &Message, sender: &User, ahead: Option<QuoteAhead>) -> Option<Box<Details>> {
        message.reply_to_message_id?;
        if let Some(ahead) = ahead
            && let Some(quoted) = ahead.quoted().await
        {
            return quoted;
        }
        self.quoted(sender, message.reply_to_message_id, BYTES_IN_AN_EVENT).await.ok().flatten()
    }

    /// Answers a repeat, and repeats of it, with the stored message, and tells nobody else twice. It is as the database has
    /// it: a sender who deleted it for themselves is told all the same that it is stored.
    pub(super) async fn answer_repeat(&self, message: Message, job: Job, mut repeats: Vec<Job>) {
        let mut sent = self.sent(message, job.sender.clone(), None).await;
        sent.is_repeat = true;
        repeats.insert(0, job);
        self.answer(&sent, repeats);
    }

    fn answer(&self, sent: &Sent, jobs: Vec<Job>) {
        for job in jobs {
            if let Some(origin) = &job.origin {
                self.hub.join(&origin.connection, sent.message().conversation_id);
            }
            (job.done)(Ok(sent));
        }
    }
}
