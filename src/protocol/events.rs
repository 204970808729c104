//! Names of the server's events, exactly as on the wire. Those of the clients' events stand in the table of
//! `socket/events.rs`.

pub mod outgoing {
    pub const JOINED: &str = "chat:joined";
    pub const USER_JOINED: &str = "chat:user_joined";
    pub const USER_LEFT: &str = "chat:user_left";
    pub const NEW_MESSAGE: &str = "chat:new_message";
    pub const MESSAGE_SENT: &str = "chat:message_sent";
    pub const MESSAGE_FAILED: &str = "chat:message_failed";
    pub const MESSAGE_DELIVERED: &str = "chat:message_delivered";
    pub const USER_TYPING: &str = "chat:user_typing";
    pub const MESSAGES_READ: &str = "chat:messages_read";
    pub const CONVERSATIONS: &str = "chat:conversations";
    pub const MESSAGES: &str = "chat:messages";
    pub const SYNCED: &str = "chat:synced";
    pub const USER_STATUS: &str = "chat:user_status";
    pub const REPLY_SENT: &str = "chat:reply_sent";
    pub const NEW_REPLY: &str = "chat:new_reply";
    pub const MESSAGE_EDITED: &str = "chat:message_edited";
    pub const MESSAGE_DELETED: &str = "chat:message_deleted";
    pub const REACTION_ADDED: &str = "chat:reaction_added";
    pub const REACTION_REMOVED: &str = "chat:reaction_removed";
    pub const ERROR: &str = "chat:error";
}
