//! Empties a socket's inbox: one event after the other, in a task that exists only while something waits.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt as _;

use super::{
    call::Call,
    events::EventRule,
    inbox::{Incoming, Next, RawEvent},
    session::Session,
    state::SocketState,
};
use crate::{error::Error, hub::Connection, limits::for_caller, protocol::parse_event};

/// Does what has to be done after something was put into the inbox.
pub fn proceed(state: &SocketState, session: Arc<Session>, next: Next) {
    match next {
        Next::Start(connection) => drain(state, session, connection),
        Next::Refuse(Incoming::Event(event), Some(connection)) => {
            let (rule, mut call) = read(state, session, connection, event);
            rule.refuse(&mut call, &Error::Busy);
        }
        Next::Wait | Next::Refuse(..) => {}
    }
}

fn drain(state: &SocketState, session: Arc<Session>, connection: Arc<Connection>) {
    let token = state.chat.core.tasks.in_flight.token();
    let state = state.clone();
    tokio::spawn(async move {
        while let Some(incoming) = session.inbox.next() {
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
            let (rule, mut call) = read(state, session.clone(), connection.clone(), event);
            let handler = for_caller(Some(connection.user_id), rule.dispatch(state, &mut call));
            if let Err(why) = finish(handler, state.event_timeout).await {
                tracing::error!(connection = %connection.id, event = rule.name, %why, "an event was not handled");
                rule.refuse(&mut call, &Error::Internal);
            }
        }
        Incoming::Disconnected => {
            session.give_up_place();
            session.sends_done().await;
            state.chat.rooms.gone(connection, session.is_lost.load(Ordering::Relaxed)).await;
        }
    }
}

fn read(
    state: &SocketState,
    session: Arc<Session>,
    connection: Arc<Connection>,
    RawEvent { packet, ack }: RawEvent,
) -> (&'static EventRule, Call) {
    let (name, payload) = parse_event(packet.as_str().map_or("", |text| text.as_str()));
    (EventRule::of(&name), Call::new(state, session, connection, payload, ack))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_handler_that_panics_or_hangs_is_noticed() {
        let limit = Duration::from_millis(1);
        assert_eq!(finish(async { panic!("on purpose") }, limit).await, Err(Unfinished::Panicked));
        assert_eq!(finish(std::future::pending(), limit).await, Err(Unfinished::TooLate));
        assert_eq!(finish(async {}, limit).await, Ok(()));
    }
}
