//! Accepting connections.

use std::{io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{ServiceExt as _, service_fn};

use super::{
    admission::{self, Peer},
    answers::Unread,
    guarded::Guarded,
    linger::linger,
    paths::as_routed,
};
use crate::{
    config::LimitsConfig,
    limits::{Counter, Full, Place, Proxies},
};

/// The time that a client has to send a request's headers, and may keep an unused connection.
const HEADER_TIMEOUT: Duration = Duration::from_mins(1);
/// A connection ends if its peer does not acknowledge data for this long. Otherwise one that vanished with a full
/// window would hold its writer for as long as the system retries, a quarter of an hour.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of a connection that wait to be written (unless one piece is larger), and of a request's headers.
const BUFFER_BYTES: usize = 64 << 10;
/// The pause after a failed accept (no file descriptor is free), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Default)]
pub struct Connections {
    open: TaskTracker,
    end: CancellationToken,
}

impl Connections {
    /// Lets each connection finish its current request, and waits for them.
    pub async fn shut_down(self) {
        self.end.cancel();
        self.open.close();
        self.open.wait().await;
    }
}

/// The limits on open connections: in total, and from one address that is not a trusted proxy.
pub struct Gate {
    total: Arc<Counter<()>>,
    addresses: Arc<Counter<IpAddr>>,
    proxies: Arc<Proxies>,
    read_within: Duration,
}

type Places = (Place<()>, Option<Place<IpAddr>>);

impl Gate {
    /// Makes the limits from `config`. A polling client needs two connections for its socket.
    pub fn new(config: &LimitsConfig, proxies: Arc<Proxies>, read_within: Duration) -> Self {
        let twice = |n: usize| Counter::new(n.saturating_mul(2));
        Self {
            total: twice(config.max_connections),
            addresses: Counter::new(config.max_connections_per_ip.saturating_mul(2)),
            proxies,
            read_within,
        }
    }

    fn enter(&self, peer: IpAddr) -> Result<Places, Full> {
        let of_address = || self.addresses.take(peer).ok_or(Full::Address);
        let address = if self.proxies.contains(peer) { None } else { Some(of_address()?) };
        Ok((self.total.take(()).ok_or(Full::Server)?, address))
    }
}

/// Accepts until `shutdown` resolves. Returns the connections that are still open.
pub async fn accept(
    listener: TcpListener,
    gate: Gate,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> Connections {
    let connections = Connections::default();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => return connections,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Err(e) = prepare(&stream) {
                    tracing::debug!(error = %e, "connection gone before it began");
                    continue;
                }
                let peer = peer.ip().to_canonical();
                match gate.enter(peer) {
                    Ok(places) => {
                        serve(stream, Peer(peer), places, gate.read_within, router.clone(), &connections);
                    }
                    // The connection's buffer is empty, so this does not wait.
                    Err(full) => drop(stream.try_write(admission::no_room(full).as_bytes())),
                }
            }
            Err(e) => {
                tracing::warn!(error = %e, "accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))?;
    Ok(())
}

fn serve(
    stream: TcpStream,
    peer: Peer,
    places: Places,
    read_within: Duration,
    router: Router,
    connections: &Connections,
) {
    let stream = Guarded::new(stream, places);
    let unread = Arc::new(Unread::default());
    let answers = unread.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        as_routed(request.uri_mut());
        let (answer, answers) = (router.clone().oneshot(linger(request.map(Body::new))), answers.clone());
        async move { answer.await.map(|response| answers.watch(response, read_within)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let end = connections.end.clone();
    connections.open.spawn(async move {
        let mut connection = pin!(connection);
        let mut is_ending = false;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(e) = ended {
                        tracing::debug!(error = %e, "connection");
                    }
                    return;
                }
                () = unread.overdue() => {
                    tracing::info!(peer = %peer.0, "closing a connection whose answer was not read in time");
                    return;
                }
                () = end.cancelled(), if !is_ending => {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    });
}
