//! The limits of one user and one address. 0 switches a limit off.

use std::net::IpAddr;

use clap::Args;
use ipnet::IpNet;

/// The limits. A refused request may be sent again after `retry_after_ms`.
#[derive(Clone, Debug, Args)]
pub struct LimitsConfig {
    /// Most connections in total; 0 is no limit, here and for every limit below
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 100_000, global = true)]
    pub max_connections: usize,
    /// Most sockets from one address
    #[arg(long, env = "MAX_CONNECTIONS_PER_IP", default_value_t = 1000, global = true)]
    pub max_connections_per_ip: usize,
    /// Most sockets of one user: tabs and devices
    #[arg(long, env = "MAX_CONNECTIONS_PER_USER", default_value_t = 100, global = true)]
    pub max_connections_per_user: usize,
    /// Socket handshakes per second; as many at once
    #[arg(long, env = "MAX_HANDSHAKES_PER_SECOND", default_value_t = 2000, global = true)]
    pub max_handshakes_per_second: u32,
    /// Socket handshakes per second from one address; five times as many at once
    #[arg(long, env = "MAX_HANDSHAKES_PER_SECOND_PER_IP", default_value_t = 100, global = true)]
    pub max_handshakes_per_second_per_ip: u32,
    /// Bad tokens per minute from one address; as many at once; beyond that its refusals come late
    #[arg(long, env = "MAX_BAD_TOKENS_PER_MINUTE", default_value_t = 60, global = true)]
    pub max_bad_tokens_per_minute: u32,
    /// Refused requests per second from one address, ten times as many at once; beyond that its refusals come late
    #[arg(long, env = "MAX_REFUSALS_PER_SECOND_PER_IP", default_value_t = 5, global = true)]
    pub max_refusals_per_second_per_ip: u32,
    /// Messages and replies per second of one user; five times as many at once
    #[arg(long, env = "MAX_MESSAGES_PER_SECOND", default_value_t = 50, global = true)]
    pub max_messages_per_second: u32,
    /// Typing events per second of one user; five times as many at once
    #[arg(long, env = "MAX_TYPING_PER_SECOND", default_value_t = 20, global = true)]
    pub max_typing_per_second: u32,
    /// Rooms that one user joins or leaves per second; ten times as many at once
    #[arg(long, env = "MAX_JOINS_PER_SECOND", default_value_t = 50, global = true)]
    pub max_joins_per_second: u32,
    /// Searches for users per second of one user; five times as many at once
    #[arg(long, env = "MAX_SEARCHES_PER_SECOND", default_value_t = 20, global = true)]
    pub max_searches_per_second: u32,
    /// Upload requests per minute of one user; as many at once
    #[arg(long, env = "MAX_UPLOADS_PER_MINUTE", default_value_t = 60, global = true)]
    pub max_uploads_per_minute: u32,
    /// Bytes that one user may upload per day (UTC)
    #[arg(long, env = "MAX_UPLOAD_BYTES_PER_DAY", default_value_t = 500 << 20, global = true)]
    pub max_upload_bytes_per_day: u64,
    /// Bytes of one user's uploads that are read per second; a faster upload waits
    #[arg(long, env = "MAX_UPLOAD_BYTES_PER_SECOND", default_value_t = 16 << 20, global = true)]
    pub max_upload_bytes_per_second: u64,
    /// Conversations that one user may begin per hour; as many at once; opening an existing one does not count
    #[arg(long, env = "MAX_NEW_CONVERSATIONS_PER_HOUR", default_value_t = 60, global = true)]
    pub max_new_conversations_per_hour: u32,
    /// Conversations that two users may begin with each other per hour; as many at once
    #[arg(long, env = "MAX_NEW_CONVERSATIONS_PER_PAIR_PER_HOUR", default_value_t = 20, global = true)]
    pub max_new_conversations_per_pair_per_hour: u32,
    /// Other changes per second of one user: edit, delete, react, mark read, open a conversation, block; five times as many at once
    #[arg(long, env = "MAX_ACTIONS_PER_SECOND", default_value_t = 50, global = true)]
    pub max_actions_per_second: u32,
    /// Lists and pages per second of one user; five times as many at once
    #[arg(long, env = "MAX_READS_PER_SECOND", default_value_t = 100, global = true)]
    pub max_reads_per_second: u32,
    /// Edits of one message
    #[arg(long, env = "MAX_EDITS_PER_MESSAGE", default_value_t = 100, global = true)]
    pub max_edits_per_message: u32,
    /// Stored bytes of one user's messages and edits
    #[arg(long, env = "MAX_STORED_BYTES_PER_USER", default_value_t = 1 << 30, global = true)]
    pub max_stored_bytes_per_user: u64,
    /// REST requests of one user in flight
    #[arg(long, env = "MAX_REQUESTS_PER_USER", default_value_t = 64, global = true)]
    pub max_requests_per_user: usize,
    /// Bytes of request bodies in flight of one user, or of one address without a token
    #[arg(long, env = "BODIES_BYTES_PER_USER", default_value_t = 32 << 20, global = true)]
    pub bodies_bytes_per_user: usize,
    /// Bytes of all request bodies in flight, except uploads
    #[arg(long, env = "BODIES_BYTES", default_value_t = 128 << 20, global = true)]
    pub bodies_bytes: usize,
    /// Bytes of unread REST answers to one user
    #[arg(long, env = "ANSWERS_BYTES_PER_USER", default_value_t = 32 << 20, global = true)]
    pub answers_bytes_per_user: usize,
    /// Bytes of all unread REST answers, except files
    #[arg(long, env = "ANSWERS_BYTES", default_value_t = 256 << 20, global = true)]
    pub answers_bytes: usize,
    /// Proxies whose X-Forwarded-For and X-Forwarded-Host are trusted: networks or addresses, separated by commas
    #[arg(long, env = "TRUSTED_PROXIES", value_delimiter = ',', default_value = "127.0.0.0/8,::1", value_parser = network, global = true)]
    pub trusted_proxies: Vec<IpNet>,
}

/// Parses a network, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let found = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    found.map_err(|_| "is neither a network such as 10.0.0.0/8 nor an address".to_owned())
}
