//! Rate limits: token buckets per user and per address.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock, QuantaInstant},
};
use parking_lot::Mutex;

use super::ClientAddress;
use crate::{
    config::LimitsConfig,
    domain::UserId,
    error::{Error, Result},
};

/// The size of a bucket: requests for this many seconds may come at once.
const BURST_SECONDS: u32 = 5;
/// Seconds for joins: a client that comes back joins all its rooms at once.
const JOIN_BURST_SECONDS: u32 = 10;
/// Seconds for refusals: a page that loads with an expired token gets refusals for all its calls at once.
const REFUSAL_BURST_SECONDS: u32 = 10;
/// Refusals that a user may get per second, and at once, before the socket that causes them is disconnected.
const REFUSALS_PER_SECOND: NonZeroU32 = NonZeroU32::new(100).unwrap();
const REFUSALS_AT_ONCE: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// The time during which a user who was disconnected for that is accepted late.
const FLOODER_FOR: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message or a reply.
    Message,
    Typing,
    /// Joining or leaving a room.
    Join,
    Search,
    Upload,
    /// Any other change: edit, delete, react, read, open, block.
    Action,
    Read,
}

type Keyed<K> = DefaultKeyedRateLimiter<K>;

/// The token buckets. A limit of 0 in the configuration means no limit.
pub struct Rates {
    messages: Option<Keyed<UserId>>,
    typing: Option<Keyed<UserId>>,
    joins: Option<Keyed<UserId>>,
    searches: Option<Keyed<UserId>>,
    uploads: Option<Keyed<UserId>>,
    actions: Option<Keyed<UserId>>,
    reads: Option<Keyed<UserId>>,
    conversations: Option<Keyed<UserId>>,
    conversations_of_pair: Option<Keyed<(UserId, UserId)>>,
    refusals: Keyed<UserId>,
    flooders: Mutex<HashMap<UserId, Instant>>,
    handshakes: Option<DefaultDirectRateLimiter>,
    handshakes_of_address: Option<Keyed<IpAddr>>,
    bad_tokens: Option<Keyed<IpAddr>>,
    refusals_of_address: Option<Keyed<IpAddr>>,
    clock: DefaultClock,
}

fn per_second(n: u32, burst_seconds: u32) -> Option<Quota> {
    let n = NonZeroU32::new(n)?;
    Some(Quota::per_second(n).allow_burst(n.saturating_mul(NonZeroU32::new(burst_seconds)?)))
}

fn keyed<K: Clone + Hash + Eq>(quota: Option<Quota>) -> Option<Keyed<K>> {
    quota.map(RateLimiter::keyed)
}

impl Rates {
    /// Makes the buckets for the limits in `config`.
    pub fn new(config: &LimitsConfig) -> Self {
        let by_user = |n| keyed(per_second(n, BURST_SECONDS));
        let per_hour = |n| NonZeroU32::new(n).map(Quota::per_hour);
        let per_minute = |n| NonZeroU32::new(n).map(Quota::per_minute);
        Self {
            messages: by_user(config.max_messages_per_second),
            typing: by_user(config.max_typing_per_second),
            joins: keyed(per_second(config.max_joins_per_second, JOIN_BURST_SECONDS)),
            searches: by_user(config.max_searches_per_second),
            uploads: keyed(per_minute(config.max_uploads_per_minute)),
            actions: by_user(config.max_actions_per_second),
            reads: by_user(config.max_reads_per_second),
            conversations: keyed(per_hour(config.max_new_conversations_per_hour)),
            conversations_of_pair: keyed(per_hour(config.max_new_conversations_per_pair_per_hour)),
            refusals: RateLimiter::keyed(Quota::per_second(REFUSALS_PER_SECOND).allow_burst(REFUSALS_AT_ONCE)),
            flooders: Mutex::default(),
            handshakes: per_second(config.max_handshakes_per_second, 1).map(RateLimiter::direct),
            handshakes_of_address: keyed(per_second(config.max_handshakes_per_second_per_ip, BURST_SECONDS)),
            bad_tokens: keyed(per_minute(config.max_bad_tokens_per_minute)),
            refusals_of_address: keyed(per_second(config.max_refusals_per_second_per_ip, REFUSAL_BURST_SECONDS)),
            clock: DefaultClock::default(),
        }
    }

    /// Takes one token of `user` for this kind.
    /// Fails with [`Error::RateLimited`] when there is none left.
    pub fn check(&self, kind: Kind, user: UserId) -> Result<()> {
        let limiter = match kind {
            Kind::Message => &self.messages,
            Kind::Typing => &self.typing,
            Kind::Join => &self.joins,
            Kind::Search => &self.searches,
            Kind::Upload => &self.uploads,
            Kind::Action => &self.actions,
            Kind::Read => &self.reads,
        };
        self.take(limiter.as_ref(), &user)
    }

    /// Takes one token for a new conversation of `user`, and one for a new conversation of these two users.
    /// Fails with [`Error::RateLimited`] when there is none left.
    pub fn new_conversation(&self, user: UserId, other: UserId) -> Result<()> {
        // The narrower limit first, so that its refusals take no token of the wider one.
        let pair = if user < other { (user, other) } else { (other, user) };
        self.take(self.conversations_of_pair.as_ref(), &pair)?;
        self.take(self.conversations.as_ref(), &user)
    }

    /// Counts a refusal of `user`; true if there are so many that answering them costs too much.
    #[must_use]
    pub fn is_flooding(&self, user: UserId) -> bool {
        let floods = self.refusals.check_key(&user).is_err();
        if floods {
            self.flooders.lock().insert(user, Instant::now());
        }
        floods
    }

    /// True if `user` was disconnected for that a moment ago.
    pub fn was_flooding(&self, user: UserId) -> bool {
        self.flooders.lock().get(&user).is_some_and(|since| since.elapsed() < FLOODER_FOR)
    }

    /// Takes one token for a handshake from `address`.
    /// Fails with [`Error::RateLimited`], for the address's own share, or for the server's.
    pub fn handshake(&self, address: Option<ClientAddress>) -> Result<()> {
        // The address's own limit first, so that one address cannot use up the limit of all.
        if let Some(ClientAddress(address)) = address {
            self.take(self.handshakes_of_address.as_ref(), &address)?;
        }
        match self.handshakes.as_ref().map(RateLimiter::check) {
            Some(Err(not_until)) => Err(self.refusal(&not_until)),
            _ => Ok(()),
        }
    }

    /// Counts a bad token from `address`.
    /// Fails with [`Error::RateLimited`] when `address` had too many.
    pub fn bad_token(&self, address: Option<ClientAddress>) -> Result<()> {
        match address {
            Some(ClientAddress(address)) => self.take(self.bad_tokens.as_ref(), &address),
            None => Ok(()),
        }
    }

    /// Counts a refusal of `address`; true if there are so many that the refusal is to come late.
    #[must_use]
    pub fn refuses_late(&self, ClientAddress(address): ClientAddress) -> bool {
        self.take(self.refusals_of_address.as_ref(), &address).is_err()
    }

    /// Drops token buckets that are full again.
    pub fn forget(&self) {
        let by_user =
            [&self.messages, &self.typing, &self.joins, &self.searches, &self.uploads, &self.actions, &self.reads];
        by_user.into_iter().chain([&self.conversations]).flatten().chain([&self.refusals]).for_each(forget);
        self.conversations_of_pair.iter().for_each(forget);
        self.flooders.lock().retain(|_, since| since.elapsed() < FLOODER_FOR);
        [&self.handshakes_of_address, &self.bad_tokens, &self.refusals_of_address]
            .into_iter()
            .flatten()
            .for_each(forget);
    }

    fn take<K: Clone + Hash + Eq>(&self, limiter: Option<&Keyed<K>>, key: &K) -> Result<()> {
        match limiter.map(|l| l.check_key(key)) {
            Some(Err(not_until)) => Err(self.refusal(&not_until)),
            _ => Ok(()),
        }
    }

    fn refusal(&self, not_until: &NotUntil<QuantaInstant>) -> Error {
        let wait = not_until.wait_time_from(self.clock.now()).max(Duration::from_millis(1));
        // Rounded up, so that a client that comes back exactly then is accepted.
        Error::RateLimited { retry_after_ms: u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX) }
    }
}

fn forget<K: Clone + Hash + Eq>(limiter: &Keyed<K>) {
    limiter.retain_recent();
    limiter.shrink_to_fit();
}
