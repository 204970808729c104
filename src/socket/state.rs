//! The state that the handlers of sockets share.

use std::{sync::Arc, time::Duration};

use crate::{auth::Tokens, chat::Chat, hub::Hub, limits::Limits, pid::Pids};

/// Marks a handshake that a browser's page made, in its extensions: the client is a Socket.IO client for JavaScript, whose
/// handlers ignore an additional argument.
#[derive(Clone, Copy, Debug)]
pub struct FromBrowser;

#[derive(Clone)]
pub struct SocketState {
    pub chat: Arc<Chat>,
    pub hub: Arc<Hub>,
    pub limits: Arc<Limits>,
    pub tokens: Arc<Tokens>,
    /// Signs the ids with which sockets come back.
    pub pids: Arc<Pids>,
    /// Most events of one socket that may wait.
    pub queue: usize,
    pub event_timeout: Duration,
}
