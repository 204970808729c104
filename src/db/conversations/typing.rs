//! `typing_indicators`: a window for SQL readers. Memory is the truth.

use uuid::Uuid;

use crate::{
    db::{Db, DbResult},
    domain::{ConversationId, UserId},
};

impl Db {
    /// Writes the latest state of each pair; none where somebody holds a lock on what one of them needs.
    pub async fn write_typing(&self, changes: &[(ConversationId, UserId, bool)]) -> DbResult<()> {
        let conversations: Vec<Uuid> = changes.iter().map(|c| c.0.0).collect();
        let users: Vec<Uuid> = changes.iter().map(|c| c.1.0).collect();
        let states: Vec<bool> = changes.iter().map(|c| c.2).collect();
        let mut lease = self.pool().acquire().await?;
        let done = sqlx::query!(
            "INSERT INTO typing_indicators (id, conversation_id, user_id, is_typing, last_typed_at)
             SELECT gen_random_uuid(), i.conversation_id, i.user_id, i.is_typing, now()
             FROM unnest($1::uuid[], $2::uuid[], $3::boolean[]) AS i (conversation_id, user_id, is_typing)
             JOIN conversation_members m USING (conversation_id, user_id)
             ORDER BY i.conversation_id, i.user_id
             ON CONFLICT (conversation_id, user_id) DO UPDATE SET is_typing = excluded.is_typing, last_typed_at = excluded.last_typed_at",
            &conversations,
            &users,
            &states
        )
        .execute(&mut *lease)
        .await;
        lease.done_if_ok(done)?;
        Ok(())
    }
}
