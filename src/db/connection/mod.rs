//! Connections to Postgres: how they are made and given out, and which statements are run again when one fails.
//!
//! From the bottom: [`backend`] is one session with the server, [`manager`] makes and checks them for the [`pool`], which
//! gives them out as [`lease`]s; a [`session`] sends statements on one, alone or in a transaction. [`executor`] runs a single
//! statement on the pool and runs it again where [`retry`] says so; [`transaction`] does that for several statements.

mod backend;
mod executor;
mod lease;
mod manager;
mod moved;
mod pool;
pub(super) mod pooler;
pub(super) mod retry;
mod session;
pub(super) mod time_limit;
pub(super) mod transaction;

pub use lease::Lease;
pub use manager::PoolOptions;
pub use pool::Pool;
pub use session::{Session, Tx};
pub use time_limit::in_time;
