//! Members of conversations, and how far each has read.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    db::{Db, DbResult, time::Time},
    domain::{ConversationId, MessageId, UserId, time::opt_from_postgres},
};

/// A conversation's state together with whether the caller belongs to it.
#[derive(Clone, Debug)]
pub struct Access {
    pub is_member: bool,
    pub watermarks: Vec<Watermark>,
}

impl Access {
    /// From the watermarks of all members, in the order of their ids.
    pub(in crate::db) fn of(user: UserId, watermarks: Vec<Watermark>) -> Self {
        Self { is_member: watermarks.iter().any(|w| w.user_id == user), watermarks }
    }
}

/// How far one member has read, and up to which message was delivered to them.
#[derive(Clone, Debug, Deserialize)]
pub struct Watermark {
    pub user_id: UserId,
    /// Read up to this `seq`.
    pub last_read_seq: i64,
    #[serde(deserialize_with = "opt_from_postgres")]
    pub last_read_at: Option<DateTime<Utc>>,
    /// Delivered up to this `seq`.
    pub last_delivered_seq: i64,
    #[serde(deserialize_with = "opt_from_postgres")]
    pub last_delivered_at: Option<DateTime<Utc>>,
}

impl Watermark {
    /// From a row: how far the user has read, how far messages were delivered to them, and when each was noted.
    pub(in crate::db) fn new(user: Uuid, read: (i64, Option<Time>), delivered: (i64, Option<Time>)) -> Self {
        Self {
            user_id: UserId(user),
            last_read_seq: read.0,
            last_read_at: read.1.map(Into::into),
            last_delivered_seq: delivered.0,
            last_delivered_at: delivered.1.map(Into::into),
        }
    }
}

#[derive(Clone, Debug)]
pub struct ReadMark {
    /// True if the caller is a member; if not, nothing was done.
    pub is_member: bool,
    pub marked: i64,
    pub last_read_seq: i64,
    /// Time at which it got there.
    pub read_at: DateTime<Utc>,
    pub members: Arc<[UserId]>,
}

/// A message that reached members who are online.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub message_id: MessageId,
    pub conversation_id: ConversationId,
    pub seq: i64,
    /// The members whom it reached.
    pub recipients: Vec<UserId>,
}

pub type Member = (ConversationId, UserId);

impl Db {
    /// The conversation's watermarks, by user id, and whether `user` is a member; `None` where there is no such conversation.
    pub async fn access(&self, conversation: ConversationId, user: UserId) -> DbResult<Option<Access>> {
        let rows = sqlx::query!(
            r#"SELECT m.user_id AS "user_id?", m.last_read_seq AS "last_read_seq?", m.last_read_at AS "last_read_at: Time",
                      m.last_delivered_seq AS "last_delivered_seq?", m.last_delivered_at AS "last_delivered_at: Time"
               FROM conversations c LEFT JOIN conversation_members m ON m.conversation_id = c.id
               WHERE c.id = $1 ORDER BY m.user_id"#,
            conversation.0
        )
        .fetch_all(&self.pool())
        .await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let watermarks = rows.into_iter().filter_map(|r| {
            let (read, delivered) = (r.last_read_seq?, r.last_delivered_seq?);
            Some(Watermark::new(r.user_id?, (read, r.last_read_at), (delivered, r.last_delivered_at)))
        });
        Ok(Some(Access::of(user, watermarks.collect())))
    }

    /// The watermarks of these conversations' members, by user id.
    pub async fn watermarks_of(
        &self,
        conversations: &[ConversationId],
    ) -> DbResult<HashMap<ConversationId, Vec<Watermark>>> {
        let ids: Vec<Uuid> = conversations.iter().map(|c| c.0).collect();
        let rows = sqlx::query!(
            r#"SELECT conversation_id, user_id, last_read_seq, last_read_at AS "last_read_at: Time", last_delivered_seq,
                    last_delivered_at AS "last_delivered_at: Time"
             FROM conversation_members WHERE conversation_id = ANY($1) ORDER BY conversation_id, user_id"#,
            &ids
        )
        .fetch_all(&self.pool())
        .await?;
        let mut found: HashMap<ConversationId, Vec<Watermark>> = HashMap::new();
        for r in rows {
            let (read, delivered) = ((r.last_read_seq, r.last_read_at), (r.last_delivered_seq, r.last_delivered_at));
            let watermark = Watermark::new(r.user_id, read, delivered);
            found.entry(ConversationId(r.conversation_id)).or_default().push(watermark);
        }
        Ok(found)
    }

    /// The members; none where there is no such conversation.
    pub async fn members(&self, conversation: ConversationId) -> DbResult<Vec<UserId>> {
        let ids =
            sqlx::query_scalar!("SELECT user_id FROM conversation_members WHERE conversation_id = $1", conversation.0)
                .fetch_all(&self.pool())
                .await?;
        Ok(ids.into_iter().map(UserId).collect())
    }

    /// Moves `user`'s watermark to the newest message, in one statement whatever the number of messages.
    /// `None` where there is no such conversation.
    pub async fn mark_read(&self, conversation: ConversationId, user: UserId) -> DbResult<Option<ReadMark>> {
        let row = sqlx::query!(
            r#"SELECT EXISTS (SELECT 1 FROM conversation_members m WHERE m.conversation_id = c.id AND m.user_id = $2) AS "is_member!",
                      ARRAY(SELECT m.user_id FROM conversation_members m WHERE m.conversation_id = c.id) AS "members!",
                      c.last_seq, r.marked, r.read_seq, r.read_at AS "read_at: Time"
               FROM conversations c LEFT JOIN LATERAL souk_mark_read(c.id, $2) r ON true
               WHERE c.id = $1"#,
            conversation.0,
            user.0
        )
        .fetch_optional(&self.pool())
        .await?;
        Ok(row.map(|r| ReadMark {
            is_member: r.is_member,
            marked: r.marked.unwrap_or(0),
            last_read_seq: r.read_seq.unwrap_or(r.last_seq),
            read_at: r.read_at.map_or_else(|| self.clock.here.now(), Into::into),
            members: r.members.into_iter().map(UserId).collect(),
        }))
    }

    /// Records that messages reached users. Returns the time recorded, and whose mark could not be set because somebody
    /// holds a lock on their row.
    pub async fn mark_delivered(&self, deliveries: &[Delivery]) -> DbResult<(DateTime<Utc>, Vec<Member>)> {
        // What came last covers what came before.
        let mut last: HashMap<(Uuid, Uuid), i64> = HashMap::new();
        for d in deliveries {
            for user in &d.recipients {
                let seq = last.entry((d.conversation_id.0, user.0)).or_insert(d.seq);
                *seq = d.seq.max(*seq);
            }
        }
        let (members, seqs): (Vec<(Uuid, Uuid)>, Vec<i64>) = last.into_iter().unzip();
        let (conversations, users): (Vec<Uuid>, Vec<Uuid>) = members.into_iter().unzip();
        match self.mark_all_delivered(&conversations, &users, &seqs).await {
            Err(e) if e.is_locked() || e.is_conflict() => self.mark_free_delivered(&conversations, &users, &seqs).await,
            marked => Ok((marked?, Vec::new())),
        }
    }

    async fn mark_all_delivered(
        &self,
        conversations: &[Uuid],
        users: &[Uuid],
        seqs: &[i64],
    ) -> DbResult<DateTime<Utc>> {
        let mut lease = self.pool().acquire().await?;
        // Rows are locked in one order, as every statement that locks several does: no deadlock between servers.
        let at = sqlx::query_scalar!(
            r#"WITH input AS (
                   SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS i (conversation_id, user_id, seq)
               ), locked AS (
                   SELECT m.conversation_id, m.user_id, i.seq
                   FROM conversation_members m JOIN input i USING (conversation_id, user_id)
                   WHERE m.last_delivered_seq < i.seq
                   ORDER BY 1, 2 FOR NO KEY UPDATE OF m
               ), done AS (
                   UPDATE conversation_members m SET last_delivered_seq = l.seq, last_delivered_at = now()
                   FROM locked l WHERE m.conversation_id = l.conversation_id AND m.user_id = l.user_id
               )
               SELECT now() AS "at!""#,
            conversations,
            users,
            seqs
        )
        .fetch_one(&mut *lease)
        .await;
        Ok(lease.done_if_ok(at)?)
    }

    /// As [`Db::mark_delivered`], but leaves out rows that somebody holds a lock on, and so can be in nobody's way.
    async fn mark_free_delivered(
        &self,
        conversations: &[Uuid],
        users: &[Uuid],
        seqs: &[i64],
    ) -> DbResult<(DateTime<Utc>, Vec<Member>)> {
        let rows = sqlx::query!(
            r#"WITH input AS (
                   SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS i (conversation_id, user_id, seq)
               ), behind AS MATERIALIZED (
                   SELECT m.conversation_id, m.user_id FROM conversation_members m JOIN input i USING (conversation_id, user_id)
                   WHERE m.last_delivered_seq < i.seq
               ), locked AS MATERIALIZED (
                   SELECT m.conversation_id, m.user_id, i.seq
                   FROM conversation_members m JOIN input i USING (conversation_id, user_id)
                   WHERE m.last_delivered_seq < i.seq
                   ORDER BY 1, 2 FOR NO KEY UPDATE OF m SKIP LOCKED
               ), done AS (
                   UPDATE conversation_members m SET last_delivered_seq = l.seq, last_delivered_at = now()
                   FROM locked l WHERE m.conversation_id = l.conversation_id AND m.user_id = l.user_id
               )
               SELECT now() AS "at!", b.conversation_id AS "conversation_id?", b.user_id AS "user_id?"
               FROM (SELECT 1) one LEFT JOIN (
                   SELECT conversation_id, user_id FROM behind EXCEPT SELECT conversation_id, user_id FROM locked) b ON true"#,
            conversations,
            users,
            seqs
        )
        .fetch_all(&self.pool())
        .await?;
        let at = rows.first().map_or_else(|| self.clock.here.now(), |row| row.at);
        let left = rows.into_iter().filter_map(|r| Some((ConversationId(r.conversation_id?), UserId(r.user_id?))));
        Ok((at, left.collect()))
    }

    /// Everyone who shares a conversation with one of `users`: pairs of user and contact, neither having blocked the other.
    pub async fn contacts(&self, users: &[UserId]) -> DbResult<Vec<(UserId, UserId)>> {
        let users: Vec<Uuid> = users.iter().map(|u| u.0).collect();
        let rows = sqlx::query!(
            r#"SELECT me.user_id AS "user_id!", other.user_id AS "contact_id!"
               FROM unnest($1::uuid[]) AS u (id)
               JOIN conversation_members me ON me.user_id = u.id
               JOIN conversation_members other ON other.conversation_id = me.conversation_id AND other.user_id <> me.user_id
               EXCEPT (
                   SELECT blocker_id, blocked_id FROM user_blocks WHERE blocker_id = ANY($1)
                   UNION ALL SELECT blocked_id, blocker_id FROM user_blocks WHERE blocked_id = ANY($1))"#,
            &users
        )
        .fetch_all(&self.pool())
        .await?;
        Ok(rows.into_iter().map(|r| (UserId(r.user_id), UserId(r.contact_id))).collect())
    }

    /// Messages by others that `user` has not read, over all conversations: a sum of counters, no look at messages.
    pub async fn unread_count(&self, user: UserId) -> DbResult<i64> {
        let n = sqlx::query_scalar!(
            r#"SELECT COALESCE(sum(c.last_seq - m.last_read_seq - m.skipped), 0)::bigint AS "n!"
               FROM conversation_members m JOIN conversations c ON c.id = m.conversation_id
               WHERE m.user_id = $1 AND m.maybe_unread"#,
            user.0
        )
        .fetch_one(&self.pool())
        .await?;
        Ok(n)
    }
}
