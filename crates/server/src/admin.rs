//! The management API, health and metrics. One operation, one file.
//!
//! `/v1` asks for the bearer token; health and metrics do not, since this port is on loopback
//! unless the operator says otherwise. Errors are RFC 9457 problem documents.

mod callback;
mod callbacks;
mod clear_status;
mod diff;
mod endpoints;
mod erase;
mod events;
mod health;
mod input;
mod kick;
mod matching;
mod metrics;
mod online;
mod pause;
mod problem;
mod purge;
mod replay;
mod replay_all;
mod resume;
mod resynced;
mod set_aside;
mod set_status;
mod snapshot;
mod user;
mod users;
mod view;
mod why;

use crate::{
    callbacks::Endpoint,
    clock::Clock,
    driver::Driver,
    guesses::Guesses,
    listener::Proven,
    logging::AUDIT,
    metrics::Metrics,
    peer::{self, Peer},
    readiness::Readiness,
    supervision::CoreLoops,
};
use axum::{
    Router,
    extract::{OriginalUri, Request, State},
    http::{Method, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use presence::ConnId;
use problem::Problem;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use store::{EndpointName, Store};
use tokio::sync::Semaphore;

/// How many rows a page has unless asked otherwise, and at most.
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1_000;

/// How many streams of events may be open.
pub const STREAMS_MAX: usize = events::STREAMS_MAX;

/// Where clients are. The gateway knows it; nobody else does.
pub trait Addresses: Send + Sync + 'static {
    /// The address of an open connection.
    fn address(&self, conn: ConnId) -> Option<Peer>;
}

/// What the operations share.
#[allow(missing_docs)]
pub struct Admin {
    pub addresses: Arc<dyn Addresses>,
    pub store: Arc<dyn Store>,
    pub driver: Arc<Driver>,
    pub endpoints: Vec<Arc<Endpoint>>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub loops: Arc<CoreLoops>,
    /// One permit for each stream of events.
    pub streams: Arc<Semaphore>,
    /// The store's.
    pub epoch: String,
    /// The bearer token.
    pub token: String,
    /// Who sent wrong ones.
    pub guesses: Arc<Guesses>,
}

impl Admin {
    /// Why the store cannot be used, if so: by the last look at it, or by what clients met.
    fn store_problem(&self) -> Option<String> {
        self.readiness.store_problem().or_else(|| self.driver.store_failing())
    }

    /// The endpoint that a filter names: one of the configured ones, or one that was and is still owed or
    /// noted something. Another name is a mistake, not an empty list.
    async fn named(&self, name: Option<String>) -> Result<Option<EndpointName>, Problem> {
        let Some(name) = name else { return Ok(None) };
        match self.endpoint(&name) {
            Ok(endpoint) => Ok(Some(endpoint.settings.name.clone())),
            Err(problem) => {
                let known = self.store.endpoints().await?;
                known.into_iter().find(|one| one.as_str() == name).map(Some).ok_or(problem)
            }
        }
    }

    /// One of the configured endpoints.
    fn endpoint(&self, name: &str) -> Result<&Arc<Endpoint>, Problem> {
        let found = self.endpoints.iter().find(|one| one.settings.name.as_str() == name);
        found.ok_or_else(|| Problem::not_found(format!("no endpoint {name:?}")))
    }
}

/// All routes of the admin port.
pub fn router(admin: Arc<Admin>) -> Router {
    let v1 = Router::new()
        .route("/users", get(users::run))
        .route("/users/{user}", get(user::run))
        .route("/users/{user}/kick", post(kick::run))
        .route("/users/{user}/status", put(set_status::run).delete(clear_status::run))
        .route("/users/{user}/why", get(why::run))
        .route("/users/{user}/data", delete(erase::run))
        .route("/snapshot", get(snapshot::run))
        .route("/diff", post(diff::run))
        .route("/events", get(events::run))
        .route("/callbacks", get(callbacks::run))
        .route("/callbacks/replay", post(replay_all::run))
        .route("/callbacks/purge", post(purge::run))
        .route("/callbacks/{id}", get(callback::run))
        .route("/callbacks/{id}/replay", post(replay::run))
        .route("/endpoints", get(endpoints::run))
        .route("/set-aside", get(set_aside::run))
        .route("/endpoints/{name}/pause", post(pause::run))
        .route("/endpoints/{name}/resume", post(resume::run))
        .route("/endpoints/{name}/resynced", post(resynced::run))
        .route_layer(from_fn_with_state(Arc::clone(&admin), authorize));
    Router::new()
        .nest("/v1", v1)
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::run))
        .with_state(admin)
        .fallback(async || Problem::not_found("there is no such route"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
}

async fn authorize(
    State(admin): State<Arc<Admin>>,
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Response {
    let peer = peer::of(request.extensions());
    let said = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = said.and_then(|said| said.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.map_or("", |(_, token)| token);
    if token.is_empty() {
        return Problem::unauthorized().into_response();
    }
    if let Err(error) = admin.guesses.may_try(peer) {
        return Problem::too_many_requests(error.to_string()).into_response();
    }
    // Digests take as long to compare for a good guess as for a bad one.
    if Sha256::digest(token) != Sha256::digest(&admin.token) {
        admin.guesses.failed(peer, "admin.token");
        return Problem::unauthorized().into_response();
    }
    let reads = request.method() == Method::GET || request.uri().path().ends_with("/diff");
    let what = format!("{} {}", request.method(), uri.path());
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Proven);
    if !reads {
        let about = response.extensions().get().map_or("", |Noted(about): &Noted| about);
        let status = response.status().as_u16();
        tracing::info!(target: AUDIT, who = "management", address = %peer, what, about, status, "management call");
    }
    response
}

/// What a call was about beside its path, for the log.
#[derive(Debug, Clone)]
struct Noted(String);
