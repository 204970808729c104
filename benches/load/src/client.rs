//! Engine.IO 4 and Socket.IO 5 over a WebSocket, as far as a chat client needs them.

use std::{
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use anyhow::{Result, bail};
use uuid::Uuid;

use crate::{token, ws::WebSocket};

/// Connections from one source address, well below the number of ephemeral ports.
const PER_SOURCE: u32 = 20_000;

/// Whom to measure.
#[derive(Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it checks tokens with.
    pub secret: String,
    /// The page from which its browsers come; `None` for other clients.
    pub origin: Option<String>,
}

/// What came, without its Engine.IO and Socket.IO prefixes.
pub enum Packet<'a> {
    /// `"name",{…}]`
    Event(&'a [u8]),
    /// Which event is acknowledged, and with what.
    Ack(u64, &'a [u8]),
}

/// An authenticated socket.
pub struct Client {
    ws: WebSocket,
    scratch: Vec<u8>,
    next_ack: u64,
}

impl Client {
    /// Connects `user`. The `number` of the connection spreads many of them over source addresses.
    ///
    /// # Errors
    /// The connection's, or a refusal.
    pub async fn connect(target: &Target, user: Uuid, number: u32) -> Result<Self> {
        Self::connect_with(target, &token::issue(user, &target.secret), number).await
    }

    /// As [`Client::connect`], with a token that was made before.
    ///
    /// # Errors
    /// The connection's, or a refusal.
    pub async fn connect_with(target: &Target, token: &str, number: u32) -> Result<Self> {
        let source = match number / PER_SOURCE {
            0 => None,
            n => Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1 + u8::try_from(n)?))),
        };
        let path = "/socket.io/?EIO=4&transport=websocket";
        let ws = WebSocket::connect(target.address, source, path, target.origin.as_deref()).await?;
        let mut client = Self { ws, scratch: Vec::new(), next_ack: 0 };
        // The Engine.IO handshake is not waited for: the reply to what follows tells as much.
        client.ws.push_text(format!(r#"40{{"token":"{token}"}}"#).as_bytes());
        client.ws.flush().await?;
        loop {
            while let Some(text) = client.ws.next_text()? {
                match text {
                    [b'2', ..] => client.ws.push_text(b"3"),
                    [b'4', b'0', ..] => return Ok(client),
                    [b'4', b'4', refusal @ ..] => bail!("refused: {}", String::from_utf8_lossy(refusal)),
                    _ => {}
                }
            }
            client.receive().await?;
        }
    }

    /// The next packet that was read already. Answers pings.
    ///
    /// # Errors
    /// When the server disconnected.
    pub fn next(&mut self) -> io::Result<Option<Packet<'_>>> {
        // Looked at twice where it is a packet, as a borrow cannot be given up once it may be returned.
        loop {
            let Some(text) = self.ws.next_text()? else { return Ok(None) };
            match text {
                [b'2', ..] => self.ws.push_text(b"3"),
                [b'4', b'2', b'[', ..] | [b'4', b'3', ..] => break,
                [b'1', ..] | [b'4', b'1', ..] => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionReset, "disconnected by the server"));
                }
                _ => {}
            }
        }
        let text = self.ws.last_text();
        Ok(Some(if text[1] == b'2' { Packet::Event(&text[3..]) } else { ack(&text[2..]) }))
    }

    /// Waits for more to be there, after sending what waits. To be called only when [`Client::next`] had nothing more:
    /// what was read already does not end the wait.
    ///
    /// # Errors
    /// The connection's.
    pub async fn receive(&mut self) -> io::Result<()> {
        self.ws.flush().await?;
        self.ws.receive().await
    }

    /// Puts an event in line, to go out before the next wait. Returns the number under which it is acknowledged.
    pub fn emit(&mut self, event: &str, payload: std::fmt::Arguments<'_>) -> u64 {
        let id = self.next_ack;
        self.next_ack += 1;
        self.scratch.clear();
        // Writing to a Vec does not fail.
        write!(self.scratch, r#"42{id}["{event}",{payload}]"#).ok();
        self.ws.push_text(&self.scratch);
        id
    }

    /// Puts an event in line that has no payload and is answered by another event.
    pub fn emit_unanswered(&mut self, event: &str) {
        self.ws.push_text(format!(r#"42["{event}"]"#).as_bytes());
    }

    /// Emits and waits for the acknowledgement; what comes before it is passed over.
    ///
    /// # Errors
    /// The connection's, and an acknowledgement of failure.
    pub async fn call(&mut self, event: &str, payload: std::fmt::Arguments<'_>) -> Result<()> {
        let id = self.emit(event, payload);
        loop {
            while let Some(packet) = self.next()? {
                match packet {
                    Packet::Ack(n, body) if n == id && is_success(body) => return Ok(()),
                    Packet::Ack(n, body) if n == id => bail!("{event}: {}", String::from_utf8_lossy(body)),
                    _ => {}
                }
            }
            self.receive().await?;
        }
    }

    /// Emits the same again and again until so many bytes have come, each time after the acknowledgement.
    ///
    /// # Errors
    /// The connection's.
    pub async fn fetch(&mut self, event: &str, payload: &str, bytes: usize) -> Result<()> {
        let (mut come, mut asked) = (0, self.emit(event, format_args!("{payload}")));
        while come < bytes {
            self.receive().await?;
            let mut is_answered = false;
            while let Some(packet) = self.next()? {
                match packet {
                    Packet::Event(body) => come += body.len(),
                    Packet::Ack(id, body) => {
                        come += body.len();
                        is_answered |= id == asked;
                    }
                }
            }
            if is_answered {
                asked = self.emit(event, format_args!("{payload}"));
            }
        }
        Ok(())
    }

    /// Answers pings until the connection ends.
    pub async fn hold(&mut self) {
        loop {
            while let Ok(Some(_)) = self.next() {}
            if self.receive().await.is_err() {
                return;
            }
        }
    }
}

/// Whether an acknowledgement says that it worked.
pub fn is_success(ack: &[u8]) -> bool {
    ack.starts_with(br#"[{"success":true"#)
}

fn ack(text: &[u8]) -> Packet<'_> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let id = text[..digits].iter().fold(0, |n, b| n * 10 + u64::from(b - b'0'));
    Packet::Ack(id, &text[digits..])
}
