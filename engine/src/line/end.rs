//! The end of a session: who ended it, and who waits for that.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use super::{Carrier, Line, State, wake};
use crate::socket::{DisconnectReason, Sid};

/// The way in which a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub reason: DisconnectReason,
    pub by: EndedBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndedBy {
    /// The client said so, or is gone.
    Client,
    /// The server: what waits is sent first.
    Server,
    /// The server, at once: nothing more is sent.
    Cut,
}

/// Is told of sessions that ended while no task of their own was there to see it.
pub(crate) trait Owner: Send + Sync {
    fn ended(self: Arc<Self>, sid: Sid, reason: DisconnectReason);
}

impl Line {
    /// Ends the session. False if it has ended before.
    pub fn end(&self, reason: DisconnectReason, by: EndedBy) -> bool {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return false;
        }
        state.end = Some(End { reason, by });
        self.ended.store(true, Ordering::Release);
        state.volatile = Vec::new();
        if by == EndedBy::Cut {
            state.queue = VecDeque::new();
        }
        let is_polling = state.carrier == Carrier::Polling;
        state.gone = is_polling;
        let (poller, writer) = (state.poller.take(), state.writer.take());
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        wake(poller);
        wake(writer);
        watchers.into_iter().for_each(|(_, waker)| waker.wake());
        if is_polling {
            self.tell_owner(reason);
        }
        true
    }

    /// Not within the call: the caller may hold locks that the application's callback takes.
    fn tell_owner(&self, reason: DisconnectReason) {
        let Some(owner) = self.owner.upgrade() else { return };
        let sid = self.sid;
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move { owner.ended(sid, reason) })),
            Err(_) => owner.ended(sid, reason),
        }
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The way in which the session ended; `None` if it has not.
    pub fn how_ended(&self) -> Option<End> {
        self.state.lock().end
    }

    /// The WebSocket is closed.
    pub fn set_gone(&self) {
        let mut state = self.state.lock();
        state.gone = true;
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        watchers.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Resolves when the session has ended.
    pub async fn wait_for_end(&self) {
        self.watch(|state| state.end.is_some()).await;
    }

    /// Resolves when the transport is closed.
    pub async fn wait_until_gone(&self) {
        self.watch(|state| state.gone).await;
    }

    async fn watch(&self, is_over: impl Fn(&State) -> bool) {
        let mut watcher = Watcher { line: self, number: None };
        poll_fn(|cx| {
            let mut state = self.state.lock();
            if is_over(&state) { Poll::Ready(()) } else { watcher.register(&mut state, cx) }
        })
        .await;
    }
}

/// One that waits for the end. It leaves no waker behind when it is dropped.
struct Watcher<'a> {
    line: &'a Line,
    number: Option<u64>,
}

impl Watcher<'_> {
    fn register(&mut self, state: &mut State, cx: &Context<'_>) -> Poll<()> {
        let number = *self.number.get_or_insert_with(|| {
            state.watchers_so_far += 1;
            state.watchers_so_far
        });
        match state.watchers.iter_mut().find(|(other, _)| *other == number) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => state.watchers.push((number, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.line.state.lock().watchers.retain(|(other, _)| *other != number);
        }
    }
}
