//! How much one user or one address may ask for. 0 switches a limit off.

use std::net::IpAddr;

use clap::Args;
use ipnet::IpNet;

/// The limits. What is refused by one may be tried again after `retry_after_ms`.
#[derive(Clone, Debug, Args)]
pub struct LimitsConfig {
    /// Most connections in total; 0 is no limit, here and with every limit that follows
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 100_000, global = true)]
    pub max_connections: usize,
    /// Most sockets from one address
    #[arg(long, env = "MAX_CONNECTIONS_PER_IP", default_value_t = 1000, global = true)]
    pub max_connections_per_ip: usize,
    /// Most sockets of one user: tabs and devices
    #[arg(long, env = "MAX_CONNECTIONS_PER_USER", default_value_t = 100, global = true)]
    pub max_connections_per_user: usize,
    /// Socket handshakes a second
    #[arg(long, env = "MAX_HANDSHAKES_PER_SECOND", default_value_t = 2000, global = true)]
    pub max_handshakes_per_second: u32,
    /// Socket handshakes a second from one address; five times as many at once
    #[arg(long, env = "MAX_HANDSHAKES_PER_SECOND_PER_IP", default_value_t = 100, global = true)]
    pub max_handshakes_per_second_per_ip: u32,
    /// Tokens that are none of ours, a minute and address; then their refusals come late
    #[arg(long, env = "MAX_BAD_TOKENS_PER_MINUTE", default_value_t = 60, global = true)]
    pub max_bad_tokens_per_minute: u32,
    /// Requests a second from one address that are refused because they ask too much, ten times as many at once; then their
    /// refusals come late
    #[arg(long, env = "MAX_REFUSALS_PER_SECOND_PER_IP", default_value_t = 5, global = true)]
    pub max_refusals_per_second_per_ip: u32,
    /// Messages and replies a second of one user; five times as many at once, as with those that follow
    #[arg(long, env = "MAX_MESSAGES_PER_SECOND", default_value_t = 50, global = true)]
    pub max_messages_per_second: u32,
    /// Typing events a second of one user
    #[arg(long, env = "MAX_TYPING_PER_SECOND", default_value_t = 20, global = true)]
    pub max_typing_per_second: u32,
    /// Rooms entered or left a second by one user; ten times as many at once
    #[arg(long, env = "MAX_JOINS_PER_SECOND", default_value_t = 50, global = true)]
    pub max_joins_per_second: u32,
    /// Searches for people a second of one user
    #[arg(long, env = "MAX_SEARCHES_PER_SECOND", default_value_t = 20, global = true)]
    pub max_searches_per_second: u32,
    /// Upload requests a minute of one user
    #[arg(long, env = "MAX_UPLOADS_PER_MINUTE", default_value_t = 60, global = true)]
    pub max_uploads_per_minute: u32,
    /// Bytes that one user may upload in a day (UTC)
    #[arg(long, env = "MAX_UPLOAD_BYTES_PER_DAY", default_value_t = 500 << 20, global = true)]
    pub max_upload_bytes_per_day: u64,
    /// Bytes of one user's uploads that are taken in a second; what comes faster waits
    #[arg(long, env = "MAX_UPLOAD_BYTES_PER_SECOND", default_value_t = 16 << 20, global = true)]
    pub max_upload_bytes_per_second: u64,
    /// Conversations that one user may begin in an hour; one that is found again does not count
    #[arg(long, env = "MAX_NEW_CONVERSATIONS_PER_HOUR", default_value_t = 60, global = true)]
    pub max_new_conversations_per_hour: u32,
    /// Conversations that two users may begin with each other in an hour
    #[arg(long, env = "MAX_NEW_CONVERSATIONS_PER_PAIR_PER_HOUR", default_value_t = 20, global = true)]
    pub max_new_conversations_per_pair_per_hour: u32,
    /// Other changes a second of one user: edit, delete, react, mark read, open a conversation, block
    #[arg(long, env = "MAX_ACTIONS_PER_SECOND", default_value_t = 50, global = true)]
    pub max_actions_per_second: u32,
    /// Lists and pages a second for one user
    #[arg(long, env = "MAX_READS_PER_SECOND", default_value_t = 100, global = true)]
    pub max_reads_per_second: u32,
    /// How often one message may be edited
    #[arg(long, env = "MAX_EDITS_PER_MESSAGE", default_value_t = 100, global = true)]
    pub max_edits_per_message: u32,
    /// Bytes of messages and edits that one user may have stored
    #[arg(long, env = "MAX_STORED_BYTES_PER_USER", default_value_t = 1 << 30, global = true)]
    pub max_stored_bytes_per_user: u64,
    /// REST requests of one user at a time
    #[arg(long, env = "MAX_REQUESTS_PER_USER", default_value_t = 64, global = true)]
    pub max_requests_per_user: usize,
    /// Bytes of one user's request bodies, or of one address's without a token, that may be on their way at a time
    #[arg(long, env = "BODIES_BYTES_PER_USER", default_value_t = 32 << 20, global = true)]
    pub bodies_bytes_per_user: usize,
    /// Bytes of all request bodies that may be on their way at a time, uploads aside
    #[arg(long, env = "BODIES_BYTES", default_value_t = 128 << 20, global = true)]
    pub bodies_bytes: usize,
    /// Bytes of REST answers to one user that may wait to be read
    #[arg(long, env = "ANSWERS_BYTES_PER_USER", default_value_t = 32 << 20, global = true)]
    pub answers_bytes_per_user: usize,
    /// Bytes of all REST answers that may wait to be read, files aside
    #[arg(long, env = "ANSWERS_BYTES", default_value_t = 256 << 20, global = true)]
    pub answers_bytes: usize,
    /// Proxies whose X-Forwarded-For and X-Forwarded-Host are believed: networks or addresses, separated by commas
    #[arg(long, env = "TRUSTED_PROXIES", value_delimiter = ',', default_value = "127.0.0.0/8,::1", value_parser = network, global = true)]
    pub trusted_proxies: Vec<IpNet>,
}

/// A network, or an address alone.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let found = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    found.map_err(|_| "is neither a network such as 10.0.0.0/8 nor an address".to_owned())
}
