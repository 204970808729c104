//! One event that is being handled: what came, from which socket, and the ways to answer.

use std::sync::Arc;

use serde::Serialize;

use super::{session::Session, state::SocketState};
use crate::{
    auth::Tokens,
    chat::Chat,
    hub::{Answer, Connection, Event, Hub},
    protocol::{Ack, AckPage, Failure, Payload, events::outgoing},
};

pub struct Call {
    pub chat: Arc<Chat>,
    pub hub: Arc<Hub>,
    pub tokens: Arc<Tokens>,
    pub session: Arc<Session>,
    pub connection: Arc<Connection>,
    /// Its payload; empty when there was none, or none that is an object.
    pub payload: Payload,
    /// The id of the acknowledgement that the client asked for. The first answer takes it.
    ack: Option<i64>,
}

impl Call {
    /// A call with this payload; `ack` is the id of the acknowledgement that the client asked for.
    pub fn new(
        state: &SocketState,
        session: Arc<Session>,
        connection: Arc<Connection>,
        payload: Payload,
        ack: Option<i64>,
    ) -> Self {
        let (chat, hub, tokens) = (state.chat.clone(), state.hub.clone(), state.tokens.clone());
        Self { chat, hub, tokens, session, connection, payload, ack }
    }

    pub fn emit<T: Serialize>(&self, event: &'static str, payload: &T) {
        self.hub.emit_to(&self.connection, &Event::new(event, payload));
    }

    /// Sends an event to this socket, also while it is on hold.
    pub fn emit_now<T: Serialize>(&self, event: &'static str, payload: &T) {
        self.hub.emit_now(&self.connection, &Event::new(event, payload));
    }

    pub fn wants_answer(&self) -> bool {
        self.ack.is_some()
    }

    /// Takes the acknowledgement's id: somebody else answers.
    pub fn take_ack(&mut self) -> Option<i64> {
        self.ack.take()
    }

    pub fn succeed<T: Serialize>(&mut self, data: T) {
        self.acknowledge(&Ack::new(data));
    }

    pub fn succeed_page<T: Serialize>(&mut self, data: T, next: Option<&str>) {
        self.acknowledge(&AckPage::new(data, next));
    }

    pub fn fail(&mut self, failure: &Failure) {
        self.acknowledge(failure);
    }

    /// Sends `chat:error` and acknowledges failure.
    pub fn fail_with_error(&mut self, failure: &Failure) {
        self.emit(outgoing::ERROR, failure);
        self.fail(failure);
    }

    fn acknowledge<T: Serialize>(&mut self, answer: &T) {
        if let Some(id) = self.ack.take() {
            self.hub.acknowledge(&self.connection, Answer::new(id, answer));
        }
    }
}
