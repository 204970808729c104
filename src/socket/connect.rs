//! Accepts a socket: checks its user, recovers its state, and registers the callbacks by which the library hands on its events.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use socketioxide::{
    adapter::LocalAdapter,
    extract::SocketRef,
    handler::{ConnectHandler, ConnectMiddleware, MessageHandler, Value},
    socket::{DisconnectReason, Socket},
};
use uuid::Uuid;

use super::{
    auth::{Refusal, admit, auth_object},
    drain::proceed,
    inbox::{Incoming, RawEvent},
    session::Session,
    state::{FromBrowser, SocketState},
};
use crate::{
    domain::User,
    hub::{Arrival, Connection, Handle},
};

/// Marks our implementations of the library's handler traits, which it also has for closures.
pub enum Ordered {}

#[derive(Clone)]
pub struct Authenticate(pub SocketState);

impl ConnectMiddleware<LocalAdapter, Ordered> for Authenticate {
    async fn call<'a>(
        &'a self,
        socket: Arc<Socket<LocalAdapter>>,
        auth: &'a Option<Value>,
    ) -> Result<(), Box<dyn fmt::Display + Send>> {
        let session = self.authenticate(&socket, auth.as_ref()).await.map_err(|refusal| {
            tracing::info!(reason = %refusal, "handshake refused");
            if let Some(handle) = socket.req_parts().extensions.get::<Handle>() {
                handle.add_to_connect_error(socket.ns(), &format!("\"data\":{}", refusal.data()));
            }
            Box::new(refusal) as Box<dyn fmt::Display + Send>
        })?;
        register(&self.0, &socket, session);
        Ok(())
    }
}

impl Authenticate {
    async fn authenticate(&self, socket: &Socket<LocalAdapter>, auth: Option<&Value>) -> Result<Session, Refusal> {
        let Self(state) = self;
        let (user, expires_at) = admit(state, socket, auth).await?;
        let place = state.limits.seats.of_user(user.id).ok_or(Refusal::TooMany)?;
        let mut arrival = state.hub.expect(user.id).over(socket.id);
        let pid = self.recover(socket, auth, &user, &mut arrival).await;
        Ok(Session::new(user, expires_at, Some(place), Some(arrival), pid))
    }

    /// Connection state recovery. Returns the socket's `pid`, the id with which its client may come back, and puts it into the
    /// answer to CONNECT. If the client takes the place of its earlier socket, it keeps that socket's `pid`; otherwise it gets a
    /// new one. `None` if recovery is switched off or the client cannot use it.
    async fn recover(
        &self,
        socket: &Socket<LocalAdapter>,
        auth: Option<&Value>,
        user: &User,
        arrival: &mut Arrival,
    ) -> Option<Uuid> {
        let Self(state) = self;
        let auth = auth_object(auth);
        let extensions = &socket.req_parts().extensions;
        if !state.hub.recovers() || !(extensions.get::<FromBrowser>().is_some() || auth.wants_recovery()) {
            return None;
        }
        let handle = extensions.get::<Handle>()?;
        // The times in the positions of events are compared with the time in the pid.
        let mut pid = state.pids.fresh(state.chat.recovery.now());
        if let Some((text, offset)) = auth.comes_back()
            && let Some(earlier) = state.pids.verify(text, user.id)
            && state.chat.recovery.recover(user, arrival, earlier, offset).await
        {
            pid = earlier;
        }
        let text = state.pids.text(&pid, user.id);
        handle.add_to_connect_answer(socket.ns(), &format!("\"pid\":\"{text}\""));
        Some(pid.id)
    }
}

/// Registers the handlers of events and of the disconnect. Runs before the CONNECT reply goes out, so that an event that follows
/// at once finds its handler, and so does the end of a socket that is gone before it was let in.
fn register(state: &SocketState, socket: &Socket<LocalAdapter>, session: Session) {
    let session = Arc::new(session);
    socket.extensions.insert(session.clone());
    socket.on_fallback(OnEvent(state.clone()));
    let state = state.clone();
    socket.on_disconnect(async move |reason: DisconnectReason| {
        session.is_lost.store(is_loss(reason), Ordering::Relaxed);
        let next = session.inbox.push(Incoming::Disconnected, state.queue);
        proceed(&state, session, next);
    });
}

/// True if the line broke, or the server cut a slow client: after that a client comes back by itself.
fn is_loss(reason: DisconnectReason) -> bool {
    use DisconnectReason::{ClientNSDisconnect, ClosingServer, ServerNSDisconnect};
    !matches!(reason, ClientNSDisconnect | ServerNSDisconnect | ClosingServer)
}

/// Runs when a socket was let in. Called synchronously, unlike a closure, which the library would spawn.
#[derive(Clone)]
pub struct OnConnect(pub SocketState);

impl ConnectHandler<LocalAdapter, Ordered> for OnConnect {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, _auth: Option<Value>) {
        let Some(session) = socket.extensions.get::<Arc<Session>>() else { return };
        let Some(arrival) = session.take_arrival() else { return };
        let (user, socket) = (session.user.clone(), SocketRef::from(socket));
        let connection = Arc::new(Connection::new(session.id, user, session.expires_at, socket, session.pid));
        let rooms = arrival.complete(&connection);
        self.0.chat.presence.connected(&connection);
        self.0.chat.recovery.came_back(&connection, rooms);
        let next = session.inbox.open(connection);
        proceed(&self.0, session, next);
    }
}

/// Receives every event of a socket, in the order of the wire.
#[derive(Clone)]
struct OnEvent(SocketState);

impl MessageHandler<LocalAdapter, Ordered> for OnEvent {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, packet: Value, ack: Option<i64>) {
        let Some(session) = socket.extensions.get::<Arc<Session>>() else { return };
        let incoming = Incoming::Event(RawEvent { packet, ack });
        let stopping = self.0.chat.core.tasks.is_stopping();
        let inbox = &session.inbox;
        let next = if stopping { inbox.refuse(incoming) } else { inbox.push(incoming, self.0.queue) };
        proceed(&self.0, session, next);
    }
}
