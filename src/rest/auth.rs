//! Authenticates a request by `Authorization: Bearer <token>`, or refuses it (contract §Connecting).

use std::sync::Arc;

use axum::{
    Json,
    extract::FromRequestParts,
    http::{StatusCode, header::AUTHORIZATION, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{errors::RestError, state::RestState};
use crate::{
    auth::{TokenError, strip_bearer},
    domain::User,
    error::Error,
    limits::{Kind, RequestShare, note_caller},
};

pub struct Caller(pub Arc<User>);

/// Why a call was not let in.
pub enum Refused {
    /// The token is missing or wrong, or its user does not exist or is not active.
    Unknown(StatusCode, &'static str),
    /// They call too often, or we failed.
    Failed(RestError),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Unknown(status, message) => (status, message),
            Self::Failed(error) => return error.into_response(),
        };
        let (error, code) = match status {
            StatusCode::FORBIDDEN => ("Forbidden", "forbidden"),
            StatusCode::UNAUTHORIZED => ("Unauthorized", "unauthorized"),
            _ => ("Error", "error"),
        };
        (status, Json(json!({ "success": false, "error": error, "message": message, "code": code }))).into_response()
    }
}

impl FromRequestParts<RestState> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> Result<Self, Refused> {
        let refuse = |message| Refused::Unknown(StatusCode::UNAUTHORIZED, message);
        let limits = &state.limits;
        let header = parts.headers.get(AUTHORIZATION).and_then(|h| h.to_str().ok()).unwrap_or_default();
        let verified = state.tokens.verify(strip_bearer(header)).map_err(|e| match e {
            TokenError::Missing => refuse("No token provided"),
            TokenError::Expired => refuse("Token expired"),
            TokenError::Invalid => match limits.rates.bad_token(parts.extensions.get().copied()) {
                Ok(()) => refuse("Invalid token"),
                Err(e) => Refused::Failed(RestError::too_many_attempts(&e)),
            },
        })?;
        let failed = |e: Error| Refused::Failed(e.into());
        let share = parts.extensions.get_or_insert_with(RequestShare::default);
        share.take(limits, verified.user_id).map_err(failed)?;
        note_caller(verified.user_id);
        let kind = parts.extensions.get().copied().unwrap_or(Kind::Action);
        limits.rates.check(kind, verified.user_id).map_err(failed)?;
        let user = state.chat.users.recent(verified.user_id).await.map_err(failed)?;
        let user = user.ok_or_else(|| refuse("User not found"))?;
        if !user.active {
            return Err(Refused::Unknown(StatusCode::FORBIDDEN, "Account is not active"));
        }
        Ok(Self(user))
    }
}
