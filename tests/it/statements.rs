//! How many statements a call takes: lists must not grow one per row.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use souk::domain::{Draft, Emoji, Role};
use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};

use crate::support::World;

/// Counts the statements that sqlx reports on this thread.
struct Statements(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn a_page_of_messages_takes_at_most_three_statements_whatever_is_on_it() {
    let world = World::new().await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    let first = world.send(&a, id, "first").await.unwrap();
    for n in 0..120 {
        let reply_to = (n % 2 == 0).then_some(first.id);
        let sent = world.send_draft(&b, id, Draft { text: n.to_string(), reply_to, ..Draft::default() }).await.unwrap();
        if n % 3 == 0 {
            world.chat.react(&a, sent.id, &Emoji::parse("👍").unwrap(), true).await.unwrap();
        }
    }
    // Once for each, so that sqlx's own questions about types are asked and answered.
    world.page(&a, id, json!({})).await.unwrap();
    world.conversations(&a, json!({})).await;
    let count = Arc::new(AtomicUsize::new(0));
    let subscriber = tracing_subscriber::registry().with(Statements(count.clone()));
    let guard = tracing::subscriber::set_default(subscriber);
    // The fewest of several: what is done behind (marks, notifications) may come in between, but not each time.
    for limit in [1, 50, 100] {
        let mut fewest = usize::MAX;
        for _ in 0..5 {
            count.store(0, Ordering::Relaxed);
            let page = world.page(&a, id, json!({ "limit": limit })).await.unwrap();
            fewest = fewest.min(count.load(Ordering::Relaxed));
            assert_eq!(page.len(), limit);
            assert!(
                limit == 1 || page.iter().any(|m| m.reply_to.is_some()) && page.iter().any(|m| !m.reactions.is_empty())
            );
        }
        assert!((1..=3).contains(&fewest), "{fewest} statements for {limit} messages");
    }
    let mut fewest = usize::MAX;
    for _ in 0..5 {
        count.store(0, Ordering::Relaxed);
        world.conversations(&a, json!({})).await;
        fewest = fewest.min(count.load(Ordering::Relaxed));
    }
    assert!((1..=3).contains(&fewest), "{fewest} statements for a list");
    drop(guard);
    world.close().await;
}
