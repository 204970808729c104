//! Conversations: their kinds, and which roles may talk to each other.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{ConversationId, Role, UserId};

/// The four kinds of conversation (contract §Shapes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationKind {
    CustomerSeller,
    CustomerSupport,
    SellerSupport,
    Internal,
}

impl ConversationKind {
    /// The kind of a conversation between two roles, in either order; `None` if they may not talk (contract §REST).
    pub fn between(a: Role, b: Role) -> Option<Self> {
        match (a, b) {
            (a, b) if a.is_staff() && b.is_staff() => Some(Self::Internal),
            (Role::Customer, Role::Seller) | (Role::Seller, Role::Customer) => Some(Self::CustomerSeller),
            (Role::Customer, b) if b.is_staff() => Some(Self::CustomerSupport),
            (a, Role::Customer) if a.is_staff() => Some(Self::CustomerSupport),
            (Role::Seller, b) if b.is_staff() => Some(Self::SellerSupport),
            (a, Role::Seller) if a.is_staff() => Some(Self::SellerSupport),
            _ => None,
        }
    }

    /// The role of the other member in a conversation of this kind with a user of `role`; an admin for staff.
    pub fn counterpart(self, role: Role) -> Role {
        match (self, role) {
            (Self::CustomerSupport | Self::SellerSupport, Role::Customer | Role::Seller) | (Self::Internal, _) => {
                Role::Admin
            }
            (Self::CustomerSeller, Role::Customer) | (Self::SellerSupport, _) => Role::Seller,
            (Self::CustomerSeller | Self::CustomerSupport, _) => Role::Customer,
        }
    }

    /// Reads the name that the wire and the database use.
    pub fn parse(word: &str) -> Option<Self> {
        let kinds = [Self::CustomerSeller, Self::CustomerSupport, Self::SellerSupport, Self::Internal];
        kinds.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The name that the wire and the database use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CustomerSeller => "customer_seller",
            Self::CustomerSupport => "customer_support",
            Self::SellerSupport => "seller_support",
            Self::Internal => "internal",
        }
    }
}

/// A checked request to open a conversation (`POST /conversations`).
#[derive(Clone, Debug)]
pub struct NewConversation {
    pub creator: UserId,
    pub participant: UserId,
    /// Its kind, which fits the two roles.
    pub kind: ConversationKind,
    pub subject: Option<String>,
    /// The type of the entity that it is about (`product`, `order`, …).
    pub related_entity_type: Option<String>,
    pub related_entity_id: Option<uuid::Uuid>,
    /// Data that the client keeps with it: an object.
    pub metadata: Value,
}

#[derive(Clone, Debug)]
pub struct Conversation {
    pub id: ConversationId,
    /// `customer_seller`, `customer_support`, `seller_support` or `internal`.
    pub kind: String,
    pub participant_ids: Vec<UserId>,
    pub subject: Option<String>,
    pub related_entity_type: Option<String>,
    pub related_entity_id: Option<uuid::Uuid>,
    /// `active`, `closed` or `archived`.
    pub status: String,
    /// Time of the newest message.
    pub last_message_at: Option<DateTime<Utc>>,
    /// Text of the newest message.
    pub last_message_text: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
    pub metadata: Value,
    /// Number of the newest message.
    pub last_seq: i64,
    /// Messages by others that the viewer has not read.
    pub unread_count: i64,
}

/// The start of a page of a user's conversations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Before {
    /// Conversations with their last activity before this time.
    Time(DateTime<Utc>),
    /// Conversations after this one in the list, at its current place.
    Conversation(ConversationId),
    /// Conversations after the place that a conversation had in the list: its time and its id. A page returns this as `next`.
    Place(DateTime<Utc>, ConversationId),
}

impl Before {
    /// The place of a conversation in the list.
    pub fn place_of(conversation: &Conversation) -> Self {
        Self::Place(conversation.last_message_at.unwrap_or(conversation.created_at), conversation.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Role::{Admin, Customer, Manager, Seller};

    #[test]
    fn roles_decide_the_kind_whoever_asks_first() {
        let table = [
            (Customer, Seller, Some(ConversationKind::CustomerSeller)),
            (Customer, Admin, Some(ConversationKind::CustomerSupport)),
            (Customer, Manager, Some(ConversationKind::CustomerSupport)),
            (Seller, Admin, Some(ConversationKind::SellerSupport)),
            (Seller, Manager, Some(ConversationKind::SellerSupport)),
            (Admin, Manager, Some(ConversationKind::Internal)),
            (Admin, Admin, Some(ConversationKind::Internal)),
            (Customer, Customer, None),
            (Seller, Seller, None),
        ];
        for (a, b, kind) in table {
            assert_eq!(ConversationKind::between(a, b), kind, "{a:?} {b:?}");
            assert_eq!(ConversationKind::between(b, a), kind, "{b:?} {a:?}");
            if let Some(kind) = kind {
                let other = if b.is_staff() { Admin } else { b };
                assert_eq!(kind.counterpart(a), other, "{a:?} {b:?}");
            }
        }
    }
}
