//! Rows that somebody else keeps locked: only what needs them waits, and no backend is left behind.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use souk::{
    db::Delivery,
    domain::{ConversationId, Draft, Message, Role, User},
    error::Error,
};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::oneshot;

use crate::support::{World, fresh_config, until};

pub const CONNECTIONS: u32 = 4;
/// Far less than the lock is held, and far more than a send takes.
pub const SOON: Duration = Duration::from_secs(3);
/// Longer than anything is tried.
pub const GIVEN_UP: Duration = Duration::from_secs(15);
const BACKENDS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'souk' AND datname = current_database()";

pub type Pending = oneshot::Receiver<Result<Message, Error>>;

/// Twenty conversations of one seller, each with a customer of its own.
pub struct Scene {
    pub world: World,
    pub seller: Arc<User>,
    pub talks: Vec<(Arc<User>, ConversationId)>,
}

impl Scene {
    /// `None` on the embedded database, which has no second connection to lock from.
    pub async fn new() -> Self {
        let config = souk::config::Config { database_max_connections: CONNECTIONS, ..fresh_config().await };
        Self::on(config, 20).await
    }

    pub async fn on(config: souk::config::Config, talks_wanted: usize) -> Self {
        let world = World::on(config).await;
        let seller = world.user(Role::Seller).await;
        let mut talks = Vec::new();
        for _ in 0..talks_wanted {
            let customer = world.user(Role::Customer).await;
            let id = world.open(&customer, &seller).await.unwrap();
            world.send(&customer, id, "first").await.unwrap();
            talks.push((customer, id));
        }
        Self { world, seller, talks }
    }

    /// The conversation that is locked, and its customer.
    pub fn locked(&self) -> &(Arc<User>, ConversationId) {
        &self.talks[0]
    }

    pub fn begin(&self, talk: usize, text: &str) -> Pending {
        let (customer, id) = &self.talks[talk];
        self.world.begin_send(customer, *id, Draft { text: text.into(), ..Draft::default() })
    }

    /// Somebody else's session in the same database.
    pub async fn stranger(&self) -> PgConnection {
        PgConnection::connect(self.world.config.database_url.as_ref().unwrap().expose()).await.unwrap()
    }

    /// Everybody else's messages are stored while the lock is held.
    pub async fn others_go_on(&self) {
        let others: Vec<Pending> = (1..self.talks.len()).map(|talk| self.begin(talk, "in between")).collect();
        for sent in others {
            tokio::time::timeout(SOON, sent).await.expect("a stranger's message waits").unwrap().unwrap();
        }
    }

    pub async fn backends(&self, by: &mut PgConnection) -> u32 {
        let n: i64 = sqlx::query_scalar(BACKENDS).fetch_one(by).await.unwrap();
        n.try_into().unwrap()
    }
}

pub async fn run(session: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(session).await.unwrap();
}

/// Holds what `lock` locks while the locked conversation gets three messages and all others one each.
async fn only_one_conversation_waits(lock: impl Fn(&Scene) -> String) {
    let s = Scene::new().await;
    let mut holder = s.stranger().await;
    run(&mut holder, &format!("BEGIN; {}", lock(&s))).await;
    let waiting: Vec<Pending> = ["one", "two", "three"].map(|text| s.begin(0, text)).into();
    s.others_go_on().await;
    s.others_go_on().await;
    assert!(s.backends(&mut s.stranger().await).await <= CONNECTIONS);
    run(&mut holder, "COMMIT").await;
    let mut seqs = Vec::new();
    for sent in waiting {
        seqs.push(tokio::time::timeout(SOON, sent).await.unwrap().unwrap().unwrap().seq);
    }
    assert_eq!(seqs, [2, 3, 4], "in their order");
    s.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_locked_conversation_keeps_only_its_own_messages_waiting() {
    only_one_conversation_waits(|s| format!("SELECT FROM conversations WHERE id = '{}' FOR UPDATE", s.locked().1))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_locked_member_keeps_only_their_conversation_waiting() {
    only_one_conversation_waits(|s| {
        format!("SELECT FROM conversation_members WHERE conversation_id = '{}' FOR UPDATE", s.locked().1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_message_that_is_locked_keeps_only_replies_to_it_waiting() {
    let s = Scene::new().await;
    let (customer, id) = s.locked().clone();
    let quoted = s.world.messages(&customer, id).await.unwrap().pop().unwrap().id;
    let mut holder = s.stranger().await;
    run(&mut holder, &format!("BEGIN; SELECT FROM messages WHERE id = '{quoted}' FOR UPDATE")).await;
    let reply = |text: &str| Draft { text: text.into(), reply_to: Some(quoted), ..Draft::default() };
    let waiting = ["one", "two", "three"].map(|text| s.world.begin_send(&customer, id, reply(text)));
    s.others_go_on().await;
    s.others_go_on().await;
    assert!(s.backends(&mut s.stranger().await).await <= CONNECTIONS);
    run(&mut holder, "COMMIT").await;
    let mut seqs = Vec::new();
    for sent in waiting {
        seqs.push(tokio::time::timeout(SOON, sent).await.unwrap().unwrap().unwrap().seq);
    }
    assert_eq!(seqs, [2, 3, 4], "in their order");
    s.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn edits_of_a_locked_message_are_refused_as_busy_and_change_nothing() {
    let s = Scene::new().await;
    let (customer, id) = s.locked().clone();
    let message = s.world.messages(&customer, id).await.unwrap().pop().unwrap().id;
    let mut holder = s.stranger().await;
    run(&mut holder, &format!("BEGIN; SELECT FROM messages WHERE id = '{message}' FOR UPDATE")).await;
    let edits: Vec<_> = (0..20)
        .map(|n| {
            let (chat, customer) = (s.world.chat.clone(), customer.clone());
            tokio::spawn(async move { chat.messages.edit(&customer, message, format!("text {n}")).await })
        })
        .collect();
    s.others_go_on().await;
    s.others_go_on().await;
    assert!(s.backends(&mut s.stranger().await).await <= CONNECTIONS);
    // All at once, and not one after the other.
    for refused in tokio::time::timeout(GIVEN_UP, futures::future::join_all(edits)).await.unwrap() {
        assert_eq!(refused.unwrap().unwrap_err(), Error::Busy, "it may be tried again");
    }
    run(&mut holder, "COMMIT").await;
    assert_eq!(s.world.messages(&customer, id).await.unwrap().pop().unwrap().text, "first");
    s.world.chat.messages.edit(&customer, message, "changed".into()).await.unwrap();
    s.world.close().await;
}

/// No message needs the rows of `users`, and none waits for them, even where another lock is looked for.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn locked_users_keep_no_message_waiting() {
    let s = Scene::new().await;
    let mut holder = s.stranger().await;
    let lock = format!("SELECT FROM conversations WHERE id = '{}' FOR UPDATE", s.locked().1);
    run(&mut holder, &format!("BEGIN; SELECT FROM users FOR UPDATE; {lock}")).await;
    let waiting = s.begin(0, "waits");
    s.others_go_on().await;
    s.others_go_on().await;
    run(&mut holder, "COMMIT").await;
    tokio::time::timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    s.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_message_whose_conversation_stays_locked_is_refused_and_never_stored() {
    let s = Scene::new().await;
    let (customer, id) = s.locked();
    let mut holder = s.stranger().await;
    run(&mut holder, &format!("BEGIN; SELECT FROM conversations WHERE id = '{id}' FOR UPDATE")).await;
    let refused = tokio::time::timeout(Duration::from_secs(15), s.begin(0, "late")).await.unwrap().unwrap();
    assert_eq!(refused.unwrap_err(), Error::Busy, "it may be sent again");
    run(&mut holder, "COMMIT").await;
    let next = s.world.send(customer, *id, "next").await.unwrap();
    assert_eq!(next.seq, 2, "the refused one is not there");
    s.world.close().await;
}

/// Calls for a locked conversation, many at once, and how a stranger fares meanwhile.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn calls_that_wait_for_a_lock_leave_the_connections_to_others() {
    let s = Scene::new().await;
    let s = Arc::new(s);
    let (customer, id) = s.locked().clone();
    let mut holder = s.stranger().await;
    run(&mut holder, &format!("BEGIN; SELECT FROM conversations WHERE id = '{id}' FOR UPDATE")).await;
    let message = s.world.messages(&customer, id).await.unwrap().pop().unwrap().id;
    let calls: Vec<_> = (0..20)
        .map(|n| {
            let (s, seller, customer) = (s.clone(), s.seller.clone(), customer.clone());
            tokio::spawn(async move {
                match n % 2 {
                    0 => s.world.chat.reading.mark_read(&seller, id, None).await.map(|_| ()),
                    _ => s.world.chat.messages.edit(&customer, message, format!("text {n}")).await.map(|_| ()),
                }
            })
        })
        .collect();
    let mut watcher = s.stranger().await;
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    while started.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        s.world.chat.reading.mark_read(&s.seller, s.talks[1].1, None).await.unwrap();
        slowest = slowest.max(asked.elapsed());
        assert!(s.backends(&mut watcher).await <= CONNECTIONS);
    }
    assert!(slowest < Duration::from_secs(2), "a stranger's call took {slowest:?}");
    run(&mut holder, "COMMIT").await;
    for call in calls {
        let done = tokio::time::timeout(Duration::from_secs(8), call).await.unwrap().unwrap();
        assert!(matches!(done, Ok(()) | Err(Error::Busy)), "{done:?}");
    }
    s.others_go_on().await;
    Arc::into_inner(s).unwrap().world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_call_goes_on_once_a_short_lock_is_gone() {
    let s = Scene::new().await;
    let (_, id) = s.locked();
    let mut holder = s.stranger().await;
    run(&mut holder, &format!("BEGIN; SELECT FROM conversations WHERE id = '{id}' FOR UPDATE")).await;
    let (marked, ()) = tokio::join!(s.world.chat.reading.mark_read(&s.seller, *id, None), async {
        // Longer than a statement waits for a lock.
        run(&mut holder, "SELECT pg_sleep(1); COMMIT").await;
    });
    assert_eq!(marked.unwrap(), 1);
    s.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn delivery_marks_of_others_do_not_wait_for_a_locked_member() {
    let s = Scene::new().await;
    let mut holder = s.stranger().await;
    let lock = format!("SELECT FROM conversation_members WHERE conversation_id = '{}' FOR UPDATE", s.locked().1);
    run(&mut holder, &format!("BEGIN; {lock}")).await;
    let deliveries: Vec<Delivery> = s
        .talks
        .iter()
        .map(|(_, id)| Delivery {
            message_id: souk::domain::MessageId::new(),
            conversation_id: *id,
            seq: 1,
            recipients: vec![s.seller.id],
        })
        .collect();
    tokio::time::timeout(SOON, s.world.chat.core.db.mark_delivered(&deliveries)).await.unwrap().unwrap();
    let marked = "SELECT count(*) FROM conversation_members WHERE last_delivered_seq = 1";
    until(&s.world, marked, 19, SOON).await;
    run(&mut holder, "COMMIT").await;
    s.world.close().await;
}

/// What a reply quotes is read while others of its lane wait to be told.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres: scripts/test runs it"]
async fn a_reply_whose_quote_cannot_be_read_keeps_others_waiting_for_a_moment_only() {
    let config = souk::config::Config { writer_lanes: 1, ..fresh_config().await };
    let s = Scene::on(config, 2).await;
    let (customer, id) = s.locked();
    let quoted = s.world.messages(customer, *id).await.unwrap().pop().unwrap().id;
    let mut holder = s.stranger().await;
    run(&mut holder, "BEGIN; LOCK TABLE message_edits IN ACCESS EXCLUSIVE MODE").await;
    let reply = Draft { text: "re".into(), reply_to: Some(quoted), ..Draft::default() };
    let reply = s.world.begin_send(customer, *id, reply);
    let other = tokio::time::timeout(SOON, s.begin(1, "meanwhile")).await.expect("a stranger's message waits");
    assert_eq!(other.unwrap().unwrap().seq, 2);
    let quote = reply.await.unwrap().unwrap().reply_to;
    assert_eq!(quote.unwrap().id, quoted, "in short");
    run(&mut holder, "COMMIT").await;
    s.world.close().await;
}
