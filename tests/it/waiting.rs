//! Sending statements that began, and so took their snapshot, before the last holder of the conversation's lock was done.

use std::{sync::Arc, time::Duration};

use souk::{
    domain::{ConversationId, Draft, Message, Role, User},
    error::Error,
};
use sqlx::{PgPool, Postgres, Transaction};

use crate::support::{WAITING, World, until};

/// A conversation of two, and someone else.
struct Scene {
    world: World,
    a: Arc<User>,
    b: Arc<User>,
    c: Arc<User>,
    id: ConversationId,
}

impl Scene {
    /// `None` on the embedded database, where nobody can come in between.
    async fn new() -> Self {
        let world = World::new().await;
        let (a, b, c) =
            (world.user(Role::Customer).await, world.user(Role::Seller).await, world.user(Role::Seller).await);
        let id = world.open(&a, &b).await.unwrap();
        Self { world, a, b, c, id }
    }

    async fn holder(&self) -> Transaction<'static, Postgres> {
        let url = self.world.config.database_url.as_ref().unwrap();
        PgPool::connect(url.expose()).await.unwrap().begin().await.unwrap()
    }

    /// Sends while `holder` has the lock, and lets it go when the statement waits for it.
    async fn send_behind(
        &self,
        holder: Transaction<'static, Postgres>,
        from: &Arc<User>,
        draft: Draft,
    ) -> Result<Message, Error> {
        let sent = self.world.begin_send(from, self.id, draft);
        until(&self.world, WAITING, 1, Duration::from_secs(5)).await;
        holder.commit().await.unwrap();
        sent.await.unwrap()
    }

    async fn unread(&self, user: &User) -> i64 {
        self.world.chat.reading.unread_count(user).await.unwrap()
    }
}

fn draft(text: &str) -> Draft {
    Draft { text: text.into(), ..Draft::default() }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn what_its_recipient_had_read_meanwhile_is_read_and_the_message_is_not() {
    let s = Scene::new().await;
    s.world.send(&s.a, s.id, "read").await.unwrap();
    let mut reader = s.holder().await;
    sqlx::query("SELECT souk_mark_read($1, $2)").bind(s.id.0).bind(s.b.id.0).execute(&mut *reader).await.unwrap();
    assert_eq!(s.send_behind(reader, &s.a, draft("unread")).await.unwrap().seq, 2);
    assert_eq!((s.unread(&s.a).await, s.unread(&s.b).await), (0, 1));
    s.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_sender_who_came_to_take_part_meanwhile_is_let_in_and_has_read_their_own_message() {
    let s = Scene::new().await;
    s.world.send(&s.a, s.id, "before").await.unwrap();
    let mut shop = s.holder().await;
    sqlx::query(
        "UPDATE conversations SET participant_ids = participant_ids || jsonb_build_array($2::text) WHERE id = $1",
    )
    .bind(s.id.0)
    .bind(s.c.id.to_string())
    .execute(&mut *shop)
    .await
    .unwrap();
    assert_eq!(s.send_behind(shop, &s.c, draft("hello")).await.unwrap().seq, 2);
    assert_eq!((s.unread(&s.a).await, s.unread(&s.b).await, s.unread(&s.c).await), (1, 2, 0));
    s.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_message_that_was_deleted_meanwhile_is_not_quoted() {
    let s = Scene::new().await;
    let first = s.world.send(&s.a, s.id, "a secret").await.unwrap();
    let mut deleter = s.holder().await;
    sqlx::query("SELECT souk_delete_message($1, $2, 'for_everyone')")
        .bind(first.id.0)
        .bind(s.a.id.0)
        .execute(&mut *deleter)
        .await
        .unwrap();
    let reply = Draft { reply_to: Some(first.id), ..draft("answer") };
    assert_eq!(s.send_behind(deleter, &s.b, reply).await.unwrap_err(), Error::ReplyNotFound);
    s.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn what_another_server_stored_meanwhile_under_the_same_temp_id_is_not_stored_again() {
    let s = Scene::new().await;
    let mut other = s.holder().await;
    sqlx::query(
        "INSERT INTO messages (conversation_id, sender_id, message_text, temp_id) VALUES ($1, $2, 'once', 'temp_1')",
    )
    .bind(s.id.0)
    .bind(s.a.id.0)
    .execute(&mut *other)
    .await
    .unwrap();
    let retry = Draft { temp_id: Some("temp_1".into()), ..draft("once") };
    assert_eq!(s.send_behind(other, &s.a, retry).await.unwrap().seq, 1);
    assert_eq!(s.world.messages(&s.b, s.id).await.unwrap().len(), 1);
    s.world.close().await;
}
