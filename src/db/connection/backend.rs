//! One session with the database: how it is made, which limits it has, and how it counts until its backend is gone.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sqlx::{Connection as _, Error, Executor as _, PgConnection, Row as _, postgres::PgConnectOptions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::SessionLimits;

/// Once one connection was lost, every other is pinged before use for this long.
const SUSPECT_FOR: Duration = Duration::from_secs(10);
/// A read-only session younger than this is kept: while the server itself is read-only, a new one is no better.
const KEEP_READ_ONLY: Duration = Duration::from_secs(1);
/// How long a backend may still be ending after its connection was closed.
const ENDS_WITHIN: Duration = Duration::from_millis(100);
/// Interval at which an attempt to connect looks whether the database has moved.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Lost backends that are remembered.
const MOST_LOST: usize = 1000;

/// The statements that set a session's limits; `set` is `SET` for the session or `SET LOCAL` for a transaction.
pub(super) fn limits_as_sql(limits: &SessionLimits, set: &str) -> String {
    format!(
        "{set} statement_timeout = {}; {set} lock_timeout = {}; {set} idle_in_transaction_session_timeout = {}",
        limits.statement.as_millis(),
        limits.lock.as_millis(),
        limits.idle_in_transaction.as_millis()
    )
}

pub(super) struct Health {
    started: Instant,
    /// Milliseconds from the start until which no connection is trusted without a ping.
    suspect_until: AtomicU64,
    /// Connections that were made before this, in milliseconds from the start, are not used again.
    stale_before: AtomicU64,
    /// When the database's name began to lead elsewhere, in milliseconds from the start; 0 for never.
    moved_at: AtomicU64,
    /// When the server last answered a statement, in milliseconds from the start.
    answered_at: AtomicU64,
    /// Set when the server said nothing; cleared by the first new connection.
    silent: AtomicBool,
    /// Backends whose connection we dropped without a word from the server: they may still be there.
    lost: Mutex<Vec<String>>,
    /// One attempt to connect at a time while the server is silent.
    probe: tokio::sync::Mutex<()>,
    /// One permit for each backend that may exist.
    slots: Arc<Semaphore>,
    /// True if a transaction-mode pooler is in between: backends are shared.
    behind_pooler: AtomicBool,
}

impl Health {
    pub(super) fn new(max: usize, behind_pooler: bool) -> Self {
        Self {
            started: Instant::now(),
            suspect_until: AtomicU64::new(0),
            stale_before: AtomicU64::new(0),
            moved_at: AtomicU64::new(0),
            answered_at: AtomicU64::new(0),
            silent: AtomicBool::new(false),
            lost: Mutex::default(),
            probe: tokio::sync::Mutex::default(),
            slots: Arc::new(Semaphore::new(max)),
            behind_pooler: AtomicBool::new(behind_pooler),
        }
    }

    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }

    /// The server answered a statement, be it with an error.
    pub(super) fn answered(&self) {
        self.answered_at.fetch_max(self.now(), Ordering::Relaxed);
    }

    /// True if it did so within this time.
    pub(super) fn answered_within(&self, time: Duration) -> bool {
        self.now().saturating_sub(self.answered_at.load(Ordering::Relaxed)) <= millis(time)
    }

    /// A connection ended or failed.
    pub(super) fn lost_one(&self) {
        self.suspect_until.store(self.now().saturating_add(millis(SUSPECT_FOR)), Ordering::Relaxed);
    }

    /// A connection got no answer in time. The others are as old, and probably as dead.
    pub(super) fn fell_silent(&self, backend: &Backend) {
        self.lost_one();
        self.silent.store(true, Ordering::Relaxed);
        self.stale_before.fetch_max(self.now(), Ordering::Relaxed);
        let mut lost = self.lost.lock();
        if let Some(identity) = &backend.identity
            && lost.len() < MOST_LOST
        {
            lost.push(identity.clone());
        }
    }

    /// A session turned out to be read-only, as after a failover: so are those that were opened before or with it.
    pub(super) fn is_read_only(&self) {
        self.stale_before.fetch_max(self.now().saturating_sub(millis(KEEP_READ_ONLY)), Ordering::Relaxed);
    }

    /// The database is elsewhere from now on.
    pub(super) fn moved(&self) {
        self.stale_before.fetch_max(self.now(), Ordering::Relaxed);
        self.moved_at.store(self.now().max(1), Ordering::Relaxed);
    }

    /// True if it moved since then.
    pub(super) fn moved_since(&self, then: Instant) -> bool {
        let then = millis(then.saturating_duration_since(self.started));
        self.moved_at.load(Ordering::Relaxed).checked_sub(1).is_some_and(|at| at >= then)
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.now() < self.suspect_until.load(Ordering::Relaxed)
    }

    pub(super) fn is_stale(&self, backend: &Backend) -> bool {
        backend.made < self.stale_before.load(Ordering::Relaxed)
    }

    pub(super) fn is_behind_pooler(&self) -> bool {
        self.behind_pooler.load(Ordering::Relaxed)
    }

    /// A prepared statement of ours is gone (26000), or another's has its name (42P05): somebody shares our backends. From
    /// now on statements are sent as behind a pooler.
    pub(super) fn notice_pooler(&self, error: &Error) {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        let is_sign = code.is_some_and(|code| code == "26000" || code == "42P05");
        if is_sign && !self.behind_pooler.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "DATABASE_POOLER: a transaction-mode pooler is in front of the database (prepared statements vanish); \
                 going on as with DATABASE_POOLER=transaction: set it, as statements fail until this is noticed"
            );
        }
    }

    /// Opens a session, once there is a place for its backend.
    pub(super) async fn open(
        &self,
        options: &PgConnectOptions,
        limits: Option<SessionLimits>,
    ) -> Result<Backend, Error> {
        let behind_pooler = self.is_behind_pooler();
        let options = if behind_pooler { &options.clone().statement_cache_capacity(0) } else { options };
        let slot = Slot::take(&self.slots).await?;
        let _turn = if self.silent.load(Ordering::Relaxed) { Some(self.probe.lock().await) } else { None };
        let made = self.now();
        let mut connection = self.connect(options).await?;
        // A pooler's sessions are others' too: there it is set for each transaction.
        let identity = if behind_pooler { None } else { set_up(&mut connection, limits).await? };
        let lost = std::mem::take(&mut *self.lost.lock());
        if !lost.is_empty() && limits.is_some() {
            end(&mut connection, &lost).await?;
        }
        self.silent.store(false, Ordering::Relaxed);
        Ok(Backend { connection: Mutex::new(connection), made, identity, _slot: slot })
    }

    /// Connects, and retries while the database cannot be reached, refuses us or has no room: the caller has a time
    /// limit of its own. Each attempt looks the host's name up again, and ends when that begins to lead elsewhere: the old
    /// host may never answer.
    async fn connect(&self, options: &PgConnectOptions) -> Result<PgConnection, Error> {
        let mut pause = Duration::from_millis(10);
        loop {
            let started = Instant::now();
            let mut attempt = pin!(PgConnection::connect_with(options));
            let connected = loop {
                match tokio::time::timeout(LOOK_EVERY, &mut attempt).await {
                    Ok(connected) => break connected,
                    Err(_) if self.moved_since(started) => break Err(Error::Io(std::io::ErrorKind::TimedOut.into())),
                    Err(_) => {}
                }
            };
            match connected {
                Err(e) if is_passing(&e) => {
                    tracing::debug!(error = %e, "cannot connect to the database, trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(500));
                }
                connected => return connected,
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub struct Backend {
    // Dropped before the slot is given back.
    /// Whoever has it leased needs no lock (`get_mut`); the lock is for a look at those in the pool.
    pub(super) connection: Mutex<PgConnection>,
    /// When, in milliseconds from the pool's start.
    made: u64,
    /// Names its server process for all time: its id and when it started.
    identity: Option<String>,
    _slot: Slot,
}

/// A place for one backend. It is free again a moment after the connection was closed: the backend takes that to end.
struct Slot(Option<OwnedSemaphorePermit>);

impl Slot {
    async fn take(slots: &Arc<Semaphore>) -> Result<Self, Error> {
        slots.clone().acquire_owned().await.map(|permit| Self(Some(permit))).map_err(|_| Error::PoolClosed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let permit = self.0.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(ENDS_WITHIN).await;
                drop(permit);
            });
        }
    }
}

/// The connection was refused or broke, the database is starting or stopping (57P03), it has too many connections (53300), or
/// the role's password is being changed (class 28).
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Io(_) => true,
        Error::Database(e) => {
            e.code().is_some_and(|code| code == "57P03" || code == "53300" || code == "28P01" || code == "28000")
        }
        _ => false,
    }
}

/// Sets the session's settings, and asks for its backend's identity, in one round trip.
async fn set_up(connection: &mut PgConnection, limits: Option<SessionLimits>) -> Result<Option<String>, Error> {
    // Statements are planned once. Left to itself Postgres takes some of ours for cheaper with each call's values, and
    // then plans them at every call, which takes longer than running them.
    const PLANS: &str = "SET plan_cache_mode = force_generic_plan";
    const WHO: &str = "SELECT pid || '@' || (extract(epoch FROM backend_start) * 1000000)::bigint
                       FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let Some(limits) = limits else {
        connection.execute(PLANS).await?;
        return Ok(None);
    };
    let all = format!("{PLANS}; {}; {WHO}", limits_as_sql(&limits, "SET"));
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(all)).fetch_all(connection).await?;
    Ok(rows.first().and_then(|row| row.try_get(0).ok()))
}

/// Ends backends that we lost and that did not notice.
async fn end(connection: &mut PgConnection, lost: &[String]) -> Result<(), Error> {
    let ended: Vec<bool> = sqlx::query_scalar(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE pid || '@' || (extract(epoch FROM backend_start) * 1000000)::bigint = ANY ($1)",
    )
    .bind(lost)
    .fetch_all(connection)
    .await?;
    tracing::warn!(lost = lost.len(), ended = ended.len(), "connections to the database were dead, and are replaced");
    Ok(())
}
