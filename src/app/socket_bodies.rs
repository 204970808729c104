//! Limits on the bodies that polling sockets post. Engine.IO reads them and limits their size; the time, the budget and the texts
//! of refusals are those of REST bodies.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use engineioxide::{BodyBounds, BodyBudget, BodyRefused as Refused};
use parking_lot::Mutex;

use crate::{
    config::Config,
    hub::{Hub, Sid},
    limits::{ByteBudget, ClientAddress, HeldBytes, Over, Owner},
    rest::{BodyRefused, json_errors},
};

#[derive(Clone)]
pub struct SocketBodies {
    hub: Arc<Hub>,
    budget: Arc<ByteBudget>,
    within: Duration,
}

impl SocketBodies {
    /// Makes the limits from `config`.
    pub fn new(config: &Config, hub: &Arc<Hub>, budget: &Arc<ByteBudget>) -> Self {
        Self { hub: hub.clone(), budget: budget.clone(), within: Duration::from_secs(config.request_timeout) }
    }

    /// The user whose socket posts, or the address if the user is unknown.
    fn owner(&self, request: &Request) -> Owner {
        let user = session_of(request).and_then(|sid| self.hub.user_of(sid));
        let address = || request.extensions().get::<ClientAddress>().map(|address| address.0);
        user.map_or_else(|| Owner::Address(address()), Owner::User)
    }
}

struct Share(Mutex<Counted>);

struct Counted {
    held: HeldBytes,
    over: Option<Over>,
}

impl BodyBudget for Share {
    fn take(&self, bytes: usize) -> bool {
        let mut counted = self.0.lock();
        counted.over = counted.held.add(bytes).err();
        counted.over.is_none()
    }
}

/// Limits the body of a request to Socket.IO, and writes its refusal.
pub async fn bound(State(bodies): State<SocketBodies>, mut request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.uri().path().starts_with("/socket.io") {
        return next.run(request).await;
    }
    let held = bodies.budget.share(bodies.owner(&request));
    let share = Arc::new(Share(Mutex::new(Counted { held, over: None })));
    request.extensions_mut().insert(BodyBounds { within: bodies.within, budget: share.clone() });
    let response = next.run(request).await;
    match response.extensions().get() {
        None => response,
        Some(Refused::TooLarge) => BodyRefused::TooLarge.into_response(),
        Some(Refused::TooSlow) => json_errors(StatusCode::REQUEST_TIMEOUT.into_response()),
        Some(Refused::NoRoom) => BodyRefused::NoRoom(share.0.lock().over.unwrap_or(Over::All)).into_response(),
    }
}

/// Returns the session that a request to Socket.IO names.
fn session_of(request: &Request) -> Option<Sid> {
    request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix("sid="))?.parse().ok()
}
