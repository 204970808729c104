//! The handshake: a token becomes a user, or a refusal in the contract's words (§0).

use std::{fmt, sync::Arc};

use serde_json::Value as Json;
use socketioxide::{
    adapter::LocalAdapter,
    handler::{ConnectMiddleware, Value},
    socket::Socket,
};

use super::{SocketState, dispatch::register, session::Session};
use crate::auth::strip_bearer;

/// Why a socket was not let in: the text of the client's `connect_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoToken,
    InvalidToken,
    UserNotFound,
    NotActive,
    Database,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoToken => "No token provided",
            Self::InvalidToken => "Invalid or expired token",
            Self::UserNotFound => "User not found",
            Self::NotActive => "Account not active",
            Self::Database => "Database connection error",
        })
    }
}

/// The middleware that runs before a socket is connected.
#[derive(Clone)]
pub struct Authenticate(pub SocketState);

/// Tells this middleware's implementation apart from the library's for closures.
pub enum ByToken {}

impl ConnectMiddleware<LocalAdapter, ByToken> for Authenticate {
    async fn call<'a>(
        &'a self,
        socket: Arc<Socket<LocalAdapter>>,
        auth: &'a Option<Value>,
    ) -> Result<(), Box<dyn fmt::Display + Send>> {
        let session = self.authenticate(&socket, auth.as_ref()).await.map_err(|refusal| {
            tracing::info!(reason = %refusal, "handshake refused");
            Box::new(refusal) as Box<dyn fmt::Display + Send>
        })?;
        register(&self.0, &socket, session);
        Ok(())
    }
}

impl Authenticate {
    async fn authenticate(&self, socket: &Socket<LocalAdapter>, auth: Option<&Value>) -> Result<Session, Refusal> {
        let token = token_of(auth).or_else(|| {
            let header = socket.req_parts().headers.get("authorization")?.to_str().ok()?;
            Some(header.to_owned())
        });
        let token = token.as_deref().map(strip_bearer).filter(|t| !t.is_empty()).ok_or(Refusal::NoToken)?;
        let user_id = self.0.tokens.verify(token).map_err(|_| Refusal::InvalidToken)?;
        let user = self.0.chat.db().user(user_id).await.map_err(|e| {
            tracing::error!(error = %e, "handshake");
            Refusal::Database
        })?;
        let user = user.ok_or(Refusal::UserNotFound)?;
        if !user.active {
            return Err(Refusal::NotActive);
        }
        Ok(Session::new(user))
    }
}

/// The `token` of the client's `auth` object, if it is a text with something in it.
fn token_of(auth: Option<&Value>) -> Option<String> {
    let auth: Json = serde_json::from_str(auth?.as_str()?).ok()?;
    let token = auth.get("token")?.as_str()?;
    (!token.trim().is_empty()).then(|| token.to_owned())
}
