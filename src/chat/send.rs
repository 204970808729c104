//! Sending: check, queue, and once it is committed tell everyone (contract §2, Sending).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{Chat, delivery::Delivered, writer::Queued};
use crate::{
    db::{NewMessage, Page},
    domain::{ConversationId, Draft, Message, MessageId, Quote, User, UserId},
    error::{Error, Result},
    hub::{Audience, Connection, Event},
    protocol::{MessageView, events::outgoing},
};

/// A stored message and who sent it.
pub struct Sent {
    /// The message.
    pub message: Message,
    /// Its author.
    pub sender: Arc<User>,
}

impl Sent {
    /// As events carry it.
    #[must_use]
    pub fn view(&self) -> MessageView<'_> {
        MessageView::from(&self.message).from_sender(self.sender.name(), self.sender.role)
    }
}

/// What to do with the outcome: called once, in the order of the conversation, before anyone else is told.
pub type Done = Box<dyn FnOnce(Result<&Sent>) + Send>;

/// The socket a message came from.
pub struct Origin {
    /// The socket.
    pub connection: Arc<Connection>,
    /// Whether it gave a `tempId` and so draws the message itself.
    pub draws_itself: bool,
}

/// What goes with a message through the writer.
pub struct Job {
    sender: Arc<User>,
    origin: Option<Origin>,
    done: Done,
    /// Held until the message is published: a socket's other events wait for that.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Job {
    pub fn fail(self, error: Error) {
        (self.done)(Err(error));
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
            reply_to: draft.reply_to,
        };
        let job = Job { sender, origin, done, _permit: permit };
        if let Err(full) = self.writer.push(Queued { message, job, token: self.in_flight.token() }) {
            full.job.fail(Error::Busy);
        }
    }

    #[allow(clippy::too_many_arguments)] // the parts of one stored message
    pub(super) async fn publish_stored(
        &self,
        new: NewMessage,
        seq: i64,
        created_at: DateTime<Utc>,
        reply_to: Option<Quote>,
        members: &[UserId],
        job: Job,
        deliveries: &mpsc::Sender<Delivered>,
    ) {
        let conversation = new.conversation_id;
        self.remember_members(conversation, members).await;
        let sent = Sent { message: stored_message(new, seq, created_at, reply_to), sender: job.sender };
        if let Some(origin) = &job.origin {
            self.hub.join(&origin.connection, conversation);
        }
        (job.done)(Ok(&sent));
        let others: Vec<UserId> = members.iter().copied().filter(|id| *id != sent.sender.id).collect();
        let audience = Audience {
            room: Some(conversation),
            members,
            users: &others,
            not_socket: job.origin.filter(|o| o.draws_itself).map(|o| o.connection.sid()),
            not_user: None,
        };
        self.hub.emit(&audience, &Event::new(outgoing::NEW_MESSAGE, &sent.view()));
        let recipients = self.hub.present(others);
        if !recipients.is_empty() {
            let delivered = Delivered::new(&sent.message, recipients);
            // A full queue costs a delivery mark, not a message: reading it says the same later.
            if deliveries.try_send(delivered).is_err() {
                tracing::warn!("delivery marks are behind, one was dropped");
            }
        }
    }

    /// Answers a repeat with the stored message, and tells nobody else twice.
    pub(super) async fn answer_repeat(&self, new: &NewMessage, seq: i64, members: &[UserId], job: Job) {
        if let Some(origin) = &job.origin {
            self.hub.join(&origin.connection, new.conversation_id);
        }
        debug_assert!(members.contains(&new.sender_id), "repeats are found for members only");
        match self.stored(new.conversation_id, new.sender_id, seq).await {
            Ok(message) => (job.done)(Ok(&Sent { message, sender: job.sender })),
            Err(e) => (job.done)(Err(e)),
        }
    }

    async fn stored(&self, conversation: ConversationId, viewer: UserId, seq: i64) -> Result<Message> {
        let access = self.db.access(conversation, viewer).await?.ok_or(Error::ConversationNotFound)?;
        let page = Page { limit: 1, offset: 0, before: Some(seq + 1), after: Some(seq - 1) };
        let mut found = self.db.messages(conversation, viewer, page, &access.watermarks).await?;
        found.pop().ok_or(Error::Internal)
    }
}

fn stored_message(new: NewMessage, seq: i64, created_at: DateTime<Utc>, reply_to: Option<Quote>) -> Message {
    Message {
        id: new.id,
        conversation_id: new.conversation_id,
        sender_id: new.sender_id,
        seq,
        text: new.text,
        kind: new.kind.to_owned(),
        attachments: new.attachments,
        read_by: vec![new.sender_id],
        delivered_to: Vec::new(),
        read_at: None,
        delivered_at: None,
        is_edited: false,
        is_deleted: false,
        created_at,
        updated_at: created_at,
        edited_at: None,
        deleted_at: None,
        deletion_type: None,
        deleted_by: None,
        edit_count: 0,
        client_message_id: new.client_message_id,
        reply_to_message_id: new.reply_to,
        reply_to,
        reactions: Vec::new(),
    }
}
