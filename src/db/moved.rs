//! A database whose name leads elsewhere from one moment to the next, as after a failover: its old host may say nothing more,
//! not even that the connections to it are over.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Weak,
    time::{Duration, Instant},
};

use sqlx::postgres::PgConnectOptions;

use super::backend::Health;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A name may lead to several hosts, one at a time: an address that was seen within this time is none that is new.
const REMEMBER_FOR: Duration = Duration::from_mins(1);

/// Looks the host's name up every second, as long as there is the pool. Nothing to do for an address or a socket.
pub(super) fn watch(options: &PgConnectOptions, health: Weak<Health>) {
    let (host, port) = (options.get_host().to_owned(), options.get_port());
    let is_name = options.get_socket().is_none()
        && !host.starts_with('/')
        && host != "localhost"
        && host.trim_matches(['[', ']']).parse::<IpAddr>().is_err();
    if let Ok(runtime) = tokio::runtime::Handle::try_current()
        && is_name
    {
        runtime.spawn(look(host, port, health));
    }
}

async fn look(host: String, port: u16, health: Weak<Health>) {
    let mut seen: HashMap<IpAddr, Instant> = HashMap::new();
    while health.strong_count() > 0 {
        if let Ok(found) = tokio::net::lookup_host((host.as_str(), port)).await {
            let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            let is_elsewhere = !seen.is_empty() && !found.is_empty() && !found.iter().any(|ip| seen.contains_key(ip));
            if is_elsewhere && let Some(health) = health.upgrade() {
                tracing::warn!("the database's name leads elsewhere, connecting anew");
                health.moved();
            }
            let now = Instant::now();
            seen.extend(found.into_iter().map(|ip| (ip, now)));
            seen.retain(|_, at| at.elapsed() < REMEMBER_FOR);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
