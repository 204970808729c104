//! The engine over real connections.

mod backpressure;
mod faults;
mod properties;
mod protocol;
mod random_upgrades;
mod socketio;
mod support;
mod upgrades;
