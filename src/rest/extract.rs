//! Extractors whose refusals speak the contract's JSON.

use std::collections::HashMap;

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{header::CONTENT_ENCODING, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use super::{body, state::RestState};
use crate::{
    domain::{ConversationId, MessageId},
    error::{Error, Result},
    limits::{Owner, caller},
    protocol::Payload,
};

/// A JSON body; no body is an empty object. The type that the client declares does not matter: curl's default is a
/// form, and the shop's developers use curl.
pub struct JsonBody(pub Payload);

impl FromRequest<RestState> for JsonBody {
    type Rejection = Response;

    async fn from_request(request: Request, state: &RestState) -> std::result::Result<Self, Response> {
        let encoding = request.headers().get(CONTENT_ENCODING).cloned();
        let mut held = state.limits.bodies.share(caller().map_or(Owner::Address(None), Owner::User));
        let max = state.max_body;
        let body = body::read(request.into_body(), max, &mut held).await.map_err(IntoResponse::into_response)?;
        let body = body::unpack(body, encoding.as_ref(), max, &mut held).map_err(IntoResponse::into_response)?;
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Payload::default()));
        }
        Payload::of_body(&body).map(Self).ok_or_else(super::errors::invalid_json)
    }
}

/// The query string as the same kind of payload that sockets send.
pub struct QueryPayload(pub Payload);

impl FromRequestParts<RestState> for QueryPayload {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &RestState) -> std::result::Result<Self, Self::Rejection> {
        let query = Query::<HashMap<String, String>>::try_from_uri(&parts.uri).map(|q| q.0).unwrap_or_default();
        let fields: Map<String, Value> = query.into_iter().map(|(k, v)| (k, Value::String(v))).collect();
        Ok(Self(Payload::from(Value::Object(fields))))
    }
}

/// The id in the path, of whatever the route is about.
pub struct IdPath(String);

impl IdPath {
    pub fn conversation(&self) -> Result<ConversationId> {
        ConversationId::parse(&self.0).ok_or(Error::ConversationNotFound)
    }

    pub fn message(&self) -> Result<MessageId> {
        MessageId::parse(&self.0).ok_or(Error::MessageNotFound)
    }
}

impl FromRequestParts<RestState> for IdPath {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> std::result::Result<Self, Self::Rejection> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(path.map(|Path(id)| id).unwrap_or_default()))
    }
}
