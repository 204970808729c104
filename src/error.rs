//! One error for the whole service. It carries what a client may know; the database's own words are
//! logged where they occur and never sent.

use chrono::{DateTime, Utc};

const DAY_SECONDS: i64 = 86_400;

/// Why something was not done.
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
    /// No such conversation, or an id that is none.
    #[error("Conversation not found")]
    ConversationNotFound,
    /// The caller takes no part in the conversation.
    #[error("Not authorized")]
    NotAuthorized,
    /// The conversation is closed or archived.
    #[error("Conversation is closed")]
    ConversationClosed,
    /// One of the two blocked the other.
    #[error("You cannot talk to this user")]
    Blocked,
    /// The shop deleted everyone else who took part in the conversation.
    #[error("This user has been deleted")]
    ParticipantDeleted,
    /// A user that cannot be meant: no id, or the caller's own.
    #[error("{0}")]
    InvalidUser(&'static str),
    /// No such user.
    #[error("User not found")]
    UserNotFound,
    /// The message to answer is not in this conversation.
    #[error("Message to reply to not found")]
    ReplyNotFound,
    /// `replyToMessageId` is missing.
    #[error("Reply to message ID is required")]
    ReplyIdRequired,
    /// No such message, or none that the caller sees.
    #[error("Message not found")]
    MessageNotFound,
    /// Only its sender may edit a message.
    #[error("Only message sender can edit the message")]
    NotYoursToEdit,
    /// Only its sender may delete a message for everyone.
    #[error("Only message sender can delete for everyone")]
    NotYoursToDelete,
    /// A message has as many different reactions as it may have, or its user gave as many.
    #[error("Too many reactions")]
    TooManyReactions,
    /// A message was edited `MAX_EDITS_PER_MESSAGE` times.
    #[error("Message was edited too often")]
    TooManyEdits,
    /// The user has stored `MAX_STORED_BYTES_PER_USER`.
    #[error("Your storage for messages is full")]
    StorageFull,
    /// `reaction` is missing.
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
    /// A form larger than all its files may be.
    #[error("Request body is too large")]
    FormTooLarge,
    /// A file larger than `MAX_UPLOAD_BYTES`.
    #[error("File is too large")]
    FileTooLarge,
    /// A file that is not of an allowed kind, by its content.
    #[error("File type is not allowed")]
    FileTypeNotAllowed,
    /// More bytes than one user may upload in a day.
    #[error("Too much uploaded today")]
    UploadQuota {
        /// In how many milliseconds the day is over.
        retry_after_ms: u64,
    },
    /// Too little space is left where uploads are kept.
    #[error("No space is left for uploads")]
    DiskFull,
    /// A form part whose head does not end.
    #[error("The head of a part of the form is too long")]
    PartHeadTooLong,
    /// A file's link that we did not sign.
    #[error("Invalid signature")]
    InvalidSignature,
    /// A file's link after its 7 days.
    #[error("Link has expired")]
    LinkExpired,
    /// A file that is not there any more.
    #[error("File not found")]
    FileNotFound,
    /// Nobody of the staff is active.
    #[error("No support staff available at the moment")]
    NoSupportStaff,
    /// `participantId` is missing.
    #[error("Participant ID is required")]
    ParticipantRequired,
    /// `participantId` is no id, or the caller's own.
    #[error("{0}")]
    InvalidParticipant(&'static str),
    /// No such user, or not an active one.
    #[error("Participant not found")]
    ParticipantNotFound,
    /// These two roles have no conversation with each other, or none of that type.
    #[error("{0}")]
    RolesMayNotTalk(&'static str),
    /// The payload is not of the shape that the contract gives.
    #[error("{0}")]
    InvalidPayload(String),
    /// More than one user may ask for in a while. Nothing was done; the same request may be sent again.
    #[error("Too many requests")]
    RateLimited {
        /// In how many milliseconds.
        retry_after_ms: u64,
    },
    /// A queue is full. Nothing was stored; the same request may be sent again.
    #[error("Server is busy")]
    Busy,
    /// Something failed on our side; the log has it.
    #[error("Internal server error")]
    Internal,
}

impl Error {
    /// The refusal of an upload beyond a user's share of the day (UTC).
    #[must_use]
    pub fn upload_quota(now: DateTime<Utc>) -> Self {
        let second = u64::try_from(now.timestamp().rem_euclid(DAY_SECONDS)).unwrap_or(0);
        Self::UploadQuota { retry_after_ms: (DAY_SECONDS.unsigned_abs() - second) * 1000 }
    }

    /// The stable word for programs (contract §Errors).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::MessageRequired => "message_required",
            Self::MessageTooLong => "message_too_long",
            Self::InvalidText => "invalid_text",
            Self::TooManyAttachments => "too_many_attachments",
            Self::InvalidAttachment(_) => "invalid_attachment",
            Self::ConversationNotFound => "conversation_not_found",
            Self::NotAuthorized => "not_authorized",
            Self::ConversationClosed => "conversation_closed",
            Self::Blocked => "blocked",
            Self::ParticipantDeleted => "participant_deleted",
            Self::InvalidUser(_) => "invalid_user",
            Self::UserNotFound => "user_not_found",
            Self::ReplyNotFound => "reply_not_found",
            Self::ReplyIdRequired => "reply_id_required",
            Self::MessageNotFound => "message_not_found",
            Self::NotYoursToEdit | Self::NotYoursToDelete => "not_message_sender",
            Self::TooManyReactions => "too_many_reactions",
            Self::TooManyEdits => "too_many_edits",
            Self::StorageFull => "storage_full",
            Self::ReactionRequired => "reaction_required",
            Self::InvalidReaction => "invalid_reaction",
            Self::NoFiles => "no_files",
            Self::TooManyFiles => "too_many_files",
            Self::FormTooLarge => "payload_too_large",
            Self::FileTooLarge => "file_too_large",
            Self::FileTypeNotAllowed => "file_type_not_allowed",
            Self::UploadQuota { .. } => "upload_quota",
            Self::DiskFull => "disk_full",
            Self::PartHeadTooLong => "part_head_too_long",
            Self::InvalidSignature => "invalid_signature",
            Self::LinkExpired => "link_expired",
            Self::FileNotFound => "not_found",
            Self::NoSupportStaff => "no_support_staff",
            Self::ParticipantRequired => "participant_required",
            Self::InvalidParticipant(_) => "invalid_participant",
            Self::ParticipantNotFound => "participant_not_found",
            Self::RolesMayNotTalk(_) => "roles_may_not_talk",
            Self::InvalidPayload(_) => "invalid_payload",
            Self::RateLimited { .. } => "rate_limited",
            Self::Busy => "busy",
            Self::Internal => "internal",
        }
    }

    /// In how many milliseconds the same request may be sent again, where that is all it takes.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_ms } | Self::UploadQuota { retry_after_ms } => Some(*retry_after_ms),
            Self::Busy => Some(1000),
            Self::DiskFull => Some(60_000),
            _ => None,
        }
    }

    /// The HTTP status that says the same.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::ConversationNotFound
            | Self::ParticipantNotFound
            | Self::UserNotFound
            | Self::ReplyNotFound
            | Self::MessageNotFound
            | Self::FileNotFound
            | Self::NoSupportStaff => 404,
            Self::NotAuthorized
            | Self::Blocked
            | Self::RolesMayNotTalk(_)
            | Self::NotYoursToEdit
            | Self::NotYoursToDelete
            | Self::StorageFull
            | Self::InvalidSignature => 403,
            Self::LinkExpired => 410,
            Self::FormTooLarge => 413,
            Self::ConversationClosed | Self::ParticipantDeleted => 409,
            Self::RateLimited { .. } | Self::UploadQuota { .. } => 429,
            Self::DiskFull => 507,
            Self::Busy => 503,
            Self::Internal => 500,
            _ => 400,
        }
    }
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;
