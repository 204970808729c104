//! A WebSocket client that does little: on the machine that it shares with the server, what the generator spends the
//! server lacks. Frames are parsed where they were read, and many go out with one write.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

const READ_ROOM: usize = 4096;

/// One connection.
pub struct WebSocket {
    stream: TcpStream,
    inbox: Vec<u8>,
    /// How far the inbox was taken.
    taken: usize,
    last: Range<usize>,
    outbox: Vec<u8>,
}

/// What a frame was, and where in the inbox its payload is.
enum Frame {
    Text(Range<usize>),
    Ping(Range<usize>),
    Close,
    /// Nothing that a client has to look at.
    Other,
}

impl WebSocket {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// The connection's, or a refusal.
    pub async fn connect(
        address: SocketAddr,
        source: Option<IpAddr>,
        path: &str,
        origin: Option<&str>,
    ) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(source) = source {
            socket.bind((source, 0).into())?;
        }
        let mut stream = socket.connect(address).await.context("connect")?;
        stream.set_nodelay(true)?;
        let origin = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\n{origin}Upgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: c291ayBpcyBhIGJhemFhcg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut inbox = Vec::with_capacity(1024);
        let end = loop {
            ensure!(stream.read_buf(&mut inbox).await? > 0, "closed during the handshake");
            if let Some(at) = memchr::memmem::find(&inbox, b"\r\n\r\n") {
                break at + 4;
            }
        };
        if !inbox.starts_with(b"HTTP/1.1 101") {
            let head = String::from_utf8_lossy(&inbox[..end]);
            bail!("no upgrade: {}", head.lines().next().unwrap_or_default());
        }
        Ok(Self { stream, inbox, taken: end, last: 0..0, outbox: Vec::new() })
    }

    /// The next text that was read already.
    ///
    /// # Errors
    /// When the server closed.
    pub fn next_text(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            match self.next_frame() {
                None => return Ok(None),
                Some(Frame::Text(range)) => {
                    self.last = range;
                    return Ok(Some(self.last_text()));
                }
                Some(Frame::Ping(range)) => {
                    let payload = self.inbox[range].to_vec();
                    self.push_frame(0xA, &payload);
                }
                Some(Frame::Close) => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionReset, "closed by the server"));
                }
                Some(Frame::Other) => {}
            }
        }
    }

    /// What [`WebSocket::next_text`] gave last, until the next wait.
    pub fn last_text(&self) -> &[u8] {
        &self.inbox[self.last.clone()]
    }

    fn next_frame(&mut self) -> Option<Frame> {
        let rest = &self.inbox[self.taken..];
        let (&first, &second) = (rest.first()?, rest.get(1)?);
        // Servers do not mask.
        let (head, len) = match second & 0x7F {
            126 => (4, usize::from(u16::from_be_bytes(rest.get(2..4)?.try_into().ok()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(rest.get(2..10)?.try_into().ok()?)).ok()?),
            short => (2, usize::from(short)),
        };
        if rest.len() < head + len {
            return None;
        }
        let payload = self.taken + head..self.taken + head + len;
        self.taken = payload.end;
        Some(match first & 0x0F {
            1 => Frame::Text(payload),
            8 => Frame::Close,
            9 => Frame::Ping(payload),
            _ => Frame::Other,
        })
    }

    /// Waits for more to be there.
    ///
    /// # Errors
    /// The connection's, and when it ended.
    pub async fn receive(&mut self) -> io::Result<()> {
        if self.taken == self.inbox.len() {
            self.inbox.clear();
        } else {
            self.inbox.drain(..self.taken);
        }
        self.taken = 0;
        // A frame that does not fit grows the room by what it needs, and an idle socket keeps little.
        self.inbox.reserve(READ_ROOM);
        match self.stream.read_buf(&mut self.inbox).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Puts a text in line for the next [`WebSocket::flush`].
    pub fn push_text(&mut self, payload: &[u8]) {
        self.push_frame(1, payload);
    }

    fn push_frame(&mut self, opcode: u8, payload: &[u8]) {
        self.outbox.push(0x80 | opcode);
        match u16::try_from(payload.len()) {
            Ok(len) if len < 126 => self.outbox.push(0x80 | len as u8),
            Ok(len) => {
                self.outbox.push(0x80 | 126);
                self.outbox.extend_from_slice(&len.to_be_bytes());
            }
            Err(_) => {
                self.outbox.push(0x80 | 127);
                self.outbox.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        // A mask of zeros is a mask, and leaves the payload as it is: the server unmasks all the same.
        self.outbox.extend_from_slice(&[0; 4]);
        self.outbox.extend_from_slice(payload);
    }

    /// Writes what waits. Given up halfway, it goes on from there the next time.
    ///
    /// # Errors
    /// The connection's.
    pub async fn flush(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            let written = self.stream.write(&self.outbox).await?;
            self.outbox.drain(..written);
        }
        Ok(())
    }
}
