//! Members of conversations and blocks between users, remembered for up to 30 s. This serves only events that store
//! nothing: typing, coming and going. Whatever stores something asks the database.

use std::{collections::HashSet, hash::Hash, sync::Arc, time::Duration};

use moka::future::Cache;

use crate::{
    db::Db,
    domain::{ConversationId, UserId},
    error::Result,
};

const REMEMBERED_FOR: Duration = Duration::from_secs(30);
const MAX_ENTRIES: u64 = 100_000;

pub struct Membership {
    db: Db,
    members: Cache<ConversationId, Arc<[UserId]>>,
    blocks: Cache<UserId, Arc<HashSet<UserId>>>,
}

impl Membership {
    pub(super) fn new(db: Db) -> Self {
        Self { db, members: cache(REMEMBERED_FOR), blocks: cache(REMEMBERED_FOR) }
    }

    /// The members of a conversation. Empty if it does not exist.
    pub async fn members(&self, conversation: ConversationId) -> Result<Arc<[UserId]>> {
        if let Some(members) = self.members.get(&conversation).await {
            return Ok(members);
        }
        let members: Arc<[UserId]> = self.db.members(conversation).await?.into();
        if !members.is_empty() {
            self.members.insert(conversation, members.clone()).await;
        }
        Ok(members)
    }

    /// Remembers the members that a statement just returned.
    pub async fn remember(&self, conversation: ConversationId, members: &Arc<[UserId]>) {
        if self.members.get(&conversation).await.is_some_and(|known| known == *members) {
            return;
        }
        self.members.insert(conversation, members.clone()).await;
    }

    /// The users whom `user` blocked or who blocked `user`. Without the database: nobody.
    pub async fn blocks_around(&self, user: UserId) -> Arc<HashSet<UserId>> {
        if let Some(known) = self.blocks.get(&user).await {
            return known;
        }
        let Ok(found) = self.db.blocks_around(user).await else { return Arc::default() };
        let found: Arc<HashSet<UserId>> = Arc::new(found.into_iter().collect());
        self.blocks.insert(user, found.clone()).await;
        found
    }

    /// Forgets the blocks of a user, because one of them changed.
    pub async fn forget_blocks(&self, user: UserId) {
        self.blocks.invalidate(&user).await;
    }

    /// Those of `members` who may see what `user` does.
    pub async fn without_blocked(&self, user: UserId, members: &[UserId]) -> Arc<[UserId]> {
        let blocked = self.blocks_around(user).await;
        members.iter().copied().filter(|m| !blocked.contains(m)).collect()
    }

    pub async fn drop_expired(&self) {
        drop_expired_of(&self.members).await;
        drop_expired_of(&self.blocks).await;
    }
}

pub fn cache<K, V>(time: Duration) -> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(time).build()
}

/// Drops expired entries. A cache does that by itself only while it is used: after a busy hour it would keep all of them
/// through a quiet night. One run of its maintenance drops some hundred, so it runs until nothing changes any more.
pub async fn drop_expired_of<K, V>(cache: &Cache<K, V>)
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
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn an_unused_cache_loses_what_has_expired() {
        let cache: Cache<u32, ()> = cache(Duration::from_millis(200));
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
