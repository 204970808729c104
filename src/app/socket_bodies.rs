//! Bodies that polling sockets post. They are read here, within a time and a budget, before Engine.IO has them: whoever
//! sends one slowly keeps nothing of it waiting there.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::timeout;

use super::http::session_of;
use crate::{
    config::Config,
    hub::{Hub, Sid},
    limits::{ByteBudget, ClientAddress, HeldBytes, Owner},
    rest::{BodyRefused, json_errors, read_body},
};

/// Most bytes of one body before its session is connected to the namespace: a token, and room to spare.
const MAX_BEFORE_CONNECT: usize = 16 << 10;

/// What bodies are measured with.
#[derive(Clone)]
pub struct SocketBodies {
    hub: Arc<Hub>,
    budget: Arc<ByteBudget>,
    max: usize,
    within: Duration,
}

impl SocketBodies {
    /// As `config` has it.
    pub fn new(config: &Config, hub: &Arc<Hub>, budget: &Arc<ByteBudget>) -> Self {
        let within = Duration::from_secs(config.request_timeout);
        Self { hub: hub.clone(), budget: budget.clone(), max: config.max_payload_bytes, within }
    }

    async fn read(&self, sid: Option<Sid>, owner: Owner, body: Body) -> Result<(Bytes, HeldBytes), BodyRefused> {
        let mut held = self.budget.share(owner);
        let is_connected = || sid.is_some_and(|sid| self.hub.user_of(sid).is_some());
        let max = || if is_connected() { self.max } else { self.max.min(MAX_BEFORE_CONNECT) };
        let bytes = read_body(body, max, &mut held).await?;
        Ok((bytes, held))
    }
}

/// Reads the body of a request to Socket.IO.
pub async fn receive(State(bodies): State<SocketBodies>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.uri().path().starts_with("/socket.io") {
        return next.run(request).await;
    }
    let sid = session_of(&request);
    let user = sid.and_then(|sid| bodies.hub.user_of(sid)).map(Owner::User);
    let address = request.extensions().get::<ClientAddress>().map(|address| address.0);
    let owner = user.unwrap_or(Owner::Address(address));
    let (head, body) = request.into_parts();
    match timeout(bodies.within, bodies.read(sid, owner, body)).await {
        Ok(Ok((bytes, _held))) => next.run(Request::from_parts(head, bytes.into())).await,
        Ok(Err(refused)) => refused.into_response(),
        Err(_) => json_errors(StatusCode::REQUEST_TIMEOUT.into_response()),
    }
}
