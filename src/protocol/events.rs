//! Names of the server's events, exactly as on the wire. Those of the clients' events stand in the table of
//! `socket/events.rs`.

/// Server → client.
pub mod outgoing {
    /// The room was entered.
    pub const JOINED: &str = "chat:joined";
    /// Another entered the room.
    pub const USER_JOINED: &str = "chat:user_joined";
    /// Another left the room.
    pub const USER_LEFT: &str = "chat:user_left";
    /// A new message.
    pub const NEW_MESSAGE: &str = "chat:new_message";
    /// One's own message was stored.
    pub const MESSAGE_SENT: &str = "chat:message_sent";
    /// One's own message was not stored.
    pub const MESSAGE_FAILED: &str = "chat:message_failed";
    /// A message reached another.
    pub const MESSAGE_DELIVERED: &str = "chat:message_delivered";
    /// Another types, or stopped.
    pub const USER_TYPING: &str = "chat:user_typing";
    /// Someone read a conversation.
    pub const MESSAGES_READ: &str = "chat:messages_read";
    /// The list asked for.
    pub const CONVERSATIONS: &str = "chat:conversations";
    /// The page asked for.
    pub const MESSAGES: &str = "chat:messages";
    /// The messages and changes that a client missed.
    pub const SYNCED: &str = "chat:synced";
    /// A contact came or went.
    pub const USER_STATUS: &str = "chat:user_status";
    /// One's own reply was stored.
    pub const REPLY_SENT: &str = "chat:reply_sent";
    /// A new reply.
    pub const NEW_REPLY: &str = "chat:new_reply";
    /// A message's text changed.
    pub const MESSAGE_EDITED: &str = "chat:message_edited";
    /// A message was deleted.
    pub const MESSAGE_DELETED: &str = "chat:message_deleted";
    /// An emoji came.
    pub const REACTION_ADDED: &str = "chat:reaction_added";
    /// An emoji went.
    pub const REACTION_REMOVED: &str = "chat:reaction_removed";
    /// Something was not done.
    pub const ERROR: &str = "chat:error";
}
