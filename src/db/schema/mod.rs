//! The schema: bringing it up to date, and saying before what that would do.

mod check;
mod migrate;
mod objects;
mod user_indexes;

pub use migrate::SchemaState;
