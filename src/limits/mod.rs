//! How much one user or one address may ask for, so that nobody hurts the others.

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

/// Marks an answer to someone who asked too much, where its status does not say so.
#[derive(Clone, Copy, Debug)]
pub struct AskedTooMuch;

/// All of them.
pub struct Limits {
    /// How often.
    pub rates: Rates,
    /// How many sockets.
    pub seats: Seats,
    /// REST requests at a time.
    pub requests: Arc<Counter<UserId>>,
    /// Bytes of bodies that come in.
    pub bodies: Arc<ByteBudget>,
    /// Bytes of REST answers that are not read yet.
    pub answers: Arc<ByteBudget>,
}

impl Limits {
    /// As `config` has them.
    #[must_use]
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
