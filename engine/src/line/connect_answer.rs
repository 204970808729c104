//! The data that the application adds to the answers to Socket.IO CONNECT packets. socketioxide writes these answers, and has no
//! way to add to them.

use super::Line;
use crate::frame::Frame;

/// Members for the JSON object of one answer.
pub(super) struct Addition {
    /// The answer up to its object: a packet type and a namespace, as in `0` or `4/custom,`.
    head: Box<str>,
    /// As they stand in the object: `"pid":"x"`.
    members: Box<str>,
}

/// The two answers to a CONNECT packet, by their packet types.
#[derive(Clone, Copy)]
pub(crate) enum ConnectAnswer {
    Connect = 0,
    ConnectError = 4,
}

impl Line {
    /// Keeps what is to be added to the next such answer for this namespace, in place of what was kept before.
    pub fn add_to_answer(&self, answer: ConnectAnswer, namespace: &str, members: &str) {
        let packet_type = answer as u8;
        let head = match namespace {
            "/" => packet_type.to_string(),
            other => format!("{packet_type}{other},"),
        };
        let addition = Addition { head: head.into(), members: members.into() };
        let mut state = self.state.lock();
        state.additions.retain(|other| other.head != addition.head);
        state.additions.push(addition);
    }

    /// A Socket.IO packet with what is to be added to it. `None` if that is nothing.
    pub fn with_addition(&self, packet: &str) -> Option<Frame> {
        if !packet.starts_with(['0', '4']) {
            return None;
        }
        let object = packet.strip_suffix('}')?;
        let mut state = self.state.lock();
        let is_for_it =
            |addition: &Addition| packet.strip_prefix(&*addition.head).is_some_and(|rest| rest.starts_with('{'));
        let found = state.additions.iter().position(is_for_it)?;
        let addition = state.additions.swap_remove(found);
        if state.additions.is_empty() {
            // A session keeps no room for it.
            state.additions = Vec::new();
        }
        drop(state);
        Some(Frame::text_of(&[object, ",", &addition.members, "}"]))
    }
}
