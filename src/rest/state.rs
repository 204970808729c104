//! The state that the handlers of requests share.

use std::{sync::Arc, time::Instant};

use crate::{auth::Tokens, chat::Chat, limits::Limits};

/// The state that all handlers share.
#[derive(Clone)]
pub struct RestState {
    /// The use cases.
    pub chat: Arc<Chat>,
    /// The limits of users and addresses.
    pub limits: Arc<Limits>,
    /// Checks `Authorization`.
    pub tokens: Arc<Tokens>,
    /// When the process started.
    pub started: Instant,
    /// `NODE_ENV`.
    pub environment: Arc<str>,
    /// `PUBLIC_URL`.
    pub public_url: Option<Arc<str>>,
    /// `MAX_BODY_BYTES`.
    pub max_body: usize,
}
