//! Drops what the caches hold beyond its time. A cache does that by itself only while it is used: after a busy hour it
//! would keep all of it through a quiet night.

use std::hash::Hash;

use moka::future::Cache;

use super::Chat;

impl Chat {
    /// Drops expired entries of every cache.
    pub(super) async fn drop_expired(&self) {
        drop_expired_of(&self.members).await;
        drop_expired_of(&self.blocks).await;
        drop_expired_of(self.accounts.remembered()).await;
    }
}

/// One run of a cache's maintenance drops some hundred entries, so it runs until nothing changes any more.
async fn drop_expired_of<K, V>(cache: &Cache<K, V>)
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    loop {
        let before = cache.entry_count();
        cache.run_pending_tasks().await;
        if cache.entry_count() == before {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn an_unused_cache_loses_what_has_expired() {
        let cache: Cache<u32, ()> = Cache::builder().time_to_live(Duration::from_millis(200)).build();
        for key in 0..5000 {
            cache.insert(key, ()).await;
        }
        cache.run_pending_tasks().await;
        assert_ne!(cache.entry_count(), 0);
        let end = Instant::now() + Duration::from_secs(10);
        while cache.entry_count() > 0 {
            assert!(Instant::now() < end, "{} are left", cache.entry_count());
            tokio::time::sleep(Duration::from_millis(10)).await;
            drop_expired_of(&cache).await;
        }
    }
}
