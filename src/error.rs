//! The one error type of the service. It has only what a client may know; errors of the database are logged where they
//! occur and never sent.

use chrono::{DateTime, Utc};

const DAY_SECONDS: i64 = 86_400;

/// The reason why a request was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Text missing, empty or of the wrong type, and no attachment.
    #[error("Message content is required")]
    MessageRequired,
    /// More than `MAX_MESSAGE_CHARS` characters.
    #[error("Message is too long")]
    MessageTooLong,
    /// A NUL character, which Postgres cannot store.
    #[error("Text contains characters that cannot be stored")]
    InvalidText,
    /// More than ten attachments.
    #[error("Too many attachments")]
    TooManyAttachments,
    /// An attachment of the wrong shape.
    #[error("{0}")]
    InvalidAttachment(String),
    /// The conversation does not exist, or the id is malformed.
    #[error("Conversation not found")]
    ConversationNotFound,
    /// The caller is not a member of the conversation.
    #[error("Not authorized")]
    NotAuthorized,
    /// The conversation is closed or archived.
    #[error("Conversation is closed")]
    ConversationClosed,
    /// Either user blocked the other.
    #[error("You cannot talk to this user")]
    Blocked,
    /// The shop deleted every other member of the conversation.
    #[error("This user has been deleted")]
    ParticipantDeleted,
    /// A user id that is malformed, or the caller's own.
    #[error("{0}")]
    InvalidUser(&'static str),
    #[error("User not found")]
    UserNotFound,
    /// The message that a reply names is not in this conversation.
    #[error("Message to reply to not found")]
    ReplyNotFound,
    #[error("Reply to message ID is required")]
    ReplyIdRequired,
    /// The message does not exist, or the caller may not see it.
    #[error("Message not found")]
    MessageNotFound,
    /// Only its sender may edit a message.
    #[error("Only message sender can edit the message")]
    NotYoursToEdit,
    /// Only its sender may delete a message for everyone.
    #[error("Only message sender can delete for everyone")]
    NotYoursToDelete,
    /// The message has the most different reactions that it may have, or the user gave it the most that a user may.
    #[error("Too many reactions")]
    TooManyReactions,
    /// A message was edited `MAX_EDITS_PER_MESSAGE` times.
    #[error("Message was edited too often")]
    TooManyEdits,
    /// The user has stored `MAX_STORED_BYTES_PER_USER` bytes.
    #[error("Your storage for messages is full")]
    StorageFull,
    #[error("Reaction is required")]
    ReactionRequired,
    /// `reaction` is not one emoji of the Unicode tables.
    #[error("A reaction is one emoji")]
    InvalidReaction,
    /// An upload without a file in its field `files`.
    #[error("No files were uploaded")]
    NoFiles,
    /// More files than one request may have.
    #[error("Too many files")]
    TooManyFiles,
    /// A form that is larger than the most files of the largest size.
    #[error("Request body is too large")]
    FormTooLarge,
    /// A file larger than `MAX_UPLOAD_BYTES`.
    #[error("File is too large")]
    FileTooLarge,
    /// A file whose content is not of an allowed type.
    #[error("File type is not allowed")]
    FileTypeNotAllowed,
    /// More bytes than one user may upload in a day.
    #[error("Too much uploaded today")]
    UploadQuota {
        /// Milliseconds until the day is over.
        retry_after_ms: u64,
    },
    /// The disk that keeps uploads has too little free space.
    #[error("No space is left for uploads")]
    DiskFull,
    /// A form part whose headers are too long.
    #[error("The head of a part of the form is too long")]
    PartHeadTooLong,
    /// A link to a file that this server did not sign.
    #[error("Invalid signature")]
    InvalidSignature,
    /// A link to a file that is older than 7 days.
    #[error("Link has expired")]
    LinkExpired,
    #[error("File not found")]
    FileNotFound,
    /// No staff member is active.
    #[error("No support staff available at the moment")]
    NoSupportStaff,
    #[error("Participant ID is required")]
    ParticipantRequired,
    /// `participantId` is malformed, or the caller's own id.
    #[error("{0}")]
    InvalidParticipant(&'static str),
    /// The user does not exist, or is not active.
    #[error("Participant not found")]
    ParticipantNotFound,
    /// These two roles may not talk to each other, or not in a conversation of that type.
    #[error("{0}")]
    RolesMayNotTalk(&'static str),
    /// The payload does not have the shape in the contract.
    #[error("{0}")]
    InvalidPayload(String),
    /// A rate limit of the user was exceeded. Nothing was done; the same request may be sent again.
    #[error("Too many requests")]
    RateLimited {
        /// Milliseconds until then.
        retry_after_ms: u64,
    },
    /// A queue is full. Nothing was stored; the same request may be sent again.
    #[error("Server is busy")]
    Busy,
    /// The server failed; the log has the reason.
    #[error("Internal server error")]
    Internal,
}

impl Error {
    /// The refusal of an upload over a user's daily bytes (UTC).
    pub fn upload_quota(now: DateTime<Utc>) -> Self {
        let second = u64::try_from(now.timestamp().rem_euclid(DAY_SECONDS)).unwrap_or(0);
        Self::UploadQuota { retry_after_ms: (DAY_SECONDS.unsigned_abs() - second) * 1000 }
    }

    /// The stable code for programs (contract §Errors).
    pub fn code(&self) -> &'static str {
        self.code_and_status().0
    }

    /// The HTTP status of this error.
    pub fn status(&self) -> u16 {
        self.code_and_status().1
    }

    fn code_and_status(&self) -> (&'static str, u16) {
        match self {
            Self::MessageRequired => ("message_required", 400),
            Self::MessageTooLong => ("message_too_long", 400),
            Self::InvalidText => ("invalid_text", 400),
            Self::TooManyAttachments => ("too_many_attachments", 400),
            Self::InvalidAttachment(_) => ("invalid_attachment", 400),
            Self::ConversationNotFound => ("conversation_not_found", 404),
            Self::NotAuthorized => ("not_authorized", 403),
            Self::ConversationClosed => ("conversation_closed", 409),
            Self::Blocked => ("blocked", 403),
            Self::ParticipantDeleted => ("participant_deleted", 409),
            Self::InvalidUser(_) => ("invalid_user", 400),
            Self::UserNotFound => ("user_not_found", 404),
            Self::ReplyNotFound => ("reply_not_found", 404),
            Self::ReplyIdRequired => ("reply_id_required", 400),
            Self::MessageNotFound => ("message_not_found", 404),
            Self::NotYoursToEdit | Self::NotYoursToDelete => ("not_message_sender", 403),
            Self::TooManyReactions => ("too_many_reactions", 400),
            Self::TooManyEdits => ("too_many_edits", 400),
            Self::StorageFull => ("storage_full", 403),
            Self::ReactionRequired => ("reaction_required", 400),
            Self::InvalidReaction => ("invalid_reaction", 400),
            Self::NoFiles => ("no_files", 400),
            Self::TooManyFiles => ("too_many_files", 400),
            Self::FormTooLarge => ("payload_too_large", 413),
            Self::FileTooLarge => ("file_too_large", 400),
            Self::FileTypeNotAllowed => ("file_type_not_allowed", 400),
            Self::UploadQuota { .. } => ("upload_quota", 429),
            Self::DiskFull => ("disk_full", 507),
            Self::PartHeadTooLong => ("part_head_too_long", 400),
            Self::InvalidSignature => ("invalid_signature", 403),
            Self::LinkExpired => ("link_expired", 410),
            Self::FileNotFound => ("not_found", 404),
            Self::NoSupportStaff => ("no_support_staff", 404),
            Self::ParticipantRequired => ("participant_required", 400),
            Self::InvalidParticipant(_) => ("invalid_participant", 400),
            Self::ParticipantNotFound => ("participant_not_found", 404),
            Self::RolesMayNotTalk(_) => ("roles_may_not_talk", 403),
            Self::InvalidPayload(_) => ("invalid_payload", 400),
            Self::RateLimited { .. } => ("rate_limited", 429),
            Self::Busy => ("busy", 503),
            Self::Internal => ("internal", 500),
        }
    }

    /// Milliseconds until the same request may be sent again; `None` if sending it again does not help.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_ms } | Self::UploadQuota { retry_after_ms } => Some(*retry_after_ms),
            Self::Busy => Some(1000),
            Self::DiskFull => Some(60_000),
            _ => None,
        }
    }
}

/// A result with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
