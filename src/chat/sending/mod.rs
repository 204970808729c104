//! Sending, from a handler to everyone who is told. A message goes through these files in one direction:
//!
//! 1. [`accept`]: the draft is checked, becomes a [`job`], and queues in the lane of its conversation ([`lanes`]).
//! 2. [`writer`]: a lane takes what has queued up, puts repeats together ([`dedup`]), begins to read what replies quote
//!    ([`quotes`]), and writes all of it as one statement.
//! 3. Where the database is in trouble: [`retry`] tries again, [`set_aside`] keeps the conversations that are locked or
//!    whose outcome is unknown, [`small_batches`] follows a statement that took too long.
//! 4. [`publish`]: in the lane's order, the sender is answered ([`reply`]), then everyone else is told ([`sent`]). Until then a
//!    batch is among those that are on their way (`on_their_way`).

mod accept;
mod dedup;
mod job;
mod lanes;
mod publish;
mod quotes;
mod reply;
mod retry;
mod sent;
mod set_aside;
mod small_batches;
mod writer;

pub use accept::{SendRequest, Sending};
pub use lanes::Destination;
pub(super) use publish::Publisher;
pub use reply::{ReplyTo, SenderSocket};
pub use sent::Sent;
