//! The polling transport's requests: at most one GET and one POST of a session at a time.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::MutexGuard;
use tokio::time::{Instant, sleep_until};

use super::{Carrier, EndedBy, Line, State};
use crate::{frame::Frame, payload, refusal::Refusal, socket::DisconnectReason};

/// The answer to a poll.
#[derive(Debug)]
pub(crate) enum Answer {
    /// These packets.
    Frames(Vec<Frame>),
    /// The last frames: the session has ended.
    LastFrames(Vec<Frame>),
    /// Nothing, so that the client stops polling.
    Noop,
    /// Nothing: the client has closed the session.
    Closed,
    Refused(Refusal),
}

enum Step {
    Answer(Answer),
    /// Nothing yet; look again at this time at the latest.
    Wait(Option<Instant>),
}

/// A GET request that waits. Dropped without an answer, its client is gone.
pub(crate) struct OpenPoll {
    line: Arc<Line>,
    begun: Instant,
    max_bytes: usize,
    is_answered: bool,
}

impl Line {
    /// A GET request came. A second one at the same time ends the session.
    pub fn open_poll(self: &Arc<Self>, max_bytes: usize) -> Result<OpenPoll, Refusal> {
        self.begin(|state| &mut state.polling)?.poll_given_up = false;
        Ok(OpenPoll { line: self.clone(), begun: Instant::now(), max_bytes, is_answered: false })
    }

    /// A POST request came. A second one at the same time ends the session.
    pub fn open_post(self: &Arc<Self>) -> Result<OpenPost, Refusal> {
        drop(self.begin(|state| &mut state.posting)?);
        Ok(OpenPost(self.clone()))
    }

    /// Sets the flag of a kind of request, unless one of its kind is under way.
    fn begin(&self, is_under_way: impl FnOnce(&mut State) -> &mut bool) -> Result<MutexGuard<'_, State>, Refusal> {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return Err(Refusal::UnknownSession);
        }
        if state.carrier == Carrier::WebSocket {
            return Err(Refusal::BadRequest);
        }
        if std::mem::replace(is_under_way(&mut state), true) {
            drop(state);
            self.end(DisconnectReason::MultipleHttpPollingError, EndedBy::Server);
            return Err(Refusal::BadRequest);
        }
        Ok(state)
    }

    fn poll_step(&self, poll: &OpenPoll, cx: &Context<'_>) -> Step {
        let mut state = self.state.lock();
        if let Some(end) = state.end {
            return Step::Answer(match (end.by, end.reason) {
                (EndedBy::Cut, _) => Answer::Refused(Refusal::UnknownSession),
                (EndedBy::Client, _) => Answer::Closed,
                (EndedBy::Server, _) => Answer::LastFrames(self.take_frames(&mut state, usize::MAX)),
            });
        }
        if state.carrier == Carrier::WebSocket {
            return Step::Answer(Answer::Refused(Refusal::BadRequest));
        }
        let frames = self.take_frames(&mut state, poll.max_bytes);
        if !frames.is_empty() {
            return Step::Answer(Answer::Frames(frames));
        }
        let noop_at = state.probe.noop_at(poll.begun);
        if noop_at.is_some_and(|at| at <= Instant::now()) {
            state.probe.noop_sent();
            return Step::Answer(Answer::Noop);
        }
        match &mut state.poller {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Step::Wait(noop_at)
    }

    /// Frames of up to `max_bytes` as a payload, and at least one where one waits.
    fn take_frames(&self, state: &mut State, max_bytes: usize) -> Vec<Frame> {
        self.take_volatile(state);
        let mut bytes = 0;
        let fits = |frame: &&Frame| {
            let is_first = bytes == 0;
            bytes += payload::encoded_len(frame);
            is_first || bytes <= max_bytes
        };
        let count = state.queue.iter().take_while(fits).count();
        let frames: Vec<Frame> = state.queue.drain(..count).collect();
        if state.queue.is_empty() {
            // A silent session keeps no room for frames.
            state.queue = VecDeque::new();
        }
        self.written(frames.len(), frames.iter().map(Frame::len).sum());
        frames
    }
}

impl OpenPoll {
    /// Waits for what there is to say.
    pub async fn answer(mut self) -> Answer {
        let mut timer = None;
        let answer = poll_fn(|cx| {
            loop {
                match self.line.poll_step(&self, cx) {
                    Step::Answer(answer) => return Poll::Ready(answer),
                    Step::Wait(None) => return Poll::Pending,
                    Step::Wait(Some(at)) => {
                        let sleep = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
                        if sleep.deadline() != at {
                            sleep.as_mut().reset(at);
                        }
                        if sleep.as_mut().poll(cx).is_pending() {
                            return Poll::Pending;
                        }
                    }
                }
            }
        });
        let answer = answer.await;
        self.is_answered = true;
        let mut state = self.line.state.lock();
        (state.polling, state.poller) = (false, None);
        drop(state);
        answer
    }
}

impl Drop for OpenPoll {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let mut state = self.line.state.lock();
        state.poller = None;
        state.polling = false;
        // A client that upgrades may give its poll up. If it does not upgrade after all, it is gone.
        state.poll_given_up = !state.probe.is_none();
        let gone = state.carrier == Carrier::Polling && state.probe.is_none();
        drop(state);
        if gone {
            self.line.end(DisconnectReason::TransportError, EndedBy::Client);
        }
    }
}

/// A POST request that is being received.
pub(crate) struct OpenPost(Arc<Line>);

impl Drop for OpenPost {
    fn drop(&mut self) {
        self.0.state.lock().posting = false;
    }
}
