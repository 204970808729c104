//! The callbacks of the application.

use std::sync::Arc;

use bytes::Bytes;
use engineioxide_core::Str;

use crate::socket::{DisconnectReason, Socket};

/// Implemented by the application. The callbacks must not block: they run in the task that reads the session.
pub trait EngineIoHandler: std::fmt::Debug + Send + Sync + Sized + 'static {
    /// The data that the application keeps with each session.
    type Data: Default + Send + Sync + 'static;

    /// A session was opened.
    fn on_connect(self: Arc<Self>, socket: Arc<Socket<Self::Data>>);

    /// A session has ended. Called once for each session that was opened.
    fn on_disconnect(&self, socket: Arc<Socket<Self::Data>>, reason: DisconnectReason);

    /// A text message came.
    fn on_message(self: &Arc<Self>, msg: Str, socket: Arc<Socket<Self::Data>>);

    /// A binary message came.
    fn on_binary(self: &Arc<Self>, data: Bytes, socket: Arc<Socket<Self::Data>>);
}
