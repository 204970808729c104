//! One answer for callers who ask the same at the same time.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore};

use crate::error::Result;

/// Runs per key at the same time. With one, a second caller would wait for the first even on an idle machine.
const AT_ONCE: usize = 2;

type Answer<V> = Arc<OnceCell<Result<V>>>;

/// Answers callers who ask the same at once together (singleflight). At most two runs per key: a caller that arrives during
/// them shares the next one with all others who do. It never shares a run that has begun, which may have read before
/// something that the caller knows of. So a user whose tabs all ask at once (as the app does when a message comes) costs a
/// few statements, not as many as there are tabs.
pub struct Coalesced<K: Eq + Hash, V> {
    questions: Mutex<HashMap<K, Question<V>>>,
}

/// A key that is being asked for.
struct Question<V> {
    askers: usize,
    turns: Arc<Semaphore>,
    /// The answer of the next run, which callers who came since the last one began share.
    next: Option<Answer<V>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Coalesced<K, V> {
    pub fn new() -> Self {
        Self { questions: Mutex::default() }
    }

    /// Returns what `ask` finds, run here or by another caller of the same run. Errors are shared too.
    pub async fn get(&self, key: K, ask: impl Future<Output = Result<V>>) -> Result<V> {
        let (asker, answer) = self.enter(key);
        // One of the callers runs it, and another one takes over if that one goes away.
        let found = answer.get_or_init(async || {
            let _turn = asker.turns.acquire().await;
            asker.begin(&answer);
            ask.await
        });
        found.await.clone()
    }

    fn enter(&self, key: K) -> (Asker<'_, K, V>, Answer<V>) {
        let mut questions = self.questions.lock();
        let question = questions.entry(key.clone()).or_insert_with(|| Question {
            askers: 0,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            next: None,
        });
        question.askers += 1;
        let answer = question.next.get_or_insert_default().clone();
        (Asker { all: self, key, turns: question.turns.clone() }, answer)
    }
}

/// A caller that runs or waits. The last one to go, answered or not, removes the key.
struct Asker<'a, K: Eq + Hash, V> {
    all: &'a Coalesced<K, V>,
    key: K,
    turns: Arc<Semaphore>,
}

impl<K: Eq + Hash, V> Asker<'_, K, V> {
    /// Callers that come from now on need a newer answer.
    fn begin(&self, answer: &Answer<V>) {
        if let Some(question) = self.all.questions.lock().get_mut(&self.key) {
            question.next.take_if(|next| Arc::ptr_eq(next, answer));
        }
    }
}

impl<K: Eq + Hash, V> Drop for Asker<'_, K, V> {
    fn drop(&mut self) {
        let mut questions = self.all.questions.lock();
        if let Some(question) = questions.get_mut(&self.key) {
            question.askers -= 1;
            if question.askers == 0 {
                questions.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

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

        /// Until that many are waiting or asking, and this often it was asked.
        async fn until(&self, key: u8, askers: usize, asked: u32) {
            let now = || {
                let askers = self.answers.questions.lock().get(&key).map_or(0, |q| q.askers);
                (askers, self.asked.load(Ordering::SeqCst))
            };
            while now() != (askers, asked) {
                tokio::task::yield_now().await;
            }
        }

        /// Two who are asking.
        async fn both_turns(&self) -> [tokio::task::JoinHandle<Result<u32>>; 2] {
            let first = self.ask(1);
            self.until(1, 1, 1).await;
            let second = self.ask(1);
            self.until(1, 2, 2).await;
            [first, second]
        }
    }

    #[tokio::test]
    async fn who_comes_while_it_is_asked_shares_the_next_answer() {
        let slow = Slow::new();
        let [first, second] = slow.both_turns().await;
        let later: Vec<_> = (0..5).map(|_| slow.ask(1)).collect();
        slow.until(1, 7, 2).await;
        slow.go.add_permits(3);
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(1), Ok(2)));
        for one in later {
            assert_eq!(one.await.unwrap(), Ok(3));
        }
        assert!(slow.answers.questions.lock().is_empty());
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_question_to_those_who_wait() {
        let slow = Slow::new();
        let [first, second] = slow.both_turns().await;
        let (gone, waits) = (slow.ask(1), slow.ask(1));
        slow.until(1, 4, 2).await;
        first.abort();
        slow.until(1, 3, 3).await;
        gone.abort();
        slow.until(1, 2, 4).await;
        slow.go.add_permits(2);
        assert_eq!((second.await.unwrap(), waits.await.unwrap()), (Ok(2), Ok(4)));
        assert!(slow.answers.questions.lock().is_empty());
    }

    #[tokio::test]
    async fn other_questions_do_not_wait_and_errors_are_shared() {
        let slow = Slow::new();
        let [first, second] = slow.both_turns().await;
        let failing = [slow.ask(0), slow.ask(0)];
        slow.go.add_permits(4);
        for one in failing {
            assert_eq!(one.await.unwrap(), Err(Error::Internal));
        }
        assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
        assert!(slow.answers.questions.lock().is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_left_of_those_who_leave_together() {
        let slow = Slow::new();
        slow.go.add_permits(10_000);
        for _ in 0..200 {
            let all: Vec<_> = (0..20).map(|_| slow.ask(1)).collect();
            for one in all {
                assert!(one.await.unwrap().is_ok());
            }
            assert!(slow.answers.questions.lock().is_empty());
        }
    }
}
