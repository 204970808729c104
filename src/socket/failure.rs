//! The answers to events that failed (contract §Errors).

use serde::Serialize;

use super::call::Call;
use crate::{
    error::Error,
    protocol::{Failure, events::outgoing, named_message},
};

/// The answer to one kind of event if it fails.
#[derive(Clone, Copy)]
pub struct OnFailure {
    /// The text for trouble on our side; other errors have a text of their own.
    text: &'static str,
    /// True if the text is the same for every error that the handler returns; only the `code` differs.
    is_only_text: bool,
    answer: AnswerBy,
}

#[derive(Clone, Copy)]
enum AnswerBy {
    /// `chat:error` and the acknowledgement.
    Error,
    /// The same; `chat:error` names the action and the message.
    Action(&'static str),
    /// The acknowledgement alone.
    Ack,
    Function(fn(&mut Call, &Error)),
}

/// `chat:error` and the acknowledgement.
pub const fn error(text: &'static str) -> OnFailure {
    OnFailure { text, is_only_text: false, answer: AnswerBy::Error }
}

/// The same; `chat:error` names the action and the message.
pub const fn action(action: &'static str, text: &'static str) -> OnFailure {
    OnFailure { text, is_only_text: false, answer: AnswerBy::Action(action) }
}

/// The acknowledgement alone: nobody waits to hear of it otherwise.
pub const fn ack(text: &'static str) -> OnFailure {
    OnFailure { text, is_only_text: false, answer: AnswerBy::Ack }
}

pub const fn by(answer: fn(&mut Call, &Error)) -> OnFailure {
    OnFailure { text: "", is_only_text: false, answer: AnswerBy::Function(answer) }
}

impl OnFailure {
    /// The same text, whatever error a handler returns: so the contract has it for some events.
    pub const fn only_text(self) -> Self {
        Self { is_only_text: true, ..self }
    }

    pub fn tell(self, call: &mut Call, error: &Error) {
        if self.is_only_text {
            self.say(call, &Failure::worded(error, self.text), error);
        } else {
            self.refuse(call, error);
        }
    }

    /// Answers an event whose handler did not run, or not to its end: too many came or wait, it panicked, it took too long.
    pub fn refuse(self, call: &mut Call, error: &Error) {
        self.say(call, &Failure::new(error, self.text), error);
    }

    fn say(self, call: &mut Call, failure: &Failure, error: &Error) {
        match self.answer {
            AnswerBy::Error => call.fail_with_error(failure),
            AnswerBy::Action(action) => {
                let message_id = named_message(&call.payload);
                call.emit(outgoing::ERROR, &ActionFailure { failure, action, message_id });
                call.fail(failure);
            }
            AnswerBy::Ack => call.fail(failure),
            AnswerBy::Function(answer) => answer(call, error),
        }
    }
}

/// `chat:error` with the action that failed.
#[derive(Serialize)]
struct ActionFailure<'a> {
    #[serde(flatten)]
    failure: &'a Failure,
    action: &'static str,
    /// As the client sent it.
    #[serde(rename = "messageId", skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
}
