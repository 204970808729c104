//! All sessions of a server.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use engineioxide_core::TransportType;
use http::request::Parts;
use parking_lot::RwLock;

use crate::{
    config::EngineIoConfig,
    event_name,
    handler::EngineIoHandler,
    heartbeat::Heartbeats,
    just_closed::JustClosed,
    line::{Carrier, EndedBy, Line, Owner},
    payload::{self, Incoming},
    request,
    socket::{DisconnectReason, Sid, Socket},
};

/// The sessions, and the application that they belong to.
pub(crate) struct Engine<H: EngineIoHandler> {
    pub config: EngineIoConfig,
    pub handler: Arc<H>,
    sessions: RwLock<HashMap<Sid, Arc<Socket<H::Data>>>>,
    heartbeats: Heartbeats,
    /// Bytes of request bodies that are being received.
    pub bytes_of_bodies: AtomicUsize,
    pub just_closed: JustClosed,
    this: Weak<Self>,
}

impl<H: EngineIoHandler> Engine<H> {
    pub fn new(handler: Arc<H>, config: EngineIoConfig) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            heartbeats: Heartbeats::new(config.ping_interval, config.ping_timeout, config.binaries_timeout),
            config,
            handler,
            sessions: RwLock::default(),
            bytes_of_bodies: AtomicUsize::new(0),
            just_closed: JustClosed::default(),
            this: this.clone(),
        })
    }

    /// Opens a session for a handshake.
    pub fn open(&self, carrier: Carrier, parts: Parts) -> Arc<Socket<H::Data>> {
        let owner: Weak<dyn Owner> = self.this.clone();
        let line = Arc::new(Line::new(Sid::new(), carrier, self.config.max_buffer_size, owner));
        if self.config.max_payload_before_connect.is_none() {
            line.let_in();
        }
        let socket = Arc::new(Socket::new(line, request::compact(parts)));
        self.sessions.write().insert(socket.id, socket.clone());
        self.heartbeats.schedule(&socket.line);
        #[cfg(feature = "tracing")]
        tracing::debug!(sid = %socket.id, ?carrier, "session opened");
        self.handler.clone().on_connect(socket.clone());
        socket
    }

    pub fn session(&self, sid: Sid) -> Option<Arc<Socket<H::Data>>> {
        self.sessions.read().get(&sid).cloned()
    }

    /// The handshake's JSON.
    pub fn greeting(&self, sid: Sid, carrier: Carrier) -> String {
        let config = &self.config;
        let upgrades = match carrier {
            Carrier::Polling if config.allows(TransportType::Websocket) => r#"["websocket"]"#,
            _ => "[]",
        };
        let (interval, timeout) = (config.ping_interval.as_millis(), config.ping_timeout.as_millis());
        format!(
            r#"{{"sid":"{sid}","upgrades":{upgrades},"pingInterval":{interval},"pingTimeout":{timeout},"maxPayload":{}}}"#,
            config.max_payload
        )
    }

    /// Bytes that a client may send at once: `usual`, or less before it was let in.
    pub fn limit(&self, line: &Line, usual: usize) -> usize {
        match self.config.max_payload_before_connect {
            Some(limit) if !line.is_let_in() => usual.min(usize::try_from(limit).unwrap_or(usize::MAX)),
            _ => usual,
        }
    }

    /// Handles a packet of an open session. `Err` says why it ends by it.
    pub fn receive(&self, socket: &Arc<Socket<H::Data>>, packet: Option<Incoming>) -> Result<(), DisconnectReason> {
        let handler = &self.handler;
        match packet {
            Some(Incoming::Message(text)) => {
                let binaries = payload::announced_binaries(text.as_str());
                if binaries > 0 {
                    self.heartbeats.expect_binaries(&socket.line, binaries);
                }
                let text = event_name::without_escapes(text);
                return caught(|| handler.on_message(text, socket.clone()));
            }
            Some(Incoming::Binary(data)) => {
                socket.line.binary_came();
                return caught(|| handler.on_binary(data, socket.clone()));
            }
            Some(Incoming::Pong) if socket.line.pong() => self.heartbeats.schedule(&socket.line),
            Some(Incoming::Pong | Incoming::Upgrade | Incoming::Noop) => {}
            Some(Incoming::Close) => return Err(DisconnectReason::TransportClose),
            Some(Incoming::Ping { .. }) | None => return Err(DisconnectReason::PacketParsingError),
        }
        Ok(())
    }

    /// Takes a session that has ended out, and tells the application.
    pub fn finish(&self, sid: Sid, reason: DisconnectReason) {
        let socket = self.sessions.write().remove(&sid);
        if let Some(socket) = socket {
            #[cfg(feature = "tracing")]
            tracing::debug!(%sid, ?reason, "session ended");
            self.handler.on_disconnect(socket, reason);
        }
    }

    /// Counts bytes of a body, if there is room for them.
    pub fn take_room(&self, bytes: usize) -> bool {
        let taken = self.bytes_of_bodies.fetch_add(bytes, Ordering::Relaxed);
        let room = self.config.max_bytes_of_bodies as u64;
        let fits = (taken + bytes) as u64 <= room.max(self.config.max_payload);
        if !fits {
            self.give_room_back(bytes);
        }
        fits
    }

    pub fn give_room_back(&self, bytes: usize) {
        self.bytes_of_bodies.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A callback that panics costs its session, and nothing else.
fn caught(callback: impl FnOnce()) -> Result<(), DisconnectReason> {
    catch_unwind(AssertUnwindSafe(callback)).map_err(|_| DisconnectReason::TransportError)
}

impl<H: EngineIoHandler> Owner for Engine<H> {
    fn ended(self: Arc<Self>, sid: Sid, reason: DisconnectReason) {
        self.finish(sid, reason);
    }
}

impl<H: EngineIoHandler> Drop for Engine<H> {
    fn drop(&mut self) {
        for socket in self.sessions.get_mut().values() {
            socket.line.end(DisconnectReason::ClosingServer, EndedBy::Server);
        }
    }
}
