//! Who is calling: `Authorization: Bearer <token>`, and the refusals of contract §0.

use std::sync::Arc;

use axum::{
    Json,
    extract::FromRequestParts,
    http::{StatusCode, header::AUTHORIZATION, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::RestState;
use crate::{
    auth::{TokenError, strip_bearer},
    domain::User,
};

/// The caller, as the database has them.
pub struct Caller(pub Arc<User>);

/// Why a call was not let in.
pub struct Refused(StatusCode, &'static str);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (error, code) = match self.0 {
            StatusCode::FORBIDDEN => ("Forbidden", "forbidden"),
            StatusCode::UNAUTHORIZED => ("Unauthorized", "unauthorized"),
            _ => ("Internal Server Error", "internal"),
        };
        (self.0, Json(json!({ "success": false, "error": error, "message": self.1, "code": code }))).into_response()
    }
}

impl FromRequestParts<RestState> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> Result<Self, Refused> {
        let refuse = |message| Refused(StatusCode::UNAUTHORIZED, message);
        let header = parts.headers.get(AUTHORIZATION).and_then(|h| h.to_str().ok()).unwrap_or_default();
        let verified = state.tokens.verify(strip_bearer(header)).map_err(|e| {
            refuse(match e {
                TokenError::Missing => "No token provided",
                TokenError::Invalid => "Invalid token",
                TokenError::Expired => "Token expired",
            })
        })?;
        let user = state.chat.db().user(verified.user_id).await.map_err(|e| {
            tracing::error!(error = %e, "authentication");
            Refused(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
        })?;
        let user = user.ok_or_else(|| refuse("User not found"))?;
        if !user.active {
            return Err(Refused(StatusCode::FORBIDDEN, "Account is not active"));
        }
        Ok(Self(Arc::new(user)))
    }
}
