//! The management API, health and metrics. One operation, one file.
//!
//! `/v1` asks for the bearer token; health and metrics do not, since this port is on loopback
//! unless the operator says otherwise. Errors are RFC 9457 problem documents.

mod callback;
mod callbacks;
mod clear_status;
mod diff;
mod endpoints;
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
    callbacks::Endpoint, clock::Clock, driver::Driver, metrics::Metrics, readiness::Readiness,
    supervision::CoreLoops,
};
use axum::{
    Router,
    extract::{Request, State},
    http::header,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
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

/// What the operations share.
#[allow(missing_docs)]
pub struct Admin {
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

async fn authorize(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let said = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = said.and_then(|said| said.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.map_or("", |(_, token)| token);
    // Digests take as long to compare for a good guess as for a bad one.
    if Sha256::digest(token) == Sha256::digest(&admin.token) {
        return next.run(request).await;
    }
    Problem::unauthorized().into_response()
}
