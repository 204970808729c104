//! Answers the sender of a message (contract §Sending): once, in the order of the conversation, before anyone else is told. A
//! [`ReplyTo`] that is dropped unanswered, because something panicked, answers that sending failed.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::sent::Sent;
use crate::{
    error::{Error, Result},
    hub::{Answer, Connection, Event, Hub},
    protocol::{Failure, SendFailure, ack_around, events::outgoing},
};

pub enum ReplyTo {
    Socket(UnansweredSocket),
    /// A task of this server, such as a REST request, which waits at the other end.
    Task(oneshot::Sender<Result<Sent>>),
    /// Nobody: the sender has been answered.
    Nobody,
}

/// A socket that sent a message, and what its client gave to recognise the answer by.
pub struct SenderSocket {
    pub hub: Arc<Hub>,
    /// A server that stops answers nothing: its clients ask again when they are back.
    pub in_flight: TaskTracker,
    pub connection: Arc<Connection>,
    /// The id of the acknowledgement, if the client asked for one.
    pub ack: Option<i64>,
    /// True if it used `chat:send_reply`.
    pub is_reply: bool,
    /// The `tempId` as it was sent.
    pub temp_id: Option<Value>,
    /// The `conversationId` as it was sent.
    pub conversation_id: Option<Value>,
}

/// A socket that waits for its answer. It is taken out when the answer is given.
pub struct UnansweredSocket(Option<SenderSocket>);

impl From<SenderSocket> for ReplyTo {
    fn from(socket: SenderSocket) -> Self {
        Self::Socket(UnansweredSocket(Some(socket)))
    }
}

impl ReplyTo {
    /// The task that calls this. It gets no answer if something panicked.
    #[must_use]
    pub fn task() -> (Self, oneshot::Receiver<Result<Sent>>) {
        let (tell, told) = oneshot::channel();
        (Self::Task(tell), told)
    }

    pub(super) fn socket(&self) -> Option<&SenderSocket> {
        match self {
            Self::Socket(socket) => socket.0.as_ref(),
            Self::Task(_) | Self::Nobody => None,
        }
    }

    pub(super) fn sent(self, sent: &Sent) {
        match self {
            Self::Socket(mut socket) => {
                if let Some(sender) = &socket.0 {
                    sender.tell_sent(sent);
                }
                socket.0 = None;
            }
            Self::Task(tell) => {
                tell.send(Ok(sent.clone())).ok();
            }
            Self::Nobody => {}
        }
    }

    pub fn failed(self, error: &Error) {
        match self {
            Self::Socket(mut socket) => {
                if let Some(sender) = socket.0.take() {
                    sender.tell_failed(error);
                }
            }
            Self::Task(tell) => {
                tell.send(Err(error.clone())).ok();
            }
            Self::Nobody => {}
        }
    }
}

impl Drop for UnansweredSocket {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take().filter(|sender| !sender.in_flight.is_closed()) {
            sender.tell_failed(&Error::Internal);
        }
    }
}

impl SenderSocket {
    /// True if its client draws the message itself, because it gave a `tempId`: it needs no `chat:new_message`.
    pub(super) fn draws_itself(&self) -> bool {
        self.temp_id.as_ref().is_some_and(|id| *id != Value::String(String::new()))
    }

    fn tell_sent(&self, sent: &Sent) {
        let event = if self.is_reply { outgoing::REPLY_SENT } else { outgoing::MESSAGE_SENT };
        let message = sent.json().with_temp_id(self.temp_id.as_ref());
        let event = Event::of_json(event, &message);
        // A client that does not draw it waits for no answer: the message itself comes to it, too.
        let temp_id = self.temp_id.as_ref().filter(|_| self.draws_itself() && self.connection.pid.is_some());
        let event = match sent.happening(temp_id) {
            Some(happening) => event.recoverable(happening),
            None => event,
        };
        self.hub.emit_to(&self.connection, &event);
        if let Some(id) = self.ack {
            self.hub.acknowledge(&self.connection, Answer::of_json(id, &ack_around(&message)));
        }
    }

    fn tell_failed(&self, error: &Error) {
        const FAILED: &str = "Failed to send message";
        let failure = Failure::new(error, FAILED);
        self.emit(
            outgoing::MESSAGE_FAILED,
            &SendFailure {
                temp_id: self.temp_id.as_ref(),
                conversation_id: self.conversation_id.as_ref(),
                message: failure.message().to_owned(),
                code: error.code(),
                retry_after_ms: error.retry_after_ms(),
            },
        );
        if self.temp_id.is_none() {
            self.emit(outgoing::ERROR, &failure);
        }
        if let Some(id) = self.ack {
            self.hub.acknowledge(&self.connection, Answer::new(id, &failure));
        }
    }

    fn emit<T: Serialize>(&self, event: &'static str, payload: &T) {
        self.hub.emit_to(&self.connection, &Event::new(event, payload));
    }
}
