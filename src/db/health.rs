//! Whether the pool's connections live. A ping before each statement would double its round trips, and none would let each
//! connection that died fail a statement.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{
    Connection as _, Executor as _,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};

/// A connection that was not used for this long is asked whether it lives before it is.
const PING_AFTER: Duration = Duration::from_secs(1);
/// And once one was lost, so is every other for this long.
const SUSPECT_FOR: Duration = Duration::from_secs(10);

/// What is known of the connections.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    /// How many there were when we last looked.
    connections: AtomicU32,
    /// Milliseconds from the start until which none is trusted.
    suspect_until: AtomicU64,
    keeps_statements: bool,
}

impl Health {
    /// Of connections that keep prepared statements, or behind a pooler do not.
    pub fn new(keeps_statements: bool) -> Self {
        let (connections, suspect_until) = (AtomicU32::new(0), AtomicU64::new(0));
        Self { started: Instant::now(), connections, suspect_until, keeps_statements }
    }

    /// Where there are fewer connections than before, one was lost, and the others may be.
    pub fn look(&self, pool: &PgPool) {
        let now = pool.size();
        if now < self.connections.swap(now, Ordering::Relaxed) {
            self.suspect_until.store(self.now() + to_ms(SUSPECT_FOR), Ordering::Relaxed);
        }
    }

    fn is_suspect(&self) -> bool {
        self.now() < self.suspect_until.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        to_ms(self.started.elapsed())
    }

    /// A pool of connections that are pinged when there is a reason to.
    pub fn make_pool(
        self: &Arc<Self>,
        options: PgConnectOptions,
        max_connections: u32,
        acquire_timeout: Duration,
    ) -> PgPool {
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(acquire_timeout)
            .test_before_acquire(false);
        let pool = if self.keeps_statements {
            // They are planned once. Left to itself Postgres takes some of ours for cheaper with each call's values, and
            // then plans them at every call, which takes longer than running them. A pooler's connections are others' too.
            pool.after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute("SET plan_cache_mode = force_generic_plan").await?;
                    Ok(())
                })
            })
        } else {
            pool
        };
        if max_connections == 1 {
            // Nothing may be awaited once a waiter has the only connection: under load it would time out there, drop the
            // connection, and leave the next one the same fate.
            return pool.max_lifetime(None).idle_timeout(None).connect_lazy_with(options);
        }
        let health = self.clone();
        let pool = pool.before_acquire(move |connection, rest| {
            let ping = rest.idle_for > PING_AFTER || health.is_suspect();
            Box::pin(async move {
                if ping {
                    connection.ping().await?;
                }
                Ok(true)
            })
        });
        pool.connect_lazy_with(options)
    }
}

fn to_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
