//! One answer for those who ask the same at the same time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;

use crate::error::Result;

type Turn = Arc<tokio::sync::Mutex<()>>;
type Answer<V> = Arc<OnceLock<Result<V>>>;

/// Lets one question be asked once at a time. Who comes while it is being asked waits and shares the next answer, never
/// the one that is on its way: that may have been read before something which the caller knows of. So an answer is
/// always younger than its question, and a user whose tabs all ask at once (as the app does when a message comes) is
/// served by two statements, not by as many as there are tabs.
pub struct Coalesced<K: Eq + Hash, V> {
    questions: Mutex<HashMap<K, Question<V>>>,
}

/// A question that is being asked.
struct Question<V> {
    turn: Turn,
    /// The place for the answer of those who came since it was last begun.
    next: Option<Answer<V>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Coalesced<K, V> {
    /// Nobody asks.
    pub fn new() -> Self {
        Self { questions: Mutex::default() }
    }

    /// What `ask` finds, run here or by another who came since it was last begun. Errors are shared too.
    ///
    /// # Errors
    /// Those of `ask`.
    pub async fn get(&self, key: K, ask: impl Future<Output = Result<V>>) -> Result<V> {
        let (asker, answer) = self.enter(key);
        let _turn = asker.turn.lock().await;
        if let Some(shared) = answer.get() {
            return shared.clone();
        }
        asker.begin(&answer);
        let found = ask.await;
        // Only who has the turn sets it.
        let _ = answer.set(found.clone());
        found
    }

    fn enter(&self, key: K) -> (Asker<'_, K, V>, Answer<V>) {
        let mut questions = self.questions.lock();
        let question = questions.entry(key.clone()).or_insert_with(|| Question { turn: Turn::default(), next: None });
        let answer = question.next.get_or_insert_default().clone();
        (Asker { all: self, key, turn: question.turn.clone() }, answer)
    }
}

/// One who asks or waits. The last to go, whether answered or not, takes the question along.
struct Asker<'a, K: Eq + Hash, V> {
    all: &'a Coalesced<K, V>,
    key: K,
    turn: Turn,
}

impl<K: Eq + Hash, V> Asker<'_, K, V> {
    /// Whoever comes from now on needs a younger answer.
    fn begin(&self, answer: &Answer<V>) {
        if let Some(question) = self.all.questions.lock().get_mut(&self.key) {
            question.next.take_if(|next| Arc::ptr_eq(next, answer));
        }
    }
}

impl<K: Eq + Hash, V> Drop for Asker<'_, K, V> {
    fn drop(&mut self) {
        let mut questions = self.all.questions.lock();
        // Its own and the map's; more are made under the lock alone.
        if Arc::strong_count(&self.turn) == 2 {
            questions.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;
    use crate::error::Error;

    /// A question whose answer is how often it has been asked, given when it is let go.
    #[derive(Clone)]
    struct Slow {
        answers: Arc<Coalesced<u8, u32>>,
        asked: Arc<AtomicU32>,
        go: Arc<Semaphore>,
    }

    impl Slow {
        fn new() -> Self {
            Self { answers: Arc::new(Coalesced::new()), asked: Arc::default(), go: Arc::new(Semaphore::new(0)) }
        }

        fn ask(&self, key: u8) -> tokio::task::JoinHandle<Result<u32>> {
            let slow = self.clone();
            tokio::spawn(async move {
                let ask = async {
                    let n = slow.asked.fetch_add(1, Ordering::SeqCst) + 1;
                    slow.go.acquire().await.unwrap().forget();
                    if key == 0 { Err(Error::Internal) } else { Ok(n) }
                };
                slow.answers.get(key, ask).await
            })
        }

        /// Until that many are waiting or asking.
        async fn askers(&self, key: u8, n: usize) {
            while self.answers.questions.lock().get(&key).map_or(0, |q| Arc::strong_count(&q.turn) - 1) != n {
                tokio::task::yield_now().await;
            }
            while self.asked.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn who_comes_while_it_is_asked_shares_the_next_answer() {
        let slow = Slow::new();
        let first = slow.ask(1);
        slow.askers(1, 1).await;
        let later: Vec<_> = (0..5).map(|_| slow.ask(1)).collect();
        slow.askers(1, 6).await;
        slow.go.add_permits(2);
        assert_eq!(first.await.unwrap(), Ok(1));
        for one in later {
            assert_eq!(one.await.unwrap(), Ok(2));
        }
        assert!(slow.answers.questions.lock().is_empty());
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_question_to_those_who_wait() {
        let slow = Slow::new();
        let gone = slow.ask(1);
        slow.askers(1, 1).await;
        let waits = slow.ask(1);
        slow.askers(1, 2).await;
        gone.abort();
        slow.go.add_permits(1);
        assert_eq!(waits.await.unwrap(), Ok(2));
        assert!(slow.answers.questions.lock().is_empty());
    }

    #[tokio::test]
    async fn other_questions_do_not_wait_and_errors_are_shared() {
        let slow = Slow::new();
        let (first, second) = (slow.ask(0), slow.ask(0));
        slow.askers(0, 2).await;
        let other = slow.ask(1);
        slow.askers(1, 1).await;
        slow.go.add_permits(3);
        assert!(other.await.unwrap().is_ok());
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (Err(Error::Internal), Err(Error::Internal)));
        assert!(slow.answers.questions.lock().is_empty());
    }
}
