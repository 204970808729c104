//! Sockets without a connection, for socketioxide's own tests.

use std::{collections::VecDeque, future::poll_fn, sync::Arc, task::Poll};

use engineioxide_core::Packet;
use tokio::sync::mpsc;

use crate::{
    line::{Carrier, Line, Next, Owner},
    socket::{DisconnectReason, Sid, Socket},
};

type CloseFn = Box<dyn Fn(Sid, DisconnectReason) + Send + Sync>;

struct Closing(CloseFn);

impl Owner for Closing {
    fn ended(self: Arc<Self>, sid: Sid, reason: DisconnectReason) {
        (self.0)(sid, reason);
    }
}

impl<D: Default + Send + Sync + 'static> Socket<D> {
    /// A socket whose packets nobody gets.
    #[doc(hidden)]
    pub fn new_dummy(sid: Sid, close: CloseFn) -> Arc<Self> {
        let (socket, mut packets) = Self::new_dummy_piped(sid, close, 1024);
        tokio::spawn(async move { while packets.recv().await.is_some() {} });
        socket
    }

    /// A socket whose packets come out of the receiver.
    #[doc(hidden)]
    pub fn new_dummy_piped(sid: Sid, close: CloseFn, max_packets: usize) -> (Arc<Self>, mpsc::Receiver<Packet>) {
        let owner: Arc<dyn Owner> = Arc::new(Closing(close));
        let line = Arc::new(Line::new(sid, Carrier::WebSocket, max_packets, Arc::downgrade(&owner)));
        let (parts, ()) = http::Request::new(()).into_parts();
        let socket = Arc::new(Self::new(line.clone(), parts));
        let (sender, receiver) = mpsc::channel(max_packets.max(1));
        tokio::spawn(async move {
            let mut frames = VecDeque::new();
            loop {
                match poll_fn(|cx| Poll::Ready(line.next(&mut frames, cx))).await {
                    Next::Write => {
                        for frame in frames.drain(..) {
                            line.written(1, frame.len());
                            if let Some(packet) = frame.into_packet() {
                                sender.send(packet).await.ok();
                            }
                        }
                    }
                    Next::Wait => {
                        let mut is_first = true;
                        poll_fn(|_| if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }).await;
                    }
                    Next::End(end) => {
                        owner.ended(sid, end.reason);
                        return line.set_gone();
                    }
                }
            }
        });
        (socket, receiver)
    }
}
