//! The bound on the bytes that wait to be sent to all sockets together.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{connection::Connection, sockets::Hub};

/// Interval at which the bytes are added up.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The logs are tidied once in so many looks.
const TIDY_EVERY: u32 = 10;

impl Hub {
    /// Keeps the waiting bytes within their bound, and the logs of sockets short, until `stop`.
    pub async fn watch_backlog(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        let mut looks = 0_u32;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.shed();
            looks = (looks + 1) % TIDY_EVERY;
            if looks == 0 {
                self.tidy_logs();
            }
        }
    }

    /// If more bytes wait than `SEND_BUFFERS_BYTES`, disconnects the sockets with the most until the rest fits.
    fn shed(&self) {
        let waiting = |c: &Arc<Connection>| Some((c.waiting(), c.clone())).filter(|(bytes, _)| *bytes > 0);
        let mut backlog: Vec<_> =
            self.state.read().sockets.values().map(|s| &s.connection).filter_map(waiting).collect();
        let mut total: u64 = backlog.iter().map(|(bytes, _)| bytes).sum();
        backlog.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        for (bytes, connection) in backlog {
            if total <= self.max_waiting_in_total {
                return;
            }
            self.cut(&connection);
            total -= bytes;
        }
    }
}
