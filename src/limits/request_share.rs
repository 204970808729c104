//! What one REST request takes of its caller's share, until its answer has been sent.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::{HeldBytes, Limits, Over, Owner, Place};
use crate::{
    domain::UserId,
    error::{Error, Result},
};

/// A request's part of its caller's share: empty until it is known who calls. Every clone is the same one; it is given back
/// with the last.
#[derive(Clone, Debug, Default)]
pub struct RequestShare(Arc<OnceLock<Taken>>);

#[derive(Debug)]
struct Taken {
    _place: Place<UserId>,
    answer: Mutex<HeldBytes>,
}

impl RequestShare {
    /// Takes one of the places that `user` has for requests at a time.
    ///
    /// # Errors
    /// [`Error::RateLimited`] where all are taken.
    pub fn take(&self, limits: &Limits, user: UserId) -> Result<()> {
        let place = limits.requests.take(user).ok_or(Error::RateLimited { retry_after_ms: RETRY_AFTER_MS })?;
        let answer = Mutex::new(limits.answers.share(Owner::User(user)));
        // Whoever calls twice in one request holds the first place.
        self.0.set(Taken { _place: place, answer }).ok();
        Ok(())
    }

    /// Counts the bytes of the answer.
    ///
    /// # Errors
    /// [`Error::RateLimited`] where too many of the caller's wait to be read, [`Error::Busy`] where too many do in all.
    pub fn hold_answer(&self, bytes: usize) -> Result<()> {
        let Some(taken) = self.0.get() else { return Ok(()) };
        taken.answer.lock().add(bytes).map_err(|over| match over {
            Over::Owner => Error::RateLimited { retry_after_ms: RETRY_AFTER_MS },
            Over::All => Error::Busy,
        })
    }
}

/// When to try again: a place is free as soon as an answer was read.
const RETRY_AFTER_MS: u64 = 1000;
