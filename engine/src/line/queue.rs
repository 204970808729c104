//! The outgoing queue: who may put something in, and how it comes out.

use std::{collections::VecDeque, sync::atomic::Ordering, task::Context};

use parking_lot::MutexGuard;
use tokio::sync::mpsc::error::TrySendError;

use super::{Carrier, End, Line, State, wake};
use crate::frame::Frame;

/// The next step of the WebSocket's task.
pub(crate) enum Next {
    /// Write what it was given.
    Write,
    /// Wait: its waker is kept.
    Wait,
    /// Finish.
    End(End),
}

impl Line {
    /// Takes a place in the queue.
    pub fn reserve(&self) -> Result<(), TrySendError<()>> {
        let mut state = self.state.lock();
        self.has_room(&state)?;
        state.reserved += 1;
        Ok(())
    }

    fn has_room(&self, state: &State) -> Result<(), TrySendError<()>> {
        if state.end.is_some() {
            return Err(TrySendError::Closed(()));
        }
        if self.packets.load(Ordering::Relaxed) + state.reserved >= self.max_packets {
            return Err(TrySendError::Full(()));
        }
        Ok(())
    }

    /// Gives a reserved place back.
    pub fn give_back(&self) {
        self.state.lock().reserved -= 1;
    }

    /// Sends frames, next to each other, in a reserved place.
    pub fn push_reserved(&self, frames: impl IntoIterator<Item = Frame>) {
        let mut state = self.state.lock();
        state.reserved -= 1;
        self.push(state, frames);
    }

    /// Sends a frame if there is room.
    pub fn try_push(&self, frame: Frame) -> Result<(), TrySendError<()>> {
        let state = self.state.lock();
        self.has_room(&state)?;
        self.push(state, [frame]);
        Ok(())
    }

    /// Sends frames when nothing else waits; the latest replace those before.
    pub fn push_volatile(&self, frames: Vec<Frame>) {
        let mut state = self.state.lock();
        if self.packets.load(Ordering::Relaxed) > 0 {
            state.volatile = frames;
        } else {
            self.push(state, frames);
        }
    }

    pub(super) fn push(&self, mut state: MutexGuard<'_, State>, frames: impl IntoIterator<Item = Frame>) {
        if state.end.is_some() {
            return;
        }
        for frame in frames {
            self.count(&frame);
            state.queue.push_back(frame);
        }
        let waker = match state.carrier {
            Carrier::Polling => state.poller.take(),
            Carrier::WebSocket => state.writer.take(),
        };
        drop(state);
        wake(waker);
    }

    /// Counts a frame as one that waits.
    pub fn count(&self, frame: &Frame) {
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(frame.len(), Ordering::Relaxed);
    }

    /// Frames that were taken are with the kernel, or in an answer.
    pub fn written(&self, packets: usize, bytes: usize) {
        self.packets.fetch_sub(packets, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Gives the WebSocket's task what waits; it has written all of what it was given before.
    pub fn next(&self, frames: &mut VecDeque<Frame>, cx: &Context<'_>) -> Next {
        let mut state = self.state.lock();
        if state.carrier == Carrier::WebSocket {
            self.take_volatile(&mut state);
            if !state.queue.is_empty() {
                std::mem::swap(frames, &mut state.queue);
                return Next::Write;
            }
        }
        state.wait(cx)
    }

    /// Keeps the waker of a WebSocket's task that is not to be given anything.
    pub fn wait(&self, cx: &Context<'_>) -> Next {
        self.state.lock().wait(cx)
    }

    pub(super) fn take_volatile(&self, state: &mut State) {
        if state.queue.is_empty() && !state.volatile.is_empty() {
            let frames = std::mem::take(&mut state.volatile);
            frames.iter().for_each(|frame| self.count(frame));
            state.queue.extend(frames);
        }
    }
}

impl State {
    fn wait(&mut self, cx: &Context<'_>) -> Next {
        if let Some(end) = self.end {
            return Next::End(end);
        }
        match &mut self.writer {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Next::Wait
    }
}
