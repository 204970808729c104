//! Keeps the events about one message in order: no event follows one with a newer version of the message.
//!
//! Every change of a message takes the next version under its row's lock. Every event about it goes through
//! its entry here, which has the newest version that was sent. An event with an older version is not sent; its caller reads the
//! message again and makes a new one. The deletion for everyone is the last event of a message.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    domain::{Message, MessageId},
    error::Error,
};

/// The number of maps over which entries are spread, each with a lock of its own.
const SHARDS: usize = 16;
/// The number of entries in a map after which those that were not used meanwhile are dropped.
const GENERATION: usize = 1024;

/// Longest time that a change of a message waits for the changes before it.
const TURN_WITHIN: Duration = Duration::from_secs(4);

/// The newest version that was sent of each message that was changed lately, or is being changed.
#[derive(Default)]
pub struct LastTold {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

/// Two generations: when the younger one is full it becomes the older one, whose unused entries are dropped.
#[derive(Default)]
struct Shard {
    young: HashMap<MessageId, Arc<Entry>>,
    old: HashMap<MessageId, Arc<Entry>>,
}

#[derive(Default)]
pub struct Entry {
    turn: tokio::sync::Mutex<()>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    version: i64,
    is_deleted: bool,
}

/// The version of a message that an event shows.
#[derive(Clone, Copy)]
pub struct Shown {
    pub version: i64,
    /// True if it is shown without its text, because it was deleted for everyone.
    pub is_deleted: bool,
}

impl From<&Message> for Shown {
    fn from(m: &Message) -> Self {
        Self { version: m.version, is_deleted: m.is_deleted }
    }
}

/// The message that another one answers, as an event about the latter shows it.
pub struct Quoted {
    entry: Arc<Entry>,
    shown: Shown,
}

impl LastTold {
    /// A message's entry. Get it before the message is changed, so that events about it meanwhile go through it.
    pub fn of(&self, message: MessageId) -> Arc<Entry> {
        self.shard(message).lock().entry(message)
    }

    /// Tells of a new message, unless something newer was told of it already; false if so. Most new messages have no entry
    /// and get none: until it was told, nobody else gets one.
    pub fn tell_new(&self, message: &Message, quoted: Option<&Quoted>, emit: impl FnOnce()) -> bool {
        let shard = self.shard(message.id).lock();
        let Some(entry) = shard.find(message.id) else {
            // Under the lock of the map, so that nobody gets an entry and tells of a change in between.
            let told_of_quoted = quoted.map(|q| (q.entry.told.lock(), q.shown));
            let is_news = told_of_quoted.as_ref().is_none_or(|(told, shown)| told.admits(*shown));
            if is_news {
                emit();
            }
            return is_news;
        };
        drop(shard);
        entry.tell(message.into(), quoted, emit)
    }

    /// A message as another shows it that answers it.
    pub fn quoted(&self, message: &Message) -> Quoted {
        Quoted { entry: self.of(message.id), shown: message.into() }
    }

    /// The message that this one answers, as it shows it.
    pub fn quoted_by(&self, message: &Message) -> Option<Quoted> {
        let quote = message.reply_to.as_ref()?;
        let shown = Shown { version: quote.version, is_deleted: quote.is_deleted };
        Some(Quoted { entry: self.of(quote.id), shown })
    }

    fn shard(&self, message: MessageId) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(message);
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)]
    }
}

impl Shard {
    fn find(&self, message: MessageId) -> Option<Arc<Entry>> {
        self.young.get(&message).or_else(|| self.old.get(&message)).cloned()
    }

    fn entry(&mut self, message: MessageId) -> Arc<Entry> {
        if let Some(entry) = self.young.get(&message) {
            return entry.clone();
        }
        let entry = self.old.remove(&message).unwrap_or_default();
        if self.young.len() >= GENERATION {
            let in_use = |entry: &Arc<Entry>| Arc::strong_count(entry) > 1;
            let kept = std::mem::take(&mut self.old).into_iter().filter(|(_, entry)| in_use(entry));
            let kept: Vec<_> = kept.collect();
            self.old = std::mem::take(&mut self.young);
            self.old.extend(kept);
        }
        self.young.insert(message, entry.clone());
        entry
    }
}

impl Entry {
    /// Waits until no other task of this server changes the message or is about to tell of it, so that all changes of a message
    /// are told, in their order.
    ///
    /// # Errors
    /// [`Error::Busy`] if that takes too long: a lock on the message's row holds up the change that has the turn, and those
    /// behind it must not wait one after the other.
    pub async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Error> {
        tokio::time::timeout(TURN_WITHIN, self.turn.lock()).await.map_err(|_| Error::Busy)
    }

    /// Sends an event unless something newer was told of what it shows, or the deletion of that; false if so.
    pub fn tell(self: &Arc<Self>, shown: Shown, quoted: Option<&Quoted>, emit: impl FnOnce()) -> bool {
        // Both are locked, in the order of their addresses: SQL users may make messages quote each other, or themselves.
        let (mut told, told_of_quoted) = match quoted.filter(|q| !Arc::ptr_eq(&q.entry, self)) {
            None => (self.told.lock(), None),
            Some(q) if Arc::as_ptr(self) < Arc::as_ptr(&q.entry) => {
                let told = self.told.lock();
                (told, Some((q.entry.told.lock(), q.shown)))
            }
            Some(q) => {
                let told_of_quoted = q.entry.told.lock();
                (self.told.lock(), Some((told_of_quoted, q.shown)))
            }
        };
        let is_news = told.admits(shown) && told_of_quoted.is_none_or(|(told, shown)| told.admits(shown));
        if is_news {
            told.version = shown.version;
            emit();
        }
        is_news
    }

    /// Tells of the deletion for everyone, after which nothing is told.
    pub fn tell_deletion(&self, version: i64, emit: impl FnOnce()) {
        let mut told = self.told.lock();
        if !told.is_deleted {
            emit();
        }
        told.is_deleted = true;
        told.version = told.version.max(version);
    }

    /// True if its deletion for everyone was sent.
    pub fn is_deleted(&self) -> bool {
        self.told.lock().is_deleted
    }
}

impl Told {
    fn admits(&self, shown: Shown) -> bool {
        shown.version >= self.version && (shown.is_deleted || !self.is_deleted)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{ConversationId, UserId};

    const ALIVE: bool = false;
    const DELETED: bool = true;

    fn told(entry: &Arc<Entry>, version: i64, is_deleted: bool) -> bool {
        entry.tell(Shown { version, is_deleted }, None, || ())
    }

    fn message() -> Message {
        let (conversation, sender) = (ConversationId(Uuid::nil()), UserId(Uuid::nil()));
        Message::plain(MessageId::new(), conversation, sender, 1, String::new(), DateTime::UNIX_EPOCH)
    }

    fn quoting(last_told: &LastTold, quoted: MessageId, version: i64) -> Quoted {
        Quoted { entry: last_told.of(quoted), shown: Shown { version, is_deleted: ALIVE } }
    }

    #[test]
    fn nothing_older_is_told_after_something_newer() {
        let entry = LastTold::default().of(MessageId::new());
        assert!(told(&entry, 2, ALIVE));
        assert!(!told(&entry, 1, ALIVE));
        assert!(told(&entry, 2, ALIVE), "the same once more is not older");
        assert!(told(&entry, 3, ALIVE));
    }

    #[test]
    fn nothing_is_told_after_the_deletion_and_it_is_told_once() {
        let entry = LastTold::default().of(MessageId::new());
        let mut times = 0;
        entry.tell_deletion(2, || times += 1);
        entry.tell_deletion(2, || times += 1);
        assert_eq!(times, 1);
        assert!(!told(&entry, 3, ALIVE));
        assert!(told(&entry, 3, DELETED));
    }

    #[test]
    fn a_new_message_is_not_told_after_a_change_of_it() {
        let last_told = LastTold::default();
        let (new, changed) = (message(), message());
        assert!(last_told.tell_new(&new, None, || ()));
        let entry = last_told.of(changed.id);
        assert!(last_told.tell_new(&changed, None, || ()), "someone is about to change it, and nothing was told yet");
        assert!(told(&entry, 1, ALIVE));
        assert!(!last_told.tell_new(&changed, None, || ()));
        assert!(last_told.tell_new(&Message { version: 1, ..changed }, None, || ()));
    }

    #[test]
    fn an_older_version_of_a_quoted_message_is_not_told_with_its_answer() {
        let last_told = LastTold::default();
        let (quoted, answer) = (MessageId::new(), message());
        assert!(told(&last_told.of(quoted), 1, ALIVE));
        assert!(!last_told.tell_new(&answer, Some(&quoting(&last_told, quoted, 0)), || ()));
        assert!(last_told.tell_new(&answer, Some(&quoting(&last_told, quoted, 1)), || ()));
        let entry = last_told.of(answer.id);
        assert!(!entry.tell(Shown { version: 1, is_deleted: ALIVE }, Some(&quoting(&last_told, quoted, 0)), || ()));
        assert!(
            entry.tell(Shown { version: 1, is_deleted: ALIVE }, Some(&quoting(&last_told, answer.id, 0)), || ()),
            "itself"
        );
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_keeps_what_is_in_use() {
        let last_told = LastTold::default();
        let used = MessageId::new();
        let entry = last_told.of(used);
        assert!(told(&entry, 7, ALIVE));
        for _ in 0..3 * SHARDS * GENERATION {
            last_told.of(MessageId::new());
        }
        let len = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.young.len() + shard.old.len()
        };
        let kept: usize = last_told.shards.iter().map(len).sum();
        assert!(kept <= 2 * SHARDS * GENERATION + 1, "{kept}");
        assert!(!told(&last_told.of(used), 6, ALIVE));
    }
}
