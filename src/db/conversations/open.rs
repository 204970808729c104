//! Opening a conversation exactly once, however many ask for it.

use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use crate::{
    db::{Db, DbResult, connection::transaction::again_while_in_the_way},
    domain::{ConversationId, NewConversation},
};

/// The conversation of these two and this kind (and related entity, if given).
async fn find_conversation<'e>(
    on: impl sqlx::PgExecutor<'e>,
    new: &NewConversation,
) -> Result<Option<Uuid>, sqlx::Error> {
    // An active one first, then the newest: real data has duplicates, and they stay as they are.
    sqlx::query_scalar!(
        "SELECT c.id FROM conversation_members a
         JOIN conversation_members b ON b.conversation_id = a.conversation_id AND b.user_id = $2
         JOIN conversations c ON c.id = a.conversation_id
         WHERE a.user_id = $1 AND c.type = $3 AND (SELECT count(*) FROM conversation_members m WHERE m.conversation_id = c.id) = 2
           AND ($4::uuid IS NULL OR (c.related_entity_id = $4 AND ($5::text IS NULL OR c.related_entity_type = $5)))
         ORDER BY c.status = 'active' DESC, COALESCE(c.last_message_at, c.created_at) DESC, c.id LIMIT 1",
        new.creator.0,
        new.participant.0,
        new.kind.as_str(),
        new.related_entity_id,
        new.related_entity_type
    )
    .fetch_optional(on)
    .await
}

impl Db {
    /// The conversation of these two and this kind (and related entity, if given), made where there is none.
    /// Two racing calls get the same one: the second waits for the first's commit. `None` where one would have to be
    /// made, and one of the two blocked the other. `may_begin` is asked before one is made, and what it refuses with returned.
    pub async fn get_or_create_conversation<E>(
        &self,
        new: &NewConversation,
        may_begin: impl Fn() -> Result<(), E> + Sync,
    ) -> DbResult<Result<Option<ConversationId>, E>> {
        // Most calls find theirs, and need no lock: many at once would wait for one another.
        if let Some(found) = find_conversation(&self.pool(), new).await? {
            return Ok(Ok(Some(ConversationId(found))));
        }
        // Asked once, however often it is tried.
        let is_allowed = AtomicBool::new(false);
        let ask = || {
            if !is_allowed.load(Ordering::Relaxed) {
                may_begin()?;
                is_allowed.store(true, Ordering::Relaxed);
            }
            Ok(())
        };
        again_while_in_the_way(|| self.try_to_open(new, &ask)).await
    }

    async fn try_to_open<E>(
        &self,
        new: &NewConversation,
        may_begin: &(impl Fn() -> Result<(), E> + Sync),
    ) -> DbResult<Result<Option<ConversationId>, E>> {
        let (low, high) =
            if new.creator < new.participant { (new.creator, new.participant) } else { (new.participant, new.creator) };
        let mut connection = self.pool().acquire().await?;
        let mut tx = connection.begin().await?;
        sqlx::query!(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
            format!("{}:{low}:{high}", new.kind.as_str())
        )
        .execute(&mut *tx)
        .await?;
        let found = find_conversation(&mut *tx, new).await?;
        let id = if found.is_some() {
            found
        } else {
            if let Err(refusal) = may_begin() {
                tx.rollback().await?;
                connection.done();
                return Ok(Err(refusal));
            }
            sqlx::query_scalar!(
                "INSERT INTO conversations (id, type, participant_ids, subject, related_entity_type, related_entity_id, metadata, status)
                     SELECT $1, $2, $3, $4, $5, $6, $7, 'active' WHERE NOT souk_is_blocked(ARRAY[$8::uuid, $9::uuid]) RETURNING id",
                Uuid::now_v7(),
                new.kind.as_str(),
                serde_json::json!([new.creator, new.participant]),
                new.subject,
                new.related_entity_type,
                new.related_entity_id,
                new.metadata,
                new.creator.0,
                new.participant.0
            )
            .fetch_optional(&mut *tx)
            .await?
        };
        tx.commit().await?;
        connection.done();
        Ok(Ok(id.map(ConversationId)))
    }
}
