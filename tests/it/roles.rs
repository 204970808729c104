//! A server that runs as a role that owns nothing: `docs/roles.sql` has what such a role needs, and no more.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use souk::{
    app::Store,
    config::Config,
    domain::{Draft, Emoji, Role, User, UserId},
    protocol::{Payload, SearchUsers, SyncRequest},
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, raw_sql};
use uuid::Uuid;

use crate::support::{World, fresh_config, until};

const GRANTS: &str = include_str!("../../docs/roles.sql");

/// A migrated database whose owner has applied the file, and how a role that owns nothing reaches it.
struct Shop {
    owner: PgPool,
    role: String,
    config: Config,
}

impl Shop {
    async fn new() -> Self {
        let config = fresh_config().await;
        Store::open(&config).await.unwrap().close().await;
        let url = config.database_url.as_ref().unwrap().expose().to_owned();
        let owner = PgPool::connect(&url).await.unwrap();
        let role = format!("souk_server_{}", Uuid::new_v4().simple());
        // Nothing is open to everyone here, as in a database whose administrator is careful.
        let prepare = format!(
            "REVOKE ALL ON SCHEMA public FROM PUBLIC; REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
             REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC; CREATE ROLE {role} LOGIN PASSWORD 'server';"
        );
        let grants = prepare + &GRANTS.replace("souk_server", &role);
        raw_sql(AssertSqlSafe(grants)).execute(&owner).await.unwrap();
        let mut url = url::Url::parse(&url).unwrap();
        url.set_username(&role).unwrap();
        url.set_password(Some("server")).unwrap();
        let config = Config { database_url: Some(url.as_str().into()), auto_migrate: false, ..config };
        Self { owner, role, config }
    }

    /// A user of the shop's: the server may not make any.
    async fn user(&self, world: &World, role: Role) -> Arc<User> {
        let id = UserId(Uuid::new_v4());
        sqlx::query(
            "INSERT INTO users (id, email, password_hash, role, display_name) VALUES ($1, $2, '!', $3, 'Name')",
        )
        .bind(id.0)
        .bind(format!("{id}@test.example"))
        .bind(role.as_str())
        .execute(&self.owner)
        .await
        .unwrap();
        Arc::new(world.chat.core.db.user(id).await.unwrap().unwrap())
    }

    async fn connect(&self) -> PgConnection {
        PgConnection::connect(self.config.database_url.as_ref().unwrap().expose()).await.unwrap()
    }

    async fn drop(self) {
        let drop = format!("DROP OWNED BY {0}; DROP ROLE {0}", self.role);
        raw_sql(AssertSqlSafe(drop)).execute(&self.owner).await.unwrap();
        self.owner.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres, in which there are roles: scripts/test runs it"]
async fn a_role_that_owns_nothing_runs_every_use_case() {
    let shop = Shop::new().await;
    let world = World::on(shop.config.clone()).await;
    let (a, b) = (shop.user(&world, Role::Customer).await, shop.user(&world, Role::Seller).await);
    messages(&world, &a, &b).await;
    users(&world, &a, &b).await;
    files(&world, &a).await;
    presence(&world, &a).await;
    world.close().await;
    shop.drop().await;
}

async fn messages(world: &World, a: &Arc<User>, b: &Arc<User>) {
    let chat = &world.chat;
    let id = world.open(a, b).await.unwrap();
    let first = world.send(a, id, "first").await.unwrap();
    let reply = Draft { text: "second".into(), reply_to: Some(first.id), ..Draft::default() };
    world.send_draft(b, id, reply).await.unwrap();
    // Each of them has a notification, which goes with its message.
    const TOLD: &str = "SELECT count(*) FROM notifications WHERE message LIKE '%first%' OR message LIKE '%second%'";
    until(world, TOLD, 2, Duration::from_secs(10)).await;
    chat.messages.edit(a, first.id, "first, again".into()).await.unwrap();
    let thumb = Emoji::parse("👍").unwrap();
    chat.messages.react(b, first.id, &thumb, true).await.unwrap();
    chat.messages.react(b, first.id, &thumb, false).await.unwrap();
    assert_eq!(chat.reading.mark_read(b, id, None).await.unwrap(), 1);
    assert_eq!(chat.reading.unread_count(a).await.unwrap(), 1);
    chat.messages.details(a, first.id).await.unwrap();
    assert_eq!(world.messages(b, id).await.unwrap().len(), 2);
    assert_eq!(world.conversations(a, json!({})).await.len(), 1);
    let known = SyncRequest::try_from(&Payload::from(json!({ "conversations": { id.to_string(): 0 } }))).unwrap();
    chat.sync.catch_up(a, known).await.unwrap();
    chat.messages.delete(b, first.id, false).await.unwrap();
    chat.messages.delete(a, first.id, true).await.unwrap();
    until(world, TOLD, 1, Duration::from_secs(10)).await;
    chat.core.db.forget_old_notifications(10).await.unwrap();
    chat.core.db.write_typing(&[(id, a.id, true)]).await.unwrap();
    chat.core.db.add_stored_bytes(&[(a.id, 10)]).await.unwrap();
}

async fn users(world: &World, a: &User, b: &User) {
    let chat = &world.chat;
    let found = chat.users.search(a, &SearchUsers::from(&Payload::from(json!({ "search": "name" })))).await.unwrap();
    assert_eq!(found.users.iter().map(|u| u.id).collect::<Vec<_>>(), [b.id]);
    assert_eq!(chat.users.available(a).await.unwrap().len(), 1);
    assert!(chat.users.support(a).await.is_err(), "there is no staff");
    chat.blocks.set(a, b.id, true).await.unwrap();
    assert_eq!(chat.blocks.list(a).await.unwrap().len(), 1);
    chat.blocks.set(a, b.id, false).await.unwrap();
}

async fn files(world: &World, a: &User) {
    let chat = &world.chat;
    let mut receiving = chat.uploads.receive(a, "note.txt").await.unwrap();
    receiving.push(b"a text").await.unwrap();
    let file = chat.uploads.keep(a, receiving).await.unwrap();
    chat.uploads.find_unused().await.unwrap();
    chat.uploads.take_back(a, &[file]).await;
    chat.core.db.forget_old_days().await.unwrap();
    until(world, "SELECT count(*) FROM chat_files", 0, Duration::from_secs(10)).await;
}

async fn presence(world: &World, a: &User) {
    let db = &world.chat.core.db;
    db.heartbeat("one").await.unwrap();
    assert!(db.probe(db.connection().await.unwrap(), "one").await.unwrap());
    db.set_online("one", &[(a.id, Uuid::new_v4())]).await.unwrap();
    assert_eq!(db.set_offline("one", &[(a.id, Duration::ZERO)]).await.unwrap().len(), 1);
    db.set_online("one", &[(a.id, Uuid::new_v4())]).await.unwrap();
    db.sweep_servers(Some("one"), 45).await.unwrap();
    assert!(!world.chat.presence.status(a.id, a.id).await.unwrap().unwrap().is_online);
}

/// The server's statements, as they are prepared, each with the number of its parameters.
fn statements() -> Vec<(String, usize)> {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx")).unwrap();
    let statement = |file: std::io::Result<std::fs::DirEntry>| {
        let file: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let parameters = file["describe"]["parameters"]["Left"].as_array().unwrap().len();
        (file["query"].as_str().unwrap().to_owned(), parameters)
    };
    files.map(statement).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres, in which there are roles: scripts/test runs it"]
async fn a_role_that_owns_nothing_may_run_every_statement_of_the_server() {
    let shop = Shop::new().await;
    let mut server = shop.connect().await;
    let mut refused = Vec::new();
    for (statement, parameters) in statements() {
        // The demo users of the embedded database: never on the shop's.
        if statement.contains("INSERT INTO users") {
            continue;
        }
        let values = vec!["NULL"; parameters].join(", ");
        let values = if parameters == 0 { values } else { format!("({values})") };
        let look =
            format!("PREPARE looked_at AS {statement}; EXPLAIN EXECUTE looked_at {values}; DEALLOCATE looked_at");
        if let Err(e) = raw_sql(AssertSqlSafe(look)).execute(&mut server).await {
            refused.push(format!("{e}: {statement}"));
            raw_sql("DEALLOCATE ALL").execute(&mut server).await.unwrap();
        }
    }
    server.close().await.unwrap();
    shop.drop().await;
    assert!(refused.is_empty(), "{}", refused.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a native Postgres, in which there are roles: scripts/test runs it"]
async fn such_a_role_reads_no_password_deletes_no_message_and_makes_no_table() {
    let shop = Shop::new().await;
    let mut server = shop.connect().await;
    for statement in [
        "SELECT password_hash FROM users",
        "UPDATE users SET status = 'inactive'",
        "DELETE FROM messages",
        "DELETE FROM conversations",
        "INSERT INTO conversation_members (conversation_id, user_id) SELECT gen_random_uuid(), gen_random_uuid()",
        "UPDATE _sqlx_migrations SET success = false",
        "CREATE TABLE mine (id int)",
        "ALTER TABLE messages ADD COLUMN mine int",
        "SELECT souk_close_new_tables('{}')",
    ] {
        let refused = raw_sql(statement).execute(&mut server).await.unwrap_err();
        let code = refused.as_database_error().and_then(|e| e.code().map(|c| c.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {refused}");
    }
    server.close().await.unwrap();
    shop.drop().await;
}
