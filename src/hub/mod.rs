//! Fan-out: which sockets are here, in which rooms, and how an event reaches them.
//!
//! There is a room per conversation and one per user. An event is serialised once and handed to each socket once,
//! however many of its rooms are addressed.
//!
//! [`sockets`] has the [`Hub`], [`state`] what is under its lock, [`fan_out`] how it sends. An [`event`] goes to an
//! [`audience`] of [`connection`]s, each of which has a [`gate`]: [`hold`] shuts it while the socket reads what it missed.
//! [`arrival`] is a socket on its way in, [`ghosts`] are those that may come back, [`comeback`] is one that does, with the
//! [`log`] of what it was told; [`returning`] is what the database keeps of them. [`backlog`] bounds what waits for all.

mod arrival;
mod audience;
mod backlog;
mod comeback;
mod connection;
mod event;
mod fan_out;
mod gate;
mod ghosts;
mod hold;
mod log;
mod returning;
mod sockets;
mod state;

pub use arrival::Arrival;
pub use audience::Audience;
pub use comeback::MissedEvents;
pub use connection::Connection;
pub use engineioxide::Handle;
pub use event::{Answer, Event};
pub use hold::Hold;
pub use returning::MAX_ROOMS;
pub use socketioxide::socket::Sid;
pub use sockets::Hub;
