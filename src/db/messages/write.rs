//! Group commit: what has queued up goes to Postgres as one statement, which checks, numbers, inserts, updates the
//! previews and finds repeats. Either all of it holds or nothing.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::{
    batch_result::{Answers, Outcome, Row, Written},
    new_message::NewMessage,
};
use crate::{
    db::{
        Db, DbError, DbResult, Session,
        connection::time_limit::{ANSWER_WITHIN, in_time},
        time::Time,
    },
    domain::{ConversationId, Quote},
};

/// A statement may still take effect this long after it was sent.
pub const GOOD_FOR: Duration = ANSWER_WITHIN.saturating_mul(2);

impl Db {
    /// Stores a batch as one statement; the answers come in the order of the messages.
    ///
    /// No two messages of a batch may repeat each other: the second would not see the first.
    /// `again` says that an earlier attempt may have got through, so that ids are looked up too.
    ///
    /// The statement is good for 5 s, and waited for as long. The server ends one that takes longer, or waits longer for a
    /// lock (`DATABASE_STATEMENT_TIMEOUT_MS`, `DATABASE_LOCK_TIMEOUT_MS`); one that reaches a frozen server is run when
    /// that wakes up, whoever has gone meanwhile, and stores nothing by then.
    ///
    /// The conversations' rows are locked in the order of their ids (no deadlock between servers), and `seq` is
    /// taken under that lock: it follows the order of commits and has no gaps. Repeats, members and quoted messages are
    /// looked at when it is held; who came to take part while the statement waited makes it fail, and the next attempt
    /// sees them.
    /// Fails with [`crate::db::DbError`]; nothing of the batch was stored, or the connection was lost and it is not known.
    pub async fn write_messages(&self, batch: &[&NewMessage], again: bool) -> DbResult<Vec<Written>> {
        let pool = self.pool();
        let mut connection = pool.acquire().await.map_err(DbError::NoConnection)?;
        let sent_at = self.clock.here.now();
        let deadline = self.clock.deadline(sent_at);
        let written = in_time(pool.answer(run_batch(&mut connection, batch, again, deadline))).await?;
        connection.done();
        if let Some(first) = written.first() {
            self.clock.heard(sent_at, first.clock);
        }
        if written.iter().any(|w| matches!(w.outcome, Outcome::TooLate)) {
            return Err(DbError::TooLate);
        }
        Ok(written)
    }

    /// The conversations that cannot be written in now, because another session holds a lock on them, on one of their
    /// members, or on a message that one of these answers. Waits for none of these.
    /// Fails with [`crate::db::DbError`], also where a whole table is locked.
    pub async fn locked_conversations(&self, batch: &[&NewMessage]) -> DbResult<HashSet<ConversationId>> {
        let conversations: Vec<Uuid> = batch.iter().map(|m| m.conversation_id.0).collect();
        let replies: Vec<Option<Uuid>> = batch.iter().map(|m| m.reply_to.map(|r| r.0)).collect();
        let mut connection = self.pool().acquire().await?;
        let found = sqlx::query_scalar!(
            r#"WITH input AS (
                   SELECT DISTINCT i.* FROM unnest($1::uuid[], $2::uuid[]) AS i (conversation_id, reply_to)
               ), conversation AS MATERIALIZED (
                   SELECT c.id FROM conversations c WHERE c.id = ANY ($1) ORDER BY c.id FOR NO KEY UPDATE SKIP LOCKED
               ), member AS MATERIALIZED (
                   SELECT m.conversation_id FROM conversation_members m WHERE m.conversation_id = ANY ($1)
                   ORDER BY m.conversation_id, m.user_id FOR NO KEY UPDATE SKIP LOCKED
               ), quoted AS MATERIALIZED (
                   SELECT q.id FROM messages q WHERE q.id = ANY ($2) ORDER BY q.id FOR KEY SHARE SKIP LOCKED
               )
               SELECT i.conversation_id AS "id!" FROM input i
               WHERE (i.conversation_id NOT IN (SELECT id FROM conversation)
                      AND EXISTS (SELECT 1 FROM conversations c WHERE c.id = i.conversation_id))
                  OR (SELECT count(*) FROM conversation_members m WHERE m.conversation_id = i.conversation_id)
                     > (SELECT count(*) FROM member m WHERE m.conversation_id = i.conversation_id)
                  OR (i.reply_to NOT IN (SELECT id FROM quoted) AND EXISTS (SELECT 1 FROM messages q WHERE q.id = i.reply_to))"#,
            &conversations,
            &replies as &[Option<Uuid>]
        )
        .fetch_all(&mut *connection);
        let found = in_time(async { Ok(found.await?) }).await?;
        connection.done();
        Ok(found.into_iter().map(ConversationId).collect())
    }

    /// The outcome of a batch after its deadline: what is stored by now is [`Outcome::Stored`], and
    /// nothing is added. Waits for the conversations' rows, and so for a statement that is committing.
    pub async fn settle_messages(&self, batch: &[&NewMessage]) -> DbResult<Vec<Written>> {
        let conversations: Vec<Uuid> = batch.iter().map(|m| m.conversation_id.0).collect();
        let mut connection = self.pool().acquire().await?;
        let mut tx = connection.begin().await?;
        // A statement does not see what was committed while it waited for a lock; the one after it does.
        sqlx::query!("SELECT id FROM conversations WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", &conversations)
            .fetch_all(&mut *tx)
            .await?;
        let written = run_batch(&mut tx, batch, true, DateTime::UNIX_EPOCH).await?;
        tx.commit().await?;
        connection.done();
        Ok(written)
    }
}

/// The parameters of the statement that describe the batch, under the names that `send_batch.sql` gives them.
#[derive(Default)]
struct Asked<'b> {
    ids: Vec<Uuid>,
    conversations: Vec<Uuid>,
    senders: Vec<Uuid>,
    texts: Vec<&'b str>,
    types: Vec<&'static str>,
    files: Vec<Option<&'b Value>>,
    client_ids: Vec<Option<&'b str>>,
    temp_ids: Vec<Option<&'b str>>,
    temp_ids_again: Vec<bool>,
    replies: Vec<Option<Uuid>>,
    places: Vec<i64>,
    pair_conversations: Vec<Uuid>,
    pair_senders: Vec<Uuid>,
    pair_counts: Vec<i64>,
    pair_lasts: Vec<i64>,
}

impl<'b> Asked<'b> {
    fn of(batch: &[&'b NewMessage]) -> Self {
        let mut asked = Self::default();
        let mut count_of: HashMap<Uuid, i64> = HashMap::new();
        // In order, as their rows are locked.
        let mut pairs: BTreeMap<(Uuid, Uuid), (i64, i64)> = BTreeMap::new();
        for (ord, m) in (1..).zip(batch) {
            asked.ids.push(m.id.0);
            asked.conversations.push(m.conversation_id.0);
            asked.senders.push(m.sender_id.0);
            asked.texts.push(m.text.as_str());
            asked.types.push(m.kind);
            asked.files.push(m.attachments.as_array().is_none_or(|list| !list.is_empty()).then_some(&m.attachments));
            asked.client_ids.push(m.client_message_id.as_deref());
            asked.temp_ids.push(m.temp_id.as_deref());
            asked.temp_ids_again.push(m.temp_id_again);
            asked.replies.push(m.reply_to.map(|r| r.0));
            let place = count_of.entry(m.conversation_id.0).or_default();
            *place += 1;
            asked.places.push(*place);
            let (count, last) = pairs.entry((m.conversation_id.0, m.sender_id.0)).or_default();
            *count += 1;
            *last = ord;
        }
        for ((conversation, sender), (count, last)) in pairs {
            asked.pair_conversations.push(conversation);
            asked.pair_senders.push(sender);
            asked.pair_counts.push(count);
            asked.pair_lasts.push(last);
        }
        asked
    }
}

async fn run_batch(
    connection: &mut Session<'_>,
    batch: &[&NewMessage],
    was_tried: bool,
    deadline: DateTime<Utc>,
) -> DbResult<Vec<Written>> {
    let asked = Asked::of(batch);
    let rows = sqlx::query_file_as!(
        Row,
        "src/db/messages/send_batch.sql",
        &asked.ids,
        &asked.conversations,
        &asked.senders,
        &asked.texts as &[&str],
        &asked.types as &[&str],
        &asked.files as &[Option<&Value>],
        &asked.client_ids as &[Option<&str>],
        &asked.temp_ids as &[Option<&str>],
        &asked.temp_ids_again,
        &asked.replies as &[Option<Uuid>],
        &asked.places,
        &asked.pair_conversations,
        &asked.pair_senders,
        &asked.pair_counts,
        &asked.pair_lasts,
        was_tried,
        deadline
    )
    .fetch_all(connection)
    .await?;
    let mut answers = Answers::of(rows);
    let written = (1..).zip(batch).map(|(ord, message)| answers.of_message(ord, message));
    // Each is numbered or refused, or the statement is not what this was written for.
    Ok(written.collect::<Option<Vec<_>>>().ok_or(sqlx::Error::RowNotFound)?)
}
