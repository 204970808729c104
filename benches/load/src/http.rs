//! REST calls over one connection that is kept, as axios keeps it.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A caller.
pub struct Http {
    stream: TcpStream,
    inbox: Vec<u8>,
    address: SocketAddr,
    token: String,
}

/// Where the body is, once the head is read.
enum Body {
    Length(usize),
    Chunked,
}

impl Http {
    /// Connects; calls carry `token`.
    ///
    /// # Errors
    /// The connection's.
    pub async fn connect(address: SocketAddr, token: String) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, inbox: Vec::new(), address, token })
    }

    /// Later calls carry this token.
    pub fn call_as(&mut self, token: String) {
        self.token = token;
    }

    /// Calls, and returns the body of the answer.
    ///
    /// # Errors
    /// The connection's, and any status but 200.
    pub async fn call(&mut self, method: &str, path: &str) -> Result<Vec<u8>> {
        let request = format!(
            "{method} /api/chat{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: 0\r\n\r\n",
            self.address, self.token
        );
        self.stream.write_all(request.as_bytes()).await?;
        let end = self.find(0, b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&self.inbox[..end]).to_ascii_lowercase();
        let body = body_of(&head)?;
        let status = head.lines().next().unwrap_or_default().to_owned();
        self.inbox.drain(..end);
        let body = match body {
            Body::Length(len) => self.take(len).await?,
            Body::Chunked => self.take_chunks().await?,
        };
        if status.split(' ').nth(1) != Some("200") {
            bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// Where `what` ends in the inbox, looked for from `from` on; reads until it is there.
    async fn find(&mut self, from: usize, what: &[u8]) -> Result<usize> {
        loop {
            if let Some(at) = memmem::find(&self.inbox[from.min(self.inbox.len())..], what) {
                return Ok(from + at + what.len());
            }
            self.read().await?;
        }
    }

    async fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        while self.inbox.len() < len {
            self.read().await?;
        }
        Ok(self.inbox.drain(..len).collect())
    }

    async fn take_chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = self.find(0, b"\r\n").await?;
            let size = std::str::from_utf8(&self.inbox[..end - 2])?;
            let size = usize::from_str_radix(size, 16).context("size of a chunk")?;
            self.inbox.drain(..end);
            let chunk = self.take(size + 2).await?;
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    async fn read(&mut self) -> Result<()> {
        self.inbox.reserve(16 * 1024);
        ensure!(self.stream.read_buf(&mut self.inbox).await? > 0, "closed by the server");
        Ok(())
    }
}

fn body_of(head: &str) -> Result<Body> {
    for line in head.lines() {
        if let Some(len) = line.strip_prefix("content-length:") {
            return Ok(Body::Length(len.trim().parse()?));
        }
        if line.starts_with("transfer-encoding:") && line.ends_with("chunked") {
            return Ok(Body::Chunked);
        }
    }
    bail!("an answer without a length")
}
