//! The readers of a message, and the members to whom it was delivered, from the watermarks.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    db::Watermark,
    domain::{Message, Status, UserId},
};

pub(super) fn user_ids(value: Option<&Value>) -> impl Iterator<Item = UserId> + '_ {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(|v| UserId::parse(v.as_str()?))
}

pub(super) fn push_new(list: &mut Vec<UserId>, id: UserId) {
    if !list.contains(&id) {
        list.push(id);
    }
}

/// Adds the readers of a message, the members to whom it was delivered, the times of both, and its status.
pub(super) fn add_readers(message: &mut Message, watermarks: &[Watermark]) {
    let earliest = |a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    for w in watermarks.iter().filter(|w| w.user_id != message.sender_id) {
        if w.last_read_seq >= message.seq {
            push_new(&mut message.read_by, w.user_id);
            message.read_at = earliest(message.read_at, w.last_read_at);
        }
        if w.last_read_seq.max(w.last_delivered_seq) >= message.seq {
            push_new(&mut message.delivered_to, w.user_id);
            message.delivered_at = earliest(message.delivered_at, w.last_delivered_at.or(w.last_read_at));
        }
    }
    for id in message.read_by.iter().filter(|id| **id != message.sender_id) {
        push_new(&mut message.delivered_to, *id);
    }
    message.status = match (message.read_by.len(), message.delivered_to.len()) {
        (2.., _) => Status::Read,
        (_, 1..) => Status::Delivered,
        _ => Status::Sent,
    };
    // A watermark may be older than what it covers by the width of a clock; a time never is.
    message.delivered_at = message.delivered_at.or(message.read_at).map(|t| t.max(message.created_at));
    message.read_at = message.read_at.map(|t| t.max(message.created_at));
}
