//! Who used the processor, and how much memory the server holds, from /proc.

use std::{
    fs,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};

/// Whose use is told beside the generator's own.
#[derive(Args, Clone, Copy, Debug)]
pub struct Watched {
    /// Process id of the server
    #[arg(long, global = true)]
    server_pid: Option<u32>,
    /// Process id of Postgres' postmaster
    #[arg(long, global = true)]
    postgres_pid: Option<u32>,
}

/// Ticks used until now.
struct Ticks {
    at: Instant,
    own: u64,
    server: Option<u64>,
    postgres: Option<u64>,
}

/// Measures from its start on.
pub struct Meter {
    watched: Watched,
    start: Ticks,
}

impl Watched {
    /// Begins to measure.
    pub fn start(self) -> Meter {
        Meter { watched: self, start: self.ticks() }
    }

    /// Bytes of the server's memory.
    pub fn server_memory(self) -> Option<u64> {
        let pages = fs::read_to_string(format!("/proc/{}/statm", self.server_pid?)).ok()?;
        let resident: u64 = pages.split(' ').nth(1)?.parse().ok()?;
        Some(resident * rustix::param::page_size() as u64)
    }

    fn ticks(self) -> Ticks {
        Ticks {
            at: Instant::now(),
            own: stat(std::process::id()).map_or(0, |s| s.used),
            server: self.server_pid.and_then(stat).map(|s| s.used),
            postgres: self.postgres_pid.map(family),
        }
    }
}

impl Meter {
    /// Processors used since the start: 1 is one of them all the time.
    pub fn json(&self) -> Value {
        let (start, end) = (&self.start, self.watched.ticks());
        let share = |from: u64, to: u64| share(to.saturating_sub(from), end.at - start.at);
        json!({
            "load": share(start.own, end.own),
            "server": start.server.zip(end.server).map(|(from, to)| share(from, to)),
            "postgres": start.postgres.zip(end.postgres).map(|(from, to)| share(from, to)),
        })
    }
}

#[allow(clippy::cast_precision_loss)] // seconds of a benchmark
fn share(ticks: u64, of: Duration) -> f64 {
    let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    (seconds / of.as_secs_f64() * 100.0).round() / 100.0
}

struct Stat {
    parent: u32,
    used: u64,
    used_by_the_reaped: u64,
}

/// Of /proc/PID/stat what counts; the command's name, which may hold anything, ends at the last parenthesis.
fn stat(pid: u32) -> Option<Stat> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = line.rsplit_once(") ")?.1.split(' ').collect();
    let number = |i: usize| fields.get(i)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        used: number(11)? + number(12)?,
        used_by_the_reaped: number(13)? + number(14)?,
    })
}

/// Postgres has a process for each connection; those that ended are counted with their parent.
fn family(pid: u32) -> u64 {
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let pids = processes.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
    let children: u64 = pids.filter_map(stat).filter(|s| s.parent == pid).map(|s| s.used).sum();
    children + stat(pid).map_or(0, |s| s.used + s.used_by_the_reaped)
}
