//! The state that the handlers of requests share.

use std::{sync::Arc, time::Instant};

use crate::{auth::Tokens, chat::Chat, limits::Limits};

#[derive(Clone)]
pub struct RestState {
    pub chat: Arc<Chat>,
    pub limits: Arc<Limits>,
    /// Checks `Authorization`.
    pub tokens: Arc<Tokens>,
    pub started: Instant,
    /// `NODE_ENV`.
    pub environment: Arc<str>,
    /// `PUBLIC_URL`.
    pub public_url: Option<Arc<str>>,
    /// `MAX_BODY_BYTES`.
    pub max_body: usize,
}
