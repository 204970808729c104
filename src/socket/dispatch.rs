//! From the library's callbacks to the inbox, and from the inbox to the handlers.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt as _;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use socketioxide::{
    adapter::LocalAdapter,
    extract::SocketRef,
    handler::{ConnectHandler, MessageHandler, Value},
    socket::{DisconnectReason, Socket},
};

use super::{
    SocketState, chat_events,
    session::{Incoming, MAX_SENDS_IN_FLIGHT, Next, RawEvent, Session},
};
use crate::{
    auth::Tokens,
    chat::Chat,
    error::Error,
    hub::{Answer, Connection, Event},
    limits::for_caller,
    protocol::{Ack, AckPage, Failure, Payload, events::outgoing},
};

/// Marks our implementations of the library's handler traits, which it also has for closures.
pub enum Ordered {}

/// Runs when a socket was let in. Called synchronously, unlike a closure, which the library would spawn.
#[derive(Clone)]
pub struct OnConnect(pub SocketState);

impl ConnectHandler<LocalAdapter, Ordered> for OnConnect {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, _auth: Option<Value>) {
        let Some(session) = socket.extensions.get::<Arc<Session>>() else { return };
        let Some(arrival) = session.take_arrival() else { return };
        let connection = Connection::new(session.id, session.user.clone(), session.expires_at, SocketRef::from(socket));
        let connection = Arc::new(connection.with_pid(session.pid));
        let rooms = arrival.complete(&connection);
        self.0.chat.user_connected(&connection);
        self.0.chat.came_back(&connection, rooms);
        let next = session.open(connection);
        proceed(&self.0, session, next);
    }
}

/// Registers what has to be there before the CONNECT reply goes out: an event that follows it at once finds its
/// handler, and so does the end of a socket that is gone before it was let in.
pub fn register(state: &SocketState, socket: &Socket<LocalAdapter>, session: Session) {
    let session = Arc::new(session);
    socket.extensions.insert(session.clone());
    socket.on_fallback(OnEvent(state.clone()));
    let state = state.clone();
    socket.on_disconnect(async move |reason: DisconnectReason| {
        session.is_lost.store(is_loss(reason), Ordering::Relaxed);
        let next = session.push(Incoming::Disconnected, state.queue);
        proceed(&state, session, next);
    });
}

/// Whether the line broke, or was cut because of its client's slowness: a client comes back after that by itself.
fn is_loss(reason: DisconnectReason) -> bool {
    use DisconnectReason::{ClientNSDisconnect, ClosingServer, ServerNSDisconnect};
    !matches!(reason, ClientNSDisconnect | ServerNSDisconnect | ClosingServer)
}

/// Receives every event of a socket, in the order of the wire.
#[derive(Clone)]
pub struct OnEvent(pub SocketState);

impl MessageHandler<LocalAdapter, Ordered> for OnEvent {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, packet: Value, ack: Option<i64>) {
        let Some(session) = socket.extensions.get::<Arc<Session>>() else { return };
        let incoming = Incoming::Event(RawEvent { packet, ack });
        let stopping = self.0.chat.is_stopping();
        let next = if stopping { session.refuse(incoming) } else { session.push(incoming, self.0.queue) };
        proceed(&self.0, session, next);
    }
}

fn proceed(state: &SocketState, session: Arc<Session>, next: Next) {
    match next {
        Next::Start(connection) => drain(state, session, connection),
        Next::Refuse(Incoming::Event(event), Some(connection)) => {
            let call = Call::new(state, session, connection, &event);
            chat_events::refuse(call, &Error::Busy);
        }
        Next::Wait | Next::Refuse(..) => {}
    }
}

fn drain(state: &SocketState, session: Arc<Session>, connection: Arc<Connection>) {
    let token = state.chat.in_flight().token();
    let state = state.clone();
    tokio::spawn(async move {
        while let Some(incoming) = session.next() {
            let done = AssertUnwindSafe(handle(&state, &session, &connection, incoming)).catch_unwind().await;
            if done.is_err() {
                tracing::error!(connection = %connection.id, "a handler panicked; the socket goes on");
            }
        }
        drop(token);
    });
}

async fn handle(state: &SocketState, session: &Arc<Session>, connection: &Arc<Connection>, incoming: Incoming) {
    match incoming {
        Incoming::Event(event) => {
            let call = Call::new(state, session.clone(), connection.clone(), &event);
            drop(event);
            let spare = call.clone();
            let handler = for_caller(Some(connection.user().id), chat_events::dispatch(call));
            if let Err(why) = finish(handler, state.event_timeout).await {
                tracing::error!(connection = %connection.id, event = &*spare.event, %why, "an event was not handled");
                chat_events::refuse(spare, &Error::Internal);
            }
        }
        Incoming::Disconnected => {
            session.give_up_place();
            session.sends_done().await;
            state.chat.disconnected(connection, session.is_lost.load(Ordering::Relaxed)).await;
        }
    }
}

/// Why a handler did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unfinished {
    #[error("it panicked")]
    Panicked,
    #[error("it took too long")]
    TooLate,
}

/// Runs a handler to its end, unless it panics or takes too long: its client has to be answered then.
async fn finish(handler: impl Future<Output = ()>, limit: Duration) -> Result<(), Unfinished> {
    match tokio::time::timeout(limit, AssertUnwindSafe(handler).catch_unwind()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Unfinished::Panicked),
        Err(_) => Err(Unfinished::TooLate),
    }
}

impl Session {
    /// Waits until no message of this socket is on its way: what comes next must see them stored.
    pub async fn sends_done(&self) {
        drop(self.sends.acquire_many(MAX_SENDS_IN_FLIGHT).await);
    }
}

/// One event being handled: what came, from whom, and the ways to answer.
#[derive(Clone)]
pub struct Call {
    /// The use cases.
    pub chat: Arc<Chat>,
    /// Checks a token that renews the socket's.
    pub tokens: Arc<Tokens>,
    /// The socket's state.
    pub session: Arc<Session>,
    /// The socket in the hub.
    pub connection: Arc<Connection>,
    /// The event's name; empty for a packet without one.
    pub event: Arc<str>,
    /// Its payload; empty when there was none, or none that is an object.
    pub payload: Arc<Payload>,
    /// Taken by the first answer.
    ack: Arc<Mutex<Option<i64>>>,
}

impl Call {
    fn new(state: &SocketState, session: Arc<Session>, connection: Arc<Connection>, raw: &RawEvent) -> Self {
        let (chat, tokens) = (state.chat.clone(), state.tokens.clone());
        let (event, payload) = parse(&raw.packet);
        let ack = Arc::new(Mutex::new(raw.ack));
        Self { chat, tokens, session, connection, event: event.into(), payload: Arc::new(payload), ack }
    }

    /// Sends an event to this socket.
    pub fn emit<T: Serialize>(&self, event: &'static str, payload: &T) {
        self.chat.hub().emit_to(&self.connection, &Event::new(event, payload));
    }

    /// Sends an event to this socket, also while it is on hold.
    pub fn emit_now<T: Serialize>(&self, event: &'static str, payload: &T) {
        self.chat.hub().emit_now(&self.connection, &Event::new(event, payload));
    }

    /// Whether the client waits for an acknowledgement.
    pub fn wants_answer(&self) -> bool {
        self.ack.lock().is_some()
    }

    /// Takes the acknowledgement's id: somebody else answers.
    pub fn take_ack(&self) -> Option<i64> {
        self.ack.lock().take()
    }

    /// Acknowledges success, if the client asked.
    pub fn succeed<T: Serialize>(&mut self, data: T) {
        self.acknowledge(&Ack::new(data));
    }

    /// Acknowledges one page of a list, if the client asked.
    pub fn succeed_page<T: Serialize>(&mut self, data: T, next: Option<&str>) {
        self.acknowledge(&AckPage::new(data, next));
    }

    /// Acknowledges failure, if the client asked.
    pub fn fail(&mut self, failure: &Failure) {
        self.acknowledge(failure);
    }

    /// Answers a failure the seed's way: `chat:error`, and the acknowledgement.
    pub fn error(&mut self, error: &Error, failed: &str) {
        self.fail_with_error(&Failure::new(error, failed));
    }

    /// As [`Call::error`], with a text of its own.
    pub fn fail_with_error(&mut self, failure: &Failure) {
        self.emit(outgoing::ERROR, failure);
        self.fail(failure);
    }

    fn acknowledge<T: Serialize>(&mut self, answer: &T) {
        if let Some(id) = self.ack.lock().take() {
            self.chat.hub().acknowledge(&self.connection, Answer::new(id, answer));
        }
    }
}

/// Takes a packet apart: `["event", payload, …]` (Socket.IO protocol, EVENT). Of a broken payload the readable fields are
/// kept; each event answers it like its error case. Binary leaves placeholder objects, which are no texts either.
#[must_use]
pub fn parse(packet: &Value) -> (String, Payload) {
    let text = packet.as_str().map_or("", |s| s.as_str());
    let mut name = serde_json::Deserializer::from_str(text.get(1..).unwrap_or_default()).into_iter::<String>();
    let event = name.next().and_then(Result::ok).unwrap_or_default();
    let parts: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    let payload = parts.get(1).map_or_else(Payload::default, |p| Payload::of_event(p.get()));
    (event, payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ConversationRef, SendMessage};

    #[tokio::test]
    async fn a_handler_that_panics_or_hangs_is_noticed() {
        let limit = Duration::from_millis(1);
        assert_eq!(finish(async { panic!("on purpose") }, limit).await, Err(Unfinished::Panicked));
        assert_eq!(finish(std::future::pending(), limit).await, Err(Unfinished::TooLate));
        assert_eq!(finish(async {}, limit).await, Ok(()));
    }

    #[test]
    fn one_bad_field_does_not_hide_which_message_failed() {
        let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
        let text = format!(r#"["chat:send_message",{{"message":"hi","attachments":{deep},"tempId":"t"}}]"#);
        let (_, payload) = parse(&Value::Str(text.into(), None));
        let send = SendMessage::from(&payload);
        assert_eq!(send.temp_id, Some("t".into()));
        assert!(matches!(send.draft, Err(Error::InvalidAttachment(_))));
    }

    fn parsed(text: &str) -> (String, bool) {
        let (event, payload) = parse(&Value::Str(text.to_owned().into(), None));
        (event, ConversationRef::from(&payload).0.is_some())
    }

    #[test]
    fn a_bad_payload_does_not_hide_the_event() {
        let good = r#"["chat:join",{"conversationId":"00000000-0000-4000-8000-000000000001"}]"#;
        assert_eq!(parsed(good), ("chat:join".to_owned(), true));
        let deep = format!(r#"["chat:join",{}1{}]"#, "[".repeat(10_000), "]".repeat(10_000));
        for bad in [r#"["chat:join"]"#, r#"["chat:join",null]"#, r#"["chat:join",NaN]"#, r#"["chat:join",{"#, &deep] {
            assert_eq!(parsed(bad), ("chat:join".to_owned(), false));
        }
        for nameless in ["", "[", "[]", "[1]", "{}"] {
            assert_eq!(parsed(nameless), (String::new(), false));
        }
    }
}
