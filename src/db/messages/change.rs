//! Changing a stored message: edit, delete, react. The rules are in the database's
//! functions (`migrations/0005`), which SQL users share: they check who is asking and keep the unread counters right.

use sqlx::types::Json;

use crate::{
    db::{Db, DbResult},
    domain::{ConversationId, MessageId, Reaction, UserId},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acted {
    Done,
    /// It was so already; nobody needs to be told.
    Unchanged,
    /// There is no such message, or the caller deleted it for themselves.
    NotFound,
    Gone,
    NotMember,
    NotSender,
    /// One of its conversation's two participants blocked the other.
    Blocked,
    /// The message, or the caller, has as many reactions as there may be.
    TooManyReactions,
    /// It was edited as often as it may be.
    TooManyEdits,
}

impl Acted {
    fn parse(word: &str) -> Self {
        match word {
            "edited" | "deleted" | "added" | "removed" => Self::Done,
            "unchanged" => Self::Unchanged,
            "gone" => Self::Gone,
            "not_member" => Self::NotMember,
            "not_sender" => Self::NotSender,
            "blocked" => Self::Blocked,
            "too_many" => Self::TooManyReactions,
            "too_many_edits" => Self::TooManyEdits,
            _ => Self::NotFound,
        }
    }
}

/// The result of a change: its outcome, conversation and members. The members are not for a caller who was refused.
#[derive(Clone, Debug)]
pub struct Action {
    pub acted: Acted,
    /// The message's own conversation, whatever the client said.
    pub conversation_id: Option<ConversationId>,
    pub members: Vec<UserId>,
    /// The reactions after it; for reactions only.
    pub reactions: Vec<Reaction>,
    /// The message's version after it, taken under its lock.
    pub version: i64,
}

impl Action {
    fn new(
        outcome: &str,
        conversation: Option<uuid::Uuid>,
        members: Option<Vec<uuid::Uuid>>,
        version: Option<i64>,
    ) -> Self {
        Self {
            acted: Acted::parse(outcome),
            conversation_id: conversation.map(ConversationId),
            members: members.unwrap_or_default().into_iter().map(UserId).collect(),
            reactions: Vec::new(),
            version: version.unwrap_or_default(),
        }
    }
}

impl Db {
    /// Replaces a message's text and keeps the old one in its history, unless it was edited `max_edits` times before.
    pub async fn edit_message(
        &self,
        message: MessageId,
        user: UserId,
        text: &str,
        max_edits: Option<i32>,
    ) -> DbResult<Action> {
        let r = sqlx::query!(
            r#"SELECT outcome AS "outcome!", conversation_id, members, souk_version_now($1) AS version
               FROM souk_edit_message($1, $2, $3, $4)"#,
            message.0,
            user.0,
            text,
            max_edits
        )
        .fetch_one(&self.pool())
        .await?;
        Ok(Action::new(&r.outcome, r.conversation_id, r.members, r.version))
    }

    /// Deletes a message for the caller alone, or (its sender only) for everyone.
    pub async fn delete_message(&self, message: MessageId, user: UserId, for_everyone: bool) -> DbResult<Action> {
        let r = sqlx::query!(
            r#"SELECT outcome AS "outcome!", conversation_id, members, souk_version_now($1) AS version
               FROM souk_delete_message($1, $2, $3)"#,
            message.0,
            user.0,
            if for_everyone { "for_everyone" } else { "for_me" }
        )
        .fetch_one(&self.pool())
        .await?;
        Ok(Action::new(&r.outcome, r.conversation_id, r.members, r.version))
    }

    /// Adds a reaction of the caller's, or takes it away.
    pub async fn react(&self, message: MessageId, user: UserId, reaction: &str, add: bool) -> DbResult<Action> {
        macro_rules! react {
            ($call:literal) => {{
                let r = sqlx::query!(
                    r#"SELECT outcome AS "outcome!", conversation_id, members, reactions AS "reactions: Json<Vec<Reaction>>",
                          souk_version_now($1) AS version
                   FROM "# + $call,
                    message.0,
                    user.0,
                    reaction
                )
                .fetch_one(&self.pool())
                .await?;
                let reactions = r.reactions.map(|reactions| reactions.0).unwrap_or_default();
                Ok(Action { reactions, ..Action::new(&r.outcome, r.conversation_id, r.members, r.version) })
            }};
        }
        if add { react!("souk_add_reaction($1, $2, $3)") } else { react!("souk_remove_reaction($1, $2, $3)") }
    }
}
