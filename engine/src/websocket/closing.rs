//! The end of a connection.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use crate::frame::Frame;

/// Time to send what waits and the close frame, at the end.
pub(super) const FLUSH_TIME: Duration = Duration::from_secs(2);
/// Time that the peer has to close its side, so that what was sent last is not lost by a reset.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Closes a WebSocket that carries no session.
pub(super) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, code: u16) {
    let close = Frame::close(code);
    let sent = timeout(FLUSH_TIME, async {
        stream.write_all(close.wire()).await?;
        stream.shutdown().await
    });
    if sent.await.is_ok_and(|sent| sent.is_ok()) {
        linger(stream).await;
    }
}

/// Reads what the peer still sends, for a while.
pub(super) async fn linger<S: AsyncRead + Unpin>(mut stream: S) {
    let mut unread = [0; 512];
    let read = async { while stream.read(&mut unread).await.is_ok_and(|count| count > 0) {} };
    // Whether the peer closed its side or not, the connection is closed.
    let _ = timeout(LINGER_TIME, read).await;
}
