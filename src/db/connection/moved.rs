//! A database whose name leads elsewhere from one moment to the next, as after a failover: its old host may say nothing more,
//! not even that the connections to it are over.

use std::{
    collections::HashMap,
    io,
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
        runtime.spawn(async move {
            let mut addresses = Addresses::default();
            while health.strong_count() > 0 {
                let found = tokio::net::lookup_host((host.as_str(), port)).await;
                let Some(health) = health.upgrade() else { return };
                heed(found.map(|found| found.map(|address| address.ip()).collect()), &mut addresses, &health);
                drop(health);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
    }
}

/// Notes that the database moved, if a lookup says so.
fn heed(found: io::Result<Vec<IpAddr>>, addresses: &mut Addresses, health: &Health) {
    if let Ok(found) = found
        && addresses.lead_elsewhere(&found, Instant::now())
    {
        tracing::warn!("the database's name leads elsewhere, connecting anew");
        health.moved();
    }
}

/// The addresses that a name led to within the last minute.
#[derive(Default)]
struct Addresses(HashMap<IpAddr, Instant>);

impl Addresses {
    /// Takes the addresses of one lookup; true if all of them are new.
    fn lead_elsewhere(&mut self, found: &[IpAddr], now: Instant) -> bool {
        let is_known = |ip: &IpAddr| self.0.contains_key(ip);
        let is_elsewhere = !self.0.is_empty() && !found.is_empty() && !found.iter().any(is_known);
        if !found.is_empty() {
            // A lookup without a result changes nothing.
            self.0.extend(found.iter().map(|ip| (*ip, now)));
            self.0.retain(|_, at| now.saturating_duration_since(*at) < REMEMBER_FOR);
        }
        is_elsewhere
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    const C: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3));

    #[test]
    fn a_name_leads_elsewhere_when_none_of_its_addresses_was_seen_lately() {
        let (mut addresses, start) = (Addresses::default(), Instant::now());
        let mut at = |second, found: &[IpAddr]| addresses.lead_elsewhere(found, start + Duration::from_secs(second));
        assert!(!at(0, &[A, B]), "the first lookup");
        assert!(!at(1, &[B]), "one of them");
        assert!(!at(2, &[]), "no address tells nothing");
        assert!(!at(3, &[B, C]), "one that is known, and one that is new");
        assert!(!at(4, &[A]), "taking turns");
        assert!(!at(90, &[]), "nothing for a long time");
        assert!(at(91, &[IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)]));
    }

    #[test]
    fn an_address_that_was_left_a_minute_ago_is_new_again() {
        let (mut addresses, start) = (Addresses::default(), Instant::now());
        let mut at = |second, found| addresses.lead_elsewhere(&[found], start + Duration::from_secs(second));
        assert!(!at(0, A));
        assert!(at(1, B));
        assert!(!at(30, A), "it may be taking turns");
        assert!(!at(31, B));
        assert!(!at(89, B));
        assert!(!at(91, B), "the only one of the last minute");
        assert!(at(92, A));
    }

    #[test]
    fn a_database_that_moved_is_told_to_those_who_wait_for_it() {
        let (health, mut addresses) = (Health::new(1, false), Addresses::default());
        let started = Instant::now();
        heed(Ok(vec![A]), &mut addresses, &health);
        heed(Err(io::ErrorKind::TimedOut.into()), &mut addresses, &health);
        assert!(!health.moved_since(started));
        heed(Ok(vec![B]), &mut addresses, &health);
        assert!(health.moved_since(started));
        assert!(!health.moved_since(Instant::now() + Duration::from_millis(5)), "what is asked from now on may wait");
    }

    #[tokio::test]
    async fn an_attempt_to_connect_to_the_old_host_is_given_up() {
        let old = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(old.local_addr().unwrap().port());
        let health = Arc::new(Health::new(1, false));
        let opening = health.clone();
        let attempt = tokio::spawn(async move { opening.open(&options, None).await.map(|_| ()) });
        let (_says_nothing, _) = old.accept().await.unwrap();
        health.moved();
        // It stands for the new host here.
        tokio::time::timeout(Duration::from_secs(2), old.accept()).await.expect("no second attempt").unwrap();
        attempt.abort();
    }
}
