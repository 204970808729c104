//! What waits to be sent: how much of it all sockets together may have.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{connection::Connection, sockets::Hub};

/// How often the sum is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Every so many looks, what clients are known to have received is forgotten.
const TIDY_EVERY: u32 = 10;

impl Hub {
    /// Keeps what waits in total within its bound, and what is kept for sockets that come back, until `stop`.
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

    /// Where more waits in total than there is memory for, those go for whom the most waits, until it is little enough.
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
