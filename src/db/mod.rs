//! The repository: the only place with SQL. One method is one statement or one transaction, and none holds a
//! connection while it asks for another (the embedded database has just one).
//!
//! Every method is one of [`Db`], and stands in the folder of what it is about, its SQL beside it. What can fail fails with
//! [`DbError`]: the documentation of a method names its errors only where that does not say it all.

#![allow(clippy::missing_errors_doc)]

mod catching_up;
mod connection;
mod conversations;
mod database;
#[cfg(feature = "embedded")]
pub mod embedded;
mod error;
mod files;
mod health;
mod messages;
mod notifications;
mod schema;
mod time;
mod users;

pub use catching_up::{Came, Changed, Hidden, Known, ReadSince, SyncState};
pub use connection::{Lease, Pool, PoolOptions, Session, Tx, in_time};
pub use conversations::{Access, Delivery, Member, Participant, ReadMark, Watermark};
pub use database::Db;
pub use error::{DbError, DbResult};
pub use messages::{Acted, Action, EditHistory, GOOD_FOR, NewMessage, Outcome, Page, Slice, Written};
pub use notifications::{Notification, NotificationTable};
pub use schema::SchemaState;
pub use users::{FoundUsers, Gone, OnlineStatus};
