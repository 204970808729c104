//! What the handlers of sockets work with.

use std::{sync::Arc, time::Duration};

use crate::{auth::Tokens, chat::Chat, hub::Hub, limits::Limits, pid::Pids};

/// Marks a handshake that a browser's page made, in its extensions: the client is a Socket.IO client for JavaScript, whose
/// handlers ignore an additional argument.
#[derive(Clone, Copy, Debug)]
pub struct FromBrowser;

/// What the handlers work with.
#[derive(Clone)]
pub struct SocketState {
    /// The use cases.
    pub chat: Arc<Chat>,
    /// The sockets.
    pub hub: Arc<Hub>,
    /// How much each user may ask for.
    pub limits: Arc<Limits>,
    /// Checks tokens.
    pub tokens: Arc<Tokens>,
    /// Signs the names under which sockets come back.
    pub pids: Arc<Pids>,
    /// How many events of one socket may wait.
    pub queue: usize,
    /// How long an event may take.
    pub event_timeout: Duration,
}
