//! The table of events: which limit an event counts against, which handler it has, and how its failure is told.

use futures::future::{BoxFuture, ready};

use super::{
    auth::renew,
    call::Call,
    conversation_events::{join, leave, mark_read, typing},
    failure::{OnFailure, ack, action, by, error},
    list_events::{get_conversations, get_messages, sync},
    message_events::{add_reaction, delete_message, edit_message, remove_reaction},
    send_events::{refuse_send, send_message, send_reply},
    state::SocketState,
};
use crate::{
    error::{Error, Result},
    limits::Kind::{self, Action, Join, Message, Read, Typing},
    protocol::Failure,
};

type Handler = for<'a> fn(&'a mut Call) -> BoxFuture<'a, Result<()>>;

/// The rule of one event: its limit, its handler, and the answer if it fails.
pub struct EventRule {
    pub name: &'static str,
    limit: Kind,
    handler: Handler,
    on_failure: OnFailure,
}

#[rustfmt::skip]
const EVENTS: &[EventRule] = &[
    rule("chat:join",              Join,    |c| Box::pin(join(c)),              error("Failed to join conversation")),
    rule("chat:leave",             Join,    |c| Box::pin(leave(c)),             error("Failed to leave conversation")),
    rule("chat:typing",            Typing,  |c| Box::pin(typing(c)),            ack("Failed to update typing status")),
    rule("chat:mark_read",         Action,  |c| Box::pin(mark_read(c)),         error("Failed to mark messages as read")),
    rule("chat:get_conversations", Read,    |c| Box::pin(get_conversations(c)), error("Failed to get conversations").only_text()),
    rule("chat:get_messages",      Read,    |c| Box::pin(get_messages(c)),      error("Failed to get messages")),
    rule("chat:sync",              Read,    |c| Box::pin(sync(c)),              error("Failed to sync")),
    rule("chat:send_message",      Message, |c| Box::pin(send_message(c)),      by(refuse_send)),
    rule("chat:send_reply",        Message, |c| Box::pin(send_reply(c)),        by(refuse_send)),
    rule("chat:edit_message",      Action,  |c| Box::pin(edit_message(c)),      action("edit_message", "Failed to edit message")),
    rule("chat:delete_message",    Action,  |c| Box::pin(delete_message(c)),    action("delete_message", "Failed to delete message")),
    rule("chat:add_reaction",      Action,  |c| Box::pin(add_reaction(c)),      action("add_reaction", "Failed to add reaction").only_text()),
    rule("chat:remove_reaction",   Action,  |c| Box::pin(remove_reaction(c)),   action("remove_reaction", "Failed to remove reaction").only_text()),
    rule("chat:authenticate",      Action,  |c| Box::pin(renew(c)),             error("Internal server error")),
];

/// Any other event. Socket.IO ignores events that nobody listens to; a client that asked for an answer gets one.
const UNKNOWN: EventRule = rule("unknown", Action, unknown, error("Internal server error"));

const fn rule(name: &'static str, limit: Kind, handler: Handler, on_failure: OnFailure) -> EventRule {
    EventRule { name, limit, handler, on_failure }
}

fn unknown(call: &mut Call) -> BoxFuture<'_, Result<()>> {
    call.fail(&Failure::with_message("Unknown event", "unknown_event"));
    Box::pin(ready(Ok(())))
}

impl EventRule {
    pub fn of(name: &str) -> &'static Self {
        EVENTS.iter().find(|rule| rule.name == name).unwrap_or(&UNKNOWN)
    }

    /// Handles an event within its limit. A socket that goes on asking after many refusals is disconnected.
    pub async fn dispatch(&self, state: &SocketState, call: &mut Call) {
        let (rates, user) = (&state.limits.rates, call.connection.user_id);
        if let Err(e) = rates.check(self.limit, user) {
            if rates.is_flooding(user) {
                state.hub.expel(&call.connection);
            }
            return self.refuse(call, &e);
        }
        // Messages of one socket are stored together; whatever comes after them has to see them stored.
        if self.limit != Message {
            call.session.sends_done().await;
        }
        if let Err(e) = (self.handler)(call).await {
            self.on_failure.tell(call, &e);
        }
    }

    /// Answers an event that is not handled to its end: too many came or wait, or its handler panicked or took too long.
    pub fn refuse(&self, call: &mut Call, error: &Error) {
        self.on_failure.refuse(call, error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_one_rule() {
        for rule in EVENTS {
            assert_eq!(EVENTS.iter().filter(|other| other.name == rule.name).count(), 1, "{}", rule.name);
        }
        assert_eq!(EventRule::of("chat:leave").name, "chat:leave");
        assert_eq!(EventRule::of("disconnect").name, "unknown");
    }
}
