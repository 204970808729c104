//! What depends on the time of day, by a clock that the test moves.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use souk::{
    auth::{TokenError, Tokens},
    chat::StoredFile,
    clock::Clock,
    config::{Config, LimitsConfig, Secret},
    domain::{Attachment, Draft, Role, User, UserId},
    error::Error,
    protocol::FileLink,
};

use crate::support::{World, fresh_config};

const WEEK: TimeDelta = TimeDelta::weeks(1);
const SECOND: TimeDelta = TimeDelta::seconds(1);

fn at(time: &str) -> Clock {
    Clock::manual(time.parse::<DateTime<Utc>>().unwrap())
}

/// A chat that goes by this clock, keeps files in memory, and lets a user upload so many bytes in a day.
async fn world(clock: &Clock, bytes_per_day: u64) -> World {
    let config = fresh_config().await;
    let limits = LimitsConfig { max_upload_bytes_per_day: bytes_per_day, ..config.limits.clone() };
    World::on_by(Config { upload_store: Some("memory:///".into()), limits, ..config }, clock).await
}

async fn upload(world: &World, user: &User, text: &str) -> Result<StoredFile, Error> {
    let mut receiving = world.chat.uploads.receive(user, "note.txt").await?;
    if let Err(e) = receiving.push(text.as_bytes()).await {
        receiving.abort().await;
        return Err(e);
    }
    world.chat.uploads.keep(user, receiving).await
}

/// Why a file cannot be fetched by this link, if it cannot.
async fn refusal(world: &World, path: &str, url: &str) -> Option<Error> {
    let url = url::Url::parse(url).unwrap();
    let field = |name| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let link =
        FileLink { name: field("name"), expires: field("expires").parse().unwrap(), signature: field("signature") };
    world.chat.uploads.open(path, &link).await.err()
}

#[test]
fn a_token_is_good_until_its_seconds_are_over() {
    let clock = at("2026-03-01T12:00:00Z");
    let tokens = Tokens::new(&Secret::from("a secret"), clock.clone());
    let token = tokens.issue(UserId::NOBODY, Role::Customer, 60).unwrap();
    clock.advance(SECOND * 59);
    assert!(tokens.verify(&token).is_ok());
    clock.advance(SECOND);
    assert_eq!(tokens.verify(&token), Err(TokenError::Expired));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_file_ends_after_seven_days() {
    let clock = at("2026-03-01T12:00:00Z");
    let world = world(&clock, 0).await;
    let user = world.user(Role::Customer).await;
    let file = upload(&world, &user, "hello").await.unwrap();
    let url = world.chat.uploads.links.to("http://shop.example", &file);
    clock.advance(WEEK - SECOND);
    assert_eq!(refusal(&world, &file.path, &url).await, None);
    clock.advance(SECOND);
    assert_eq!(refusal(&world, &file.path, &url).await, Some(Error::LinkExpired));
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_read_after_weeks_has_a_link_that_works() {
    let clock = at("2026-03-01T12:00:00Z");
    let world = world(&clock, 0).await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    let file = upload(&world, &a, "hello").await.unwrap();
    let url = world.chat.uploads.links.to("http://shop.example", &file);
    let attachment =
        Attachment { name: file.name, kind: "text/plain".into(), size: file.size, url, path: file.path.clone() };
    let draft = Draft { attachments: vec![attachment], ..Draft::default() };
    world.send_draft(&a, id, draft).await.unwrap();
    for _ in 0..3 {
        clock.advance(WEEK * 2);
        let messages = world.messages(&b, id).await.unwrap();
        let url = messages[0].attachments[0]["url"].as_str().unwrap();
        assert_eq!(refusal(&world, &file.path, url).await, None);
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_over_the_days_share_is_told_to_wait_until_midnight_in_utc() {
    let clock = at("2026-03-01T23:59:50Z");
    let world = world(&clock, 5).await;
    let user: Arc<User> = world.user(Role::Customer).await;
    let wait = async || match upload(&world, &user, "hello!").await {
        Err(Error::UploadQuota { retry_after_ms }) => retry_after_ms,
        other => panic!("{other:?}"),
    };
    assert_eq!(wait().await, 10_000);
    clock.advance(SECOND * 9);
    assert_eq!(wait().await, 1000);
    clock.advance(SECOND);
    assert_eq!(wait().await, 86_400_000, "the next day");
    world.close().await;
}

/// A batch's deadline is by the database's clock, which is known by how far it is ahead of ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_set_back_delays_no_message_and_is_noticed() {
    let clock = Clock::manual(Utc::now());
    let world = World::by(&clock).await;
    let (a, b) = (world.user(Role::Customer).await, world.user(Role::Seller).await);
    let id = world.open(&a, &b).await.unwrap();
    for (n, hours) in [-1, 2].into_iter().enumerate() {
        clock.advance(TimeDelta::hours(hours));
        let before = world.chat.core.db.now().await.unwrap();
        let sent = world.send(&a, id, &format!("message {n}")).await.unwrap();
        assert_eq!(sent.seq, i64::try_from(n).unwrap() + 1);
        let (heard, after) = (world.chat.core.db.time(), world.chat.core.db.now().await.unwrap());
        let exactly = TimeDelta::milliseconds(1);
        assert!((before - exactly..=after + exactly).contains(&heard), "{before} {heard} {after}");
    }
    world.close().await;
}
