//! The payloads of the server's events. Field names and their mixed case are the contract's (contract §Shapes,
//! contract §Server events).

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{
    message::MessageView,
    time::{opt_time, time},
};
use crate::domain::{Conversation, ConversationId, MessageId, Person, Reaction, Role, User, UserId};

/// A conversation on the wire (contract §Shapes).
#[derive(Serialize)]
pub struct ConversationView<'a> {
    id: ConversationId,
    #[serde(rename = "type")]
    kind: &'a str,
    participant_ids: &'a [UserId],
    subject: Option<&'a str>,
    related_entity_type: Option<&'a str>,
    related_entity_id: Option<uuid::Uuid>,
    status: &'a str,
    #[serde(serialize_with = "opt_time")]
    last_message_at: Option<DateTime<Utc>>,
    last_message_text: Option<&'a str>,
    #[serde(serialize_with = "time")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "time")]
    updated_at: DateTime<Utc>,
    #[serde(serialize_with = "opt_time")]
    closed_at: Option<DateTime<Utc>>,
    metadata: &'a Value,
    last_seq: i64,
    unread_count: i64,
    #[serde(rename = "participantDetails")]
    participant_details: Vec<ParticipantView<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantView<'a> {
    pub id: UserId,
    /// Display name, or the e-mail's local part.
    pub display_name: &'a str,
    pub email: &'a str,
    pub role: Role,
    pub is_online: bool,
    #[serde(serialize_with = "opt_time")]
    pub last_seen_at: Option<DateTime<Utc>>,
    pub is_deleted: bool,
}

impl<'a> ConversationView<'a> {
    /// The view with the other participants' details.
    pub fn new(c: &'a Conversation, others: Vec<ParticipantView<'a>>) -> Self {
        Self {
            id: c.id,
            kind: &c.kind,
            participant_ids: &c.participant_ids,
            subject: c.subject.as_deref(),
            related_entity_type: c.related_entity_type.as_deref(),
            related_entity_id: c.related_entity_id,
            status: &c.status,
            last_message_at: c.last_message_at,
            last_message_text: c.last_message_text.as_deref(),
            created_at: c.created_at,
            updated_at: c.updated_at,
            closed_at: c.closed_at,
            metadata: &c.metadata,
            last_seq: c.last_seq,
            unread_count: c.unread_count,
            participant_details: others,
        }
    }
}

/// `chat:user_joined` and `chat:user_left`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomMember<'a> {
    pub user_id: UserId,
    pub display_name: &'a str,
    pub conversation_id: ConversationId,
}

/// `chat:user_typing`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserTyping<'a> {
    pub user_id: UserId,
    pub display_name: &'a str,
    pub is_typing: bool,
    pub conversation_id: ConversationId,
}

/// `chat:messages_read { userId, conversationId, read_at, last_read_seq }`.
#[derive(Serialize)]
pub struct MessagesRead {
    #[serde(rename = "userId")]
    pub user_id: UserId,
    #[serde(rename = "conversationId")]
    pub conversation_id: ConversationId,
    #[serde(serialize_with = "time")]
    pub read_at: DateTime<Utc>,
    /// Number of the newest message that they read.
    pub last_read_seq: i64,
}

/// `chat:message_delivered { message_id, conversation_id, delivered_at }`.
#[derive(Serialize)]
pub struct MessageDelivered {
    pub message_id: MessageId,
    pub conversation_id: ConversationId,
    #[serde(serialize_with = "time")]
    pub delivered_at: DateTime<Utc>,
}

/// `chat:messages { conversationId, messages }`.
#[derive(Serialize)]
pub struct MessagesPage<'a> {
    #[serde(rename = "conversationId")]
    pub conversation_id: ConversationId,
    /// Oldest first.
    pub messages: Vec<MessageView<'a>>,
}

/// `chat:user_status { userId, is_online, last_seen_at }`.
#[derive(Serialize)]
pub struct UserStatus {
    #[serde(rename = "userId")]
    pub user_id: UserId,
    pub is_online: bool,
    #[serde(serialize_with = "opt_time")]
    pub last_seen_at: Option<DateTime<Utc>>,
}

impl<'a> ParticipantView<'a> {
    /// Details of `user` with what presence says of them.
    pub fn new(user: &'a User, is_online: bool, last_seen_at: Option<DateTime<Utc>>, is_deleted: bool) -> Self {
        let (display_name, email) = (user.name(), user.email.as_str());
        Self { id: user.id, display_name, email, role: user.role, is_online, last_seen_at, is_deleted }
    }
}

/// `chat:message_deleted { message_id, conversation_id, deletion_type }`.
#[derive(Clone, Copy, Serialize)]
pub struct MessageDeleted {
    pub message_id: MessageId,
    pub conversation_id: ConversationId,
    /// `for_me` or `for_everyone`.
    pub deletion_type: &'static str,
    /// The message's version after it; a deletion for one user alone makes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// `chat:reaction_added` and `chat:reaction_removed`.
#[derive(Clone, Serialize)]
pub struct ReactionChanged {
    pub message_id: MessageId,
    pub conversation_id: ConversationId,
    /// All reactions after the change.
    pub reactions: Vec<Reaction>,
    pub user_id: UserId,
    /// The message's version after the change.
    pub version: i64,
}

/// A user as others find them (contract §Shapes).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonView<'a> {
    id: UserId,
    email: &'a str,
    role: Role,
    display_name: &'a str,
    profile_image: Option<&'a str>,
    status: &'a str,
    created_at: Option<&'a str>,
}

impl<'a> From<&'a Person> for PersonView<'a> {
    fn from(p: &'a Person) -> Self {
        Self {
            id: p.id,
            email: &p.email,
            role: p.role,
            display_name: &p.name,
            profile_image: None,
            status: &p.status,
            created_at: p.created_at.as_deref(),
        }
    }
}
