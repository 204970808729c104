//! The handshake: a token becomes a user, or a refusal (contract §Connecting).

use std::{fmt, sync::Arc, time::Duration};

use percent_encoding::percent_decode_str;
use socketioxide::{adapter::LocalAdapter, handler::Value, socket::Socket};

use super::{call::Call, state::SocketState};
use crate::{
    auth::{TokenError, strip_bearer},
    domain::User,
    error,
    limits::ClientAddress,
    protocol::{Failure, Payload},
};

/// The delay of refusals to an address that had too many, and of the handshake of a user who was disconnected for flooding.
const SLOWED_BY: Duration = Duration::from_secs(3);

/// Why a socket was not let in: the text of the client's `connect_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoToken,
    InvalidToken(TokenError),
    UserNotFound,
    NotActive,
    TooMany,
    Database,
}

impl Refusal {
    fn code(self) -> &'static str {
        match self {
            Self::NoToken => "token_required",
            Self::InvalidToken(_) => "invalid_token",
            Self::UserNotFound => "user_not_found",
            Self::NotActive => "account_not_active",
            Self::TooMany => "too_many_connections",
            Self::Database => "internal",
        }
    }

    pub fn data(self) -> serde_json::Value {
        let kind = match self {
            Self::TooMany | Self::Database => "server_error",
            _ => "authentication_error",
        };
        let mut data = serde_json::json!({ "type": kind, "code": self.code() });
        match self {
            Self::InvalidToken(TokenError::Expired) => data["reason"] = "Token expired".into(),
            Self::InvalidToken(_) => data["reason"] = "Invalid token".into(),
            _ => {}
        }
        data
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoToken => "No token provided",
            Self::InvalidToken(_) => "Invalid or expired token",
            Self::UserNotFound => "User not found",
            Self::NotActive => "Account not active",
            Self::TooMany => "Too many connections",
            Self::Database => "Database connection error",
        })
    }
}

/// Checks the handshake's token. Returns its user, and the time at which the token expires.
pub async fn admit(
    state: &SocketState,
    socket: &Socket<LocalAdapter>,
    auth: Option<&Value>,
) -> Result<(Arc<User>, i64), Refusal> {
    let request = socket.req_parts();
    let header = || Some(request.headers.get("authorization")?.to_str().ok()?.to_owned());
    let token = token_of(auth).or_else(header).or_else(|| token_in(request.uri.query()?));
    let token = token.as_deref().map(strip_bearer).filter(|t| !t.is_empty()).ok_or(Refusal::NoToken)?;
    let rates = &state.limits.rates;
    let address = request.extensions.get::<ClientAddress>().copied();
    let verified = match state.tokens.verify(token) {
        Ok(verified) => verified,
        Err(e) => {
            if e == TokenError::Invalid && rates.bad_token(address).is_err() {
                tokio::time::sleep(SLOWED_BY).await;
            }
            return Err(Refusal::InvalidToken(e));
        }
    };
    // The user was disconnected for flooding and is back at once.
    if rates.was_flooding(verified.user_id) {
        tokio::time::sleep(SLOWED_BY).await;
    }
    let user = state.chat.users.get(verified.user_id).await.map_err(|_| Refusal::Database)?;
    let user = user.ok_or(Refusal::UserNotFound)?;
    if !user.active {
        // Their sockets cannot come back later either, even once the user is active again: their clients then start anew and
        // fetch the messages that were sent meanwhile.
        state.hub.forget_ghosts(user.id);
        return Err(Refusal::NotActive);
    }
    Ok((user, verified.expires_at))
}

/// The client's `auth` object; empty if it sent none.
pub fn auth_object(auth: Option<&Value>) -> Payload {
    auth.and_then(Value::as_str).map(|auth| Payload::of_event(auth)).unwrap_or_default()
}

/// The `token` of the client's `auth` object, if it is a text with something in it.
fn token_of(auth: Option<&Value>) -> Option<String> {
    let auth = auth_object(auth);
    let token = auth.token()?;
    (!token.trim().is_empty()).then(|| token.to_owned())
}

/// The `token` in the handshake's query, where old mobile clients have it. Queries are never logged.
fn token_in(query: &str) -> Option<String> {
    let token = query.split('&').find_map(|pair| pair.strip_prefix("token="))?;
    // A `+` is a space here, as in `Bearer+…`.
    let token = token.replace('+', " ");
    percent_decode_str(&token).decode_utf8().ok().map(Into::into)
}

/// `chat:authenticate { token }`: a new token of the same user renews the socket's, without a reconnect.
pub async fn renew(call: &mut Call) -> error::Result<()> {
    match renewed(call).await {
        Ok(expires_at) => {
            call.connection.renew(expires_at);
            call.succeed(serde_json::json!({ "expiresAt": expires_at }));
        }
        Err(refusal) => call.fail_with_error(&Failure::with_message(refusal.to_string(), refusal.code())),
    }
    Ok(())
}

async fn renewed(call: &Call) -> Result<i64, Refusal> {
    let token = call.payload.token().map(strip_bearer).filter(|t| !t.is_empty()).ok_or(Refusal::NoToken)?;
    let verified = call.tokens.verify(token).map_err(Refusal::InvalidToken)?;
    if verified.user_id != call.connection.user_id {
        return Err(Refusal::InvalidToken(TokenError::Invalid));
    }
    match call.chat.users.get(verified.user_id).await {
        Ok(Some(user)) if user.active => Ok(verified.expires_at),
        Ok(Some(_)) => Err(Refusal::NotActive),
        Ok(None) => Err(Refusal::UserNotFound),
        Err(_) => Err(Refusal::Database),
    }
}
