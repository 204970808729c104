//! The entrance: checks a draft and queues it.

use std::{sync::Arc, time::Instant};

use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    job::{Held, Job},
    lanes::{Destination, Lanes},
    publish::Publisher,
    reply::ReplyTo,
    writer::spawn,
};
use crate::{
    chat::{core::Core, typing::Typing, uploads::StoredBytes},
    config::Config,
    db::NewMessage,
    domain::{ConversationId, Draft, MessageId, User},
    error::{Error, Result},
};

pub struct SendRequest {
    pub sender: Arc<User>,
    /// The conversation and its lane; an error if the client named none.
    pub destination: Result<Destination>,
    /// The text and files; an error if the payload is malformed.
    pub draft: Result<Draft>,
    /// True if the socket sent a message with this `tempId` before: then the same content is a repeat for ten minutes, not one.
    pub temp_id_again: bool,
    /// Held until the message is published: a socket's other events wait for that.
    pub permit: Option<OwnedSemaphorePermit>,
    pub reply: ReplyTo,
}

pub struct Sending {
    core: Arc<Core>,
    typing: Arc<Typing>,
    stored_bytes: Arc<StoredBytes>,
    lanes: Lanes,
    max_chars: usize,
}

impl Sending {
    /// Starts the writer and the publisher of each lane.
    pub(in crate::chat) fn start(
        core: Arc<Core>,
        typing: Arc<Typing>,
        stored_bytes: Arc<StoredBytes>,
        publisher: &Publisher,
        config: &Config,
    ) -> Self {
        let (lanes, ends) = Lanes::new(config);
        for lane in ends {
            spawn(lane, config.writer_batch, publisher.clone());
        }
        Self { core, typing, stored_bytes, lanes, max_chars: config.max_message_chars }
    }

    pub fn destination(&self, conversation: ConversationId) -> Destination {
        self.lanes.destination(conversation)
    }

    pub fn send(&self, request: SendRequest) {
        let SendRequest { sender, destination, draft, temp_id_again, permit, reply } = request;
        let (destination, draft) = match self.check(&sender, destination, draft) {
            Ok(checked) => checked,
            Err(e) => return reply.failed(&e),
        };
        self.typing.stop(destination.conversation, sender.id);
        let message = NewMessage {
            id: MessageId::new(),
            conversation_id: destination.conversation,
            sender_id: sender.id,
            kind: draft.kind(),
            attachments: serde_json::to_value(&draft.attachments).unwrap_or_else(|_| Value::Array(Vec::new())),
            text: draft.text,
            client_message_id: draft.client_message_id,
            temp_id: draft.temp_id,
            temp_id_again,
            reply_to: draft.reply_to,
        };
        let held = Held::new(permit, self.core.tasks.in_flight.token());
        let job = Job { message, sender, reply, quote: None, repeats: Vec::new(), since: Instant::now(), held };
        if let Err(refused) = self.lanes.push(destination.lane, job) {
            refused.fail(&Error::Busy);
        }
    }

    fn check(
        &self,
        sender: &User,
        destination: Result<Destination>,
        draft: Result<Draft>,
    ) -> Result<(Destination, Draft)> {
        let draft = draft?;
        draft.check(self.max_chars)?;
        let destination = destination?;
        self.stored_bytes.check(sender.id)?;
        if self.core.tasks.is_stopping() { Err(Error::Busy) } else { Ok((destination, draft)) }
    }
}
