//! How many statements a call takes: lists must not grow one per row.

use std::cell::Cell;

use serde_json::json;
use souk::domain::{Draft, Emoji, Role};
use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};

use crate::support::World;

thread_local! {
    /// Statements of this thread.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// Counts the statements that sqlx reports. For all threads, each for itself: what one without a subscriber meets first,
/// tracing takes for something that nobody wants to hear of.
struct Statements;

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            COUNT.set(COUNT.get() + 1);
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
            world.chat.messages.react(&a, sent.id, &Emoji::parse("👍").unwrap(), true).await.unwrap();
        }
    }
    // Once for each, so that sqlx's own questions about types are asked and answered.
    world.page(&a, id, json!({})).await.unwrap();
    world.conversations(&a, json!({})).await;
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Statements)).unwrap();
    // The fewest of several: what is done behind (marks, notifications) may come in between, but not each time.
    for limit in [1, 50, 100] {
        let mut fewest = usize::MAX;
        for _ in 0..5 {
            COUNT.set(0);
            let page = world.page(&a, id, json!({ "limit": limit })).await.unwrap();
            fewest = fewest.min(COUNT.get());
            assert_eq!(page.len(), limit);
            assert!(
                limit == 1 || page.iter().any(|m| m.reply_to.is_some()) && page.iter().any(|m| !m.reactions.is_empty())
            );
        }
        assert!((1..=3).contains(&fewest), "{fewest} statements for {limit} messages");
    }
    let mut fewest = usize::MAX;
    for _ in 0..5 {
        COUNT.set(0);
        world.conversations(&a, json!({})).await;
        fewest = fewest.min(COUNT.get());
    }
    assert!((1..=3).contains(&fewest), "{fewest} statements for a list");
    world.close().await;
}
