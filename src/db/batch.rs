//! Group commit: what has queued up goes to Postgres as one statement, which checks, numbers, inserts, updates the
//! previews and finds repeats. Either all of it holds or nothing.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Db, DbResult};
use crate::domain::{ConversationId, MessageId, Quote, UserId};

/// A message to be stored. Its `id` is made before the first attempt, so that a second attempt after a lost
/// connection finds what the first one stored.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Primary key.
    pub id: MessageId,
    /// Where to.
    pub conversation_id: ConversationId,
    /// From whom.
    pub sender_id: UserId,
    /// Text.
    pub text: String,
    /// `text`, `image` or `file`.
    pub kind: &'static str,
    /// A JSON array.
    pub attachments: Value,
    /// The client's own id for it.
    pub client_message_id: Option<String>,
    /// The client's temporary id.
    pub temp_id: Option<String>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
}

/// What became of one message of a batch.
#[derive(Clone, Debug)]
pub struct Written {
    /// What became of it.
    pub outcome: Outcome,
    /// Everyone who takes part in the conversation; empty where it was refused.
    pub members: Vec<UserId>,
}

/// What became of one message of a batch.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Stored under this number.
    Stored {
        /// Its number.
        seq: i64,
        /// When.
        created_at: DateTime<Utc>,
        /// The message it answers, in short.
        reply_to: Option<Quote>,
    },
    /// A repeat of a stored message: nothing was written.
    Repeat {
        /// The number of the stored one.
        seq: i64,
    },
    /// There is no such conversation.
    NotFound,
    /// The sender takes no part in it.
    NotMember,
    /// It is closed.
    Closed,
    /// The message to answer is not there.
    ReplyNotFound,
}

struct Row {
    outcome: String,
    seq: Option<i64>,
    created_at: DateTime<Utc>,
    members: Vec<Uuid>,
    reply_to: Option<Json<Quote>>,
}

impl From<Row> for Written {
    fn from(r: Row) -> Self {
        let seq = r.seq.unwrap_or_default();
        let outcome = match r.outcome.as_str() {
            "stored" => Outcome::Stored { seq, created_at: r.created_at, reply_to: r.reply_to.map(|q| q.0) },
            "repeat" => Outcome::Repeat { seq },
            "not_found" => Outcome::NotFound,
            "not_member" => Outcome::NotMember,
            "closed" => Outcome::Closed,
            _ => Outcome::ReplyNotFound,
        };
        Self { outcome, members: r.members.into_iter().map(UserId).collect() }
    }
}

impl Db {
    /// Stores a batch as one statement; the answers come in the order of the messages.
    ///
    /// No two messages of a batch may repeat each other: the second would not see the first.
    /// `again` says that an earlier attempt may have got through, so that ids are looked up too.
    ///
    /// The conversations' rows are locked in the order of their ids (no deadlock between servers), and `seq` is
    /// taken under that lock: it follows the order of commits and has no gaps. A repeat stored by another server
    /// after this statement's snapshot makes the unique index fail the statement; the next attempt sees it.
    ///
    /// # Errors
    /// [`super::DbError`]; nothing of the batch was stored, or the connection was lost and it is not known.
    pub async fn write_messages(&self, batch: &[NewMessage], again: bool) -> DbResult<Vec<Written>> {
        let mut ids = Vec::with_capacity(batch.len());
        let mut conversations = Vec::with_capacity(batch.len());
        let mut senders = Vec::with_capacity(batch.len());
        let mut texts = Vec::with_capacity(batch.len());
        let mut kinds = Vec::with_capacity(batch.len());
        let mut attachments = Vec::with_capacity(batch.len());
        let mut client_ids = Vec::with_capacity(batch.len());
        let mut temp_ids = Vec::with_capacity(batch.len());
        let mut replies = Vec::with_capacity(batch.len());
        for m in batch {
            ids.push(m.id.0);
            conversations.push(m.conversation_id.0);
            senders.push(m.sender_id.0);
            texts.push(m.text.as_str());
            kinds.push(m.kind);
            attachments.push(&m.attachments);
            client_ids.push(m.client_message_id.as_deref());
            temp_ids.push(m.temp_id.as_deref());
            replies.push(m.reply_to.map(|r| r.0));
        }
        let rows = sqlx::query_as!(
            Row,
            r#"WITH input AS (
                   SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::text[], $9::uuid[])
                       WITH ORDINALITY AS i (id, conversation_id, sender_id, message_text, message_type, attachments,
                                             client_message_id, temp_id, reply_to, ord)
               ), locked AS MATERIALIZED (
                   SELECT c.id, c.status, c.last_seq, clock_timestamp() AS at,
                          ARRAY(SELECT m.user_id FROM conversation_members m WHERE m.conversation_id = c.id ORDER BY m.user_id) AS members
                   FROM conversations c WHERE c.id = ANY($2) ORDER BY c.id FOR NO KEY UPDATE
               ), checked AS MATERIALIZED (
                   SELECT i.*, l.last_seq, l.at, l.members, d.seq AS repeat_seq,
                          CASE WHEN q.id IS NOT NULL THEN
                              jsonb_build_object('id', q.id, 'sender_id', q.sender_id, 'created_at', q.created_at, 'is_deleted', q.is_deleted,
                                                 'message_text', CASE WHEN q.is_deleted THEN '' ELSE q.message_text END) END AS quote,
                          CASE WHEN l.id IS NULL THEN 'not_found'
                               WHEN NOT i.sender_id = ANY (l.members) THEN 'not_member'
                               WHEN d.seq IS NOT NULL THEN 'repeat'
                               WHEN l.status <> 'active' THEN 'closed'
                               WHEN i.reply_to IS NOT NULL AND q.id IS NULL THEN 'reply_not_found'
                               ELSE 'stored' END AS outcome
                   FROM input i
                   LEFT JOIN locked l ON l.id = i.conversation_id
                   LEFT JOIN LATERAL (
                       SELECT x.seq FROM messages x
                       WHERE i.client_message_id IS NOT NULL AND x.conversation_id = i.conversation_id AND x.sender_id = i.sender_id
                         AND x.client_message_id = i.client_message_id
                       UNION ALL
                       SELECT x.seq FROM messages x
                       WHERE i.client_message_id IS NULL AND i.temp_id IS NOT NULL AND x.sender_id = i.sender_id AND x.temp_id = i.temp_id
                         AND x.conversation_id = i.conversation_id AND x.created_at > now() - interval '10 minutes'
                         AND x.message_text = i.message_text AND x.attachments = i.attachments
                         AND x.reply_to_message_id IS NOT DISTINCT FROM i.reply_to
                       UNION ALL
                       SELECT x.seq FROM messages x WHERE $10 AND x.id = i.id AND x.conversation_id = i.conversation_id
                       LIMIT 1) d ON true
                   LEFT JOIN messages q ON q.id = i.reply_to AND q.conversation_id = i.conversation_id
               ), numbered AS (
                   SELECT *, last_seq + row_number() OVER (PARTITION BY conversation_id ORDER BY ord) AS seq
                   FROM checked WHERE outcome = 'stored'
               ), inserted AS (
                   INSERT INTO messages (id, conversation_id, sender_id, seq, message_text, message_type, attachments,
                                         client_message_id, temp_id, reply_to_message_id, created_at, updated_at)
                   SELECT id, conversation_id, sender_id, seq, message_text, message_type, attachments,
                          client_message_id, temp_id, reply_to, at, at
                   FROM numbered
               ), previews AS (
                   UPDATE conversations c
                   SET last_seq = n.seq, last_message_at = n.at, updated_at = n.at, last_message_text = n.message_text
                   FROM (SELECT DISTINCT ON (conversation_id) conversation_id, seq, at, message_text
                         FROM numbered ORDER BY conversation_id, seq DESC) n
                   WHERE c.id = n.conversation_id
               ), own AS (
                   SELECT m.conversation_id, m.user_id, n.count
                   FROM conversation_members m
                   JOIN (SELECT conversation_id, sender_id, count(*) AS count FROM numbered GROUP BY 1, 2) n
                     ON n.conversation_id = m.conversation_id AND n.sender_id = m.user_id
                   ORDER BY 1, 2 FOR NO KEY UPDATE OF m
               ), counted AS (
                   UPDATE conversation_members m SET skipped = m.skipped + o.count
                   FROM own o WHERE m.conversation_id = o.conversation_id AND m.user_id = o.user_id
               )
               SELECT c.outcome AS "outcome!", COALESCE(n.seq, c.repeat_seq) AS seq, COALESCE(c.at, now()) AS "created_at!",
                      CASE WHEN c.outcome IN ('stored', 'repeat') THEN c.members ELSE '{}' END AS "members!",
                      c.quote AS "reply_to: Json<Quote>"
               FROM checked c LEFT JOIN numbered n ON n.ord = c.ord ORDER BY c.ord"#,
            &ids,
            &conversations,
            &senders,
            &texts as &[&str],
            &kinds as &[&str],
            &attachments as &[&Value],
            &client_ids as &[Option<&str>],
            &temp_ids as &[Option<&str>],
            &replies as &[Option<Uuid>],
            again
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Written::from).collect())
    }
}
