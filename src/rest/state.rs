//! What the handlers of requests work with.

use std::{sync::Arc, time::Instant};

use crate::{auth::Tokens, chat::Chat, limits::Limits};

/// What the handlers work with.
#[derive(Clone)]
pub struct RestState {
    /// The use cases.
    pub chat: Arc<Chat>,
    /// How much each user may ask for.
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
