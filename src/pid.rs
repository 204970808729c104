//! The private session ids (pids) of connection state recovery. A client that has one may come back as the socket that got it.
//! Pids are signed, so that after a restart the server can tell its own from forged ones.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

use crate::{config::Secret, domain::UserId};

/// Length of the signature that a pid has: 16 bytes in hexadecimal.
const SIGNATURE_DIGITS: usize = 32;

/// A private session id. It stays the same when its socket comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid {
    pub id: Uuid,
    /// The time at which it was first issued, by the database's clock as far as that is known.
    pub since: DateTime<Utc>,
}

pub struct Pids {
    key: Hmac<Sha256>,
}

impl Pids {
    /// Derives a key of its own from the tokens' secret.
    pub fn new(secret: &Secret) -> Self {
        let derived = keyed(secret.expose().as_bytes()).chain_update("souk connection state recovery").finalize();
        Self { key: keyed(&derived.into_bytes()) }
    }

    /// Makes a new pid that was issued at this time.
    pub fn fresh(&self, now: DateTime<Utc>) -> Pid {
        Pid { id: Uuid::new_v4(), since: DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now) }
    }

    /// Writes a pid as its client gets it: `id.since.signature`, in hexadecimal.
    pub fn text(&self, pid: &Pid, user: UserId) -> String {
        let signature = self.mac(pid, user).finalize().into_bytes();
        let signature = u128::from_be_bytes(signature.first_chunk().copied().unwrap_or_default());
        format!("{}.{:x}.{signature:032x}", pid.id.simple(), pid.since.timestamp_micros())
    }

    /// Reads a pid; `None` if this server, or an earlier run of it, did not issue it to this user.
    pub fn verify(&self, text: &str, user: UserId) -> Option<Pid> {
        let mut parts = text.split('.');
        let (id, since, signature) = (parts.next()?, parts.next()?, parts.next()?);
        let since = i64::from_str_radix(since, 16).ok().and_then(DateTime::from_timestamp_micros)?;
        let pid = Pid { id: Uuid::try_parse(id).ok()?, since };
        if parts.next().is_some() || signature.len() != SIGNATURE_DIGITS {
            return None;
        }
        let signature = u128::from_str_radix(signature, 16).ok()?.to_be_bytes();
        self.mac(&pid, user).verify_truncated_left(&signature).ok().map(|()| pid)
    }

    fn mac(&self, pid: &Pid, user: UserId) -> Hmac<Sha256> {
        let since = pid.since.timestamp_micros().to_be_bytes();
        self.key.clone().chain_update(pid.id.as_bytes()).chain_update(since).chain_update(user.0.as_bytes())
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length (RFC 2104 §2): this does not fail.
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    #[test]
    fn a_pid_is_good_for_the_user_who_got_it_alone() {
        let pids = Pids::new(&Secret::from("a secret"));
        let pid = pids.fresh(DateTime::UNIX_EPOCH);
        let text = pids.text(&pid, user(1));
        assert_eq!(pids.verify(&text, user(1)), Some(pid));
        assert_eq!(pids.verify(&text, user(2)), None);
        let another_life = Pids::new(&Secret::from("a secret"));
        assert_eq!(another_life.verify(&text, user(1)), Some(pid));
        assert_eq!(Pids::new(&Secret::from("another")).verify(&text, user(1)), None);
    }

    #[test]
    fn a_forged_pid_is_refused() {
        let pids = Pids::new(&Secret::from("a secret"));
        let text = pids.text(&pids.fresh(DateTime::UNIX_EPOCH), user(1));
        let other = pids.text(&pids.fresh(DateTime::UNIX_EPOCH), user(1));
        let (unsigned, signature) = (text.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
        for bad in
            ["", "..", unsigned, &text[..text.len() - 2], &format!("{unsigned}.{signature}"), &format!("{text}.")]
        {
            assert_eq!(pids.verify(bad, user(1)), None, "{bad}");
        }
    }
}
