//! The part of its caller's limits that one REST request holds until its answer has been sent.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::{HeldBytes, Limits, Over, Owner, Place};
use crate::{
    domain::UserId,
    error::{Error, Result},
};

/// A request's part of its caller's limits: empty until the caller is known. All clones share it; dropping the last one
/// returns it.
#[derive(Clone, Debug, Default)]
pub struct RequestShare(Arc<OnceLock<Taken>>);

#[derive(Debug)]
struct Taken {
    _place: Place<UserId>,
    answer: Mutex<HeldBytes>,
}

impl RequestShare {
    /// Takes one of `user`'s places for requests in flight.
    /// Fails with [`Error::RateLimited`] if all are taken.
    pub fn take(&self, limits: &Limits, user: UserId) -> Result<()> {
        let place = limits.requests.take(user).ok_or(Error::RateLimited { retry_after_ms: RETRY_AFTER_MS })?;
        let answer = Mutex::new(limits.answers.share(Owner::User(user)));
        // A second call in the same request keeps the first place.
        self.0.set(Taken { _place: place, answer }).ok();
        Ok(())
    }

    /// Counts the bytes of the answer.
    /// Fails with [`Error::RateLimited`] if the caller has too many unread bytes, [`Error::Busy`] if all callers together do.
    pub fn hold_answer(&self, bytes: usize) -> Result<()> {
        let Some(taken) = self.0.get() else { return Ok(()) };
        taken.answer.lock().add(bytes).map_err(|over| match over {
            Over::Owner => Error::RateLimited { retry_after_ms: RETRY_AFTER_MS },
            Over::All => Error::Busy,
        })
    }
}

/// The time after which to try again: a place is free as soon as an answer was read.
const RETRY_AFTER_MS: u64 = 1000;
