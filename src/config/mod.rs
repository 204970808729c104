//! Configuration: environment, `.env` and flags. [`settings`] lists every setting, [`limits`] those for one user or address;
//! [`check`] refuses settings that contradict each other, [`derived`] computes values from them. `.env.example` lists the
//! same settings.

mod check;
mod derived;
mod limits;
mod origin;
mod secret;
mod settings;
#[cfg(test)]
mod tests;

pub use derived::SessionLimits;
pub use limits::LimitsConfig;
pub use origin::{normal_origin, without_default_port};
pub use secret::Secret;
pub use settings::{Config, LogFormat, Pooler};
