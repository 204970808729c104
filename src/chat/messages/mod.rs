//! Messages that are stored: reading one or a page of them, and what a member does to one.

mod change;
mod details;
mod last_told;
mod turns;

use std::sync::Arc;

use self::{last_told::LastTold, turns::ReadTurns};
use super::{core::Core, notifications::Notifications, uploads::Uploads};
use crate::config::Config;

pub use self::{details::BYTES_IN_AN_EVENT, turns::ReadTurn};

pub struct Messages {
    core: Arc<Core>,
    uploads: Arc<Uploads>,
    notifications: Arc<Notifications>,
    max_chars: usize,
    /// How often a message may be edited; `None` is without a limit.
    max_edits: Option<i32>,
    turns: ReadTurns,
    /// Keeps what is told of each message in order.
    pub(super) last_told: LastTold,
}

impl Messages {
    pub(super) fn new(
        core: Arc<Core>,
        uploads: Arc<Uploads>,
        notifications: Arc<Notifications>,
        config: &Config,
    ) -> Self {
        Self {
            turns: ReadTurns::new(core.db.reads_at_once()),
            core,
            uploads,
            notifications,
            max_chars: config.max_message_chars,
            max_edits: i32::try_from(config.limits.max_edits_per_message).ok().filter(|max| *max > 0),
            last_told: LastTold::default(),
        }
    }
}
