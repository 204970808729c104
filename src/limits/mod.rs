//! Limits of one user and one address, so that nobody slows down the others.

mod address;
mod bytes;
mod caller;
mod rates;
mod request_share;
mod seats;
mod shares;

use std::sync::Arc;

pub use address::{ClientAddress, Proxies};
pub use bytes::{ByteBudget, HeldBytes, Over, Owner};
pub use caller::{caller, for_caller, note_caller};
pub use rates::{Kind, Rates};
pub use request_share::RequestShare;
pub use seats::{Counter, Full, Place, Seat, Seats};
pub use shares::{Shares, Turn};

use crate::{config::LimitsConfig, domain::UserId};

/// Marks the answer to a client over its limit, if the status does not show it.
#[derive(Clone, Copy, Debug)]
pub struct AskedTooMuch;

pub struct Limits {
    pub rates: Rates,
    pub seats: Seats,
    pub requests: Arc<Counter<UserId>>,
    /// Bytes of request bodies in flight.
    pub bodies: Arc<ByteBudget>,
    /// Bytes of unread REST answers.
    pub answers: Arc<ByteBudget>,
}

impl Limits {
    /// Makes the limits in `config`.
    pub fn new(config: &LimitsConfig) -> Self {
        Self {
            rates: Rates::new(config),
            seats: Seats::new(config),
            requests: Counter::new(config.max_requests_per_user),
            bodies: ByteBudget::new(config.bodies_bytes_per_user, config.bodies_bytes),
            answers: ByteBudget::new(config.answers_bytes_per_user, config.answers_bytes),
        }
    }
}
