//! Limits and intervals.

use std::{borrow::Cow, time::Duration};

use engineioxide_core::TransportType;

/// The configuration of the engine.
#[derive(Clone, Debug)]
pub struct EngineIoConfig {
    /// The path of the requests; `/engine.io` unless changed. What follows a slash after it does not matter.
    pub req_path: Cow<'static, str>,
    /// Time between a pong (or the handshake) and the next ping. 25 s.
    pub ping_interval: Duration,
    /// Time that a client has to answer a ping. 20 s.
    pub ping_timeout: Duration,
    /// Time that an upgrade may take, from its WebSocket handshake on. 10 s.
    pub upgrade_timeout: Duration,
    /// Packets that may wait for one session. 128.
    pub max_buffer_size: usize,
    /// Bytes of one polling payload, in both directions. 1 MiB.
    pub max_payload: u64,
    /// Bytes of one message, or payload, that a client may send before the application has let it in: before the first
    /// Socket.IO CONNECT answer. `None`: the same as afterwards. 16 kB.
    pub max_payload_before_connect: Option<u64>,
    /// Packets in one polling payload from a client. 16,384.
    pub max_packets_per_payload: usize,
    /// Time that the body of one POST request may take. 30 s.
    pub body_timeout: Duration,
    /// Time that the binaries of a Socket.IO packet may take to come, from the packet that announces them on. 10 s.
    pub binaries_timeout: Duration,
    /// Bytes of all request bodies that are being received, beyond the first 16 kB of each. 64 MiB, or at least one payload.
    pub max_bytes_of_bodies: usize,
    /// Not used: a WebSocket holds no read buffer of its own. Kept because socketioxide's builder sets it.
    pub ws_read_buffer_size: usize,
    /// Bytes of one WebSocket message. 1 MiB.
    pub ws_max_message_size: usize,
    /// Bytes of one WebSocket frame. 1 MiB.
    pub ws_max_frame_size: usize,
    /// True if sessions may use polling.
    pub polling: bool,
    /// True if sessions may use WebSocket.
    pub websocket: bool,
}

impl Default for EngineIoConfig {
    fn default() -> Self {
        Self {
            req_path: "/engine.io".into(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            max_buffer_size: 128,
            max_payload: 1 << 20,
            max_payload_before_connect: Some(16 << 10),
            max_packets_per_payload: 16_384,
            body_timeout: Duration::from_secs(30),
            binaries_timeout: Duration::from_secs(10),
            max_bytes_of_bodies: 64 << 20,
            ws_read_buffer_size: 0,
            ws_max_message_size: 1 << 20,
            ws_max_frame_size: 1 << 20,
            polling: true,
            websocket: true,
        }
    }
}

impl EngineIoConfig {
    /// A builder with the defaults.
    #[must_use]
    pub fn builder() -> EngineIoConfigBuilder {
        EngineIoConfigBuilder::new()
    }

    pub(crate) fn allows(&self, transport: TransportType) -> bool {
        match transport {
            TransportType::Polling => self.polling,
            TransportType::Websocket => self.websocket,
        }
    }
}

/// Builds an [`EngineIoConfig`].
#[derive(Clone, Debug, Default)]
pub struct EngineIoConfigBuilder(EngineIoConfig);

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, $name: $type) -> Self {
                self.0.$name = $name;
                self
            }
        )*
    };
}

impl EngineIoConfigBuilder {
    /// A builder with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`EngineIoConfig::req_path`].
    #[must_use]
    pub fn req_path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.0.req_path = path.into();
        self
    }

    setters! {
        /// Sets [`EngineIoConfig::ping_interval`].
        ping_interval: Duration,
        /// Sets [`EngineIoConfig::ping_timeout`].
        ping_timeout: Duration,
        /// Sets [`EngineIoConfig::upgrade_timeout`].
        upgrade_timeout: Duration,
        /// Sets [`EngineIoConfig::max_buffer_size`].
        max_buffer_size: usize,
        /// Sets [`EngineIoConfig::max_payload`].
        max_payload: u64,
        /// Sets [`EngineIoConfig::max_payload_before_connect`].
        max_payload_before_connect: Option<u64>,
        /// Sets [`EngineIoConfig::max_packets_per_payload`].
        max_packets_per_payload: usize,
        /// Sets [`EngineIoConfig::body_timeout`].
        body_timeout: Duration,
        /// Sets [`EngineIoConfig::binaries_timeout`].
        binaries_timeout: Duration,
        /// Sets [`EngineIoConfig::max_bytes_of_bodies`].
        max_bytes_of_bodies: usize,
        /// Sets [`EngineIoConfig::ws_read_buffer_size`], which is not used.
        ws_read_buffer_size: usize,
        /// Sets [`EngineIoConfig::ws_max_message_size`].
        ws_max_message_size: usize,
        /// Sets [`EngineIoConfig::ws_max_frame_size`].
        ws_max_frame_size: usize,
    }

    /// Sets the transports that sessions may use.
    #[must_use]
    pub fn transports<const N: usize>(mut self, transports: [TransportType; N]) -> Self {
        self.0.polling = transports.contains(&TransportType::Polling);
        self.0.websocket = transports.contains(&TransportType::Websocket);
        self
    }

    /// The configuration.
    #[must_use]
    pub fn build(self) -> EngineIoConfig {
        self.0
    }
}
