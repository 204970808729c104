//! The shop deletes a user by SQL: what they wrote stays, and they show as deleted.

use std::sync::Arc;

use serde_json::json;
use souk::{
    domain::{ConversationId, Emoji, Role, User},
    error::Error,
};

use crate::support::World;

/// A conversation of two in which both wrote twice, one answered the other, and each reacted.
struct Talk {
    world: World,
    stays: Arc<User>,
    goes: Arc<User>,
    id: ConversationId,
}

impl Talk {
    async fn new() -> Self {
        let world = World::new().await;
        let (stays, goes) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
        let id = world.open(&stays, &goes).await.unwrap();
        let asked = world.send(&goes, id, "from the one who goes").await.unwrap();
        world.send(&stays, id, "from the one who stays").await.unwrap();
        let thumb = Emoji::parse("👍").unwrap();
        world.chat.messages.react(&goes, asked.id, &thumb, true).await.unwrap();
        world.chat.messages.react(&stays, asked.id, &thumb, true).await.unwrap();
        let draft = souk::domain::Draft { text: "an answer".into(), reply_to: Some(asked.id), ..Default::default() };
        world.send_draft(&stays, id, draft).await.unwrap();
        world.send(&goes, id, "the last word").await.unwrap();
        Self { world, stays, goes, id }
    }

    async fn delete(&self) {
        delete(&self.world, &self.goes).await;
    }
}

/// As the shop does it.
async fn delete(world: &World, user: &User) {
    sqlx::query("DELETE FROM users WHERE id = $1").bind(user.id.0).execute(&world.pool()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn their_messages_stay_without_a_gap() {
    let talk = Talk::new().await;
    talk.delete().await;
    let page = talk.world.messages(&talk.stays, talk.id).await.unwrap();
    assert_eq!(page.iter().map(|m| m.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(page[0].text, "from the one who goes");
    assert_eq!(page[0].sender_id, talk.goes.id);
    assert_eq!(page[0].reactions[0].count, 2);
    assert_eq!(page[2].reply_to.as_ref().unwrap().message_text, "from the one who goes");
    let view = serde_json::to_value(souk::protocol::MessageView::from(&page[2])).unwrap();
    assert_eq!(view["reply_to"]["sender_name"], "Deleted user");
    assert!(page[1].read_by.contains(&talk.stays.id));
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_they_wrote_is_unread_until_it_is_read() {
    let talk = Talk::new().await;
    let before = talk.world.chat.reading.unread_count(&talk.stays).await.unwrap();
    talk.delete().await;
    assert_eq!((before, talk.world.chat.reading.unread_count(&talk.stays).await.unwrap()), (2, 2));
    assert_eq!(talk.world.chat.reading.mark_read(&talk.stays, talk.id, None).await.unwrap(), 2);
    assert_eq!(talk.world.chat.reading.unread_count(&talk.stays).await.unwrap(), 0);
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_shows_the_conversation_with_a_deleted_participant() {
    let talk = Talk::new().await;
    talk.delete().await;
    let listed = talk.world.conversations(&talk.stays, json!({})).await;
    assert_eq!(listed[0]["last_message_text"], "the last word");
    assert_eq!(listed[0]["last_seq"], 4);
    let other = json!({ "id": talk.goes.id, "displayName": "Deleted user", "email": "", "role": "seller",
                        "isOnline": false, "lastSeenAt": null, "isDeleted": true });
    assert_eq!(listed[0]["participantDetails"], json!([other]));
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_who_is_there_is_not_shown_as_deleted() {
    let talk = Talk::new().await;
    let listed = talk.world.conversations(&talk.stays, json!({})).await;
    let other = &listed[0]["participantDetails"][0];
    assert_eq!((&other["displayName"], &other["isDeleted"]), (&json!("Seller"), &json!(false)));
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_left_to_send_to() {
    let talk = Talk::new().await;
    talk.delete().await;
    let sent = talk.world.send(&talk.stays, talk.id, "is anybody there?").await;
    assert_eq!(sent.unwrap_err().code(), "participant_deleted");
    assert_eq!(talk.world.messages(&talk.stays, talk.id).await.unwrap().len(), 4, "it can still be read");
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn among_three_the_other_two_go_on() {
    let talk = Talk::new().await;
    let third = talk.world.user(Role::Admin).await;
    sqlx::query("UPDATE conversations SET participant_ids = participant_ids || to_jsonb($2::text) WHERE id = $1")
        .bind(talk.id.0)
        .bind(third.id.to_string())
        .execute(&talk.world.pool())
        .await
        .unwrap();
    talk.delete().await;
    assert_eq!(talk.world.send(&talk.stays, talk.id, "go on").await.unwrap().seq, 5);
    assert_eq!(talk.world.send(&third, talk.id, "yes").await.unwrap().seq, 6);
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_send_nothing_any_more() {
    let talk = Talk::new().await;
    talk.delete().await;
    assert_eq!(talk.world.send(&talk.goes, talk.id, "a ghost").await.unwrap_err(), Error::NotAuthorized);
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_theirs_names_a_deleted_sender() {
    let talk = Talk::new().await;
    talk.delete().await;
    let first = talk.world.messages(&talk.stays, talk.id).await.unwrap()[0].id;
    let (details, _turn) = talk.world.chat.messages.details(&talk.stays, first).await.unwrap();
    let view = serde_json::to_value(souk::protocol::MessageView::from(&details)).unwrap();
    assert_eq!(view["senderName"], "Deleted user");
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_search_and_blocks_know_nothing_of_them() {
    let talk = Talk::new().await;
    let (world, stays, goes) = (&talk.world, &talk.stays, &talk.goes);
    world.chat.core.db.set_online("test", &[(goes.id, uuid::Uuid::new_v4())]).await.unwrap();
    world.chat.blocks.set(stays, goes.id, true).await.unwrap();
    talk.delete().await;
    assert!(world.chat.core.db.online_status(goes.id).await.unwrap().is_none());
    assert!(world.chat.blocks.list(stays).await.unwrap().is_empty());
    assert_eq!(world.chat.blocks.set(stays, goes.id, false).await, Err(Error::UserNotFound));
    let found = world.chat.users.available(stays).await.unwrap();
    assert!(found.iter().all(|p| p.id != goes.id));
    assert_eq!(world.open(stays, goes).await, Err(Error::ParticipantNotFound));
    talk.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_ours_hangs_on_a_row_of_the_shops_users() {
    let world = World::new().await;
    let hanging: Vec<String> = sqlx::query_scalar(
        "SELECT conrelid::regclass::text FROM pg_constraint
         WHERE confrelid = 'users'::regclass AND conrelid <> 'notifications'::regclass",
    )
    .fetch_all(&world.pool())
    .await
    .unwrap();
    assert_eq!(hanging, Vec::<String>::new(), "deleting a user touches our tables");
    world.close().await;
}
