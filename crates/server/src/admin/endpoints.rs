//! `GET /v1/endpoints`: how endpoints are doing.

use super::{Admin, problem::Problem};
use crate::callbacks::Endpoint;
use axum::{Json, extract::State};
use presence::{Now, Permit};
use serde::Serialize;
use std::sync::Arc;
use store::{Backlog, EndpointState, Resync};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointView {
    name: String,
    /// `open`, `backing_off`, `probing` (also while it fails at whoever it is told of), `paused`, or
    /// `pausing`: nothing is sent, but that is not stored, and a restart would forget it.
    state: &'static str,
    /// How long it has been failing, in milliseconds.
    failing_for_ms: Option<u64>,
    owed: u64,
    oldest_owed_at: Option<u64>,
    dead: u64,
    /// Things that it was not told and is not right about yet: it is told how they are.
    untold: u64,
    /// Whether it refuses so many users that its refusals are not carried out.
    refusals_held: bool,
    /// Since when and why the App must read who is online to be right again.
    needs_resync: Option<ResyncView>,
}

#[derive(Serialize)]
pub(super) struct ResyncView {
    since: u64,
    why: String,
}

impl From<Resync> for ResyncView {
    fn from(Resync { since, why, .. }: Resync) -> ResyncView {
        ResyncView { since: since.0, why }
    }
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
) -> Result<Json<Vec<EndpointView>>, Problem> {
    let now = admin.clock.now();
    let mut endpoints = Vec::new();
    for endpoint in &admin.endpoints {
        let name = &endpoint.settings.name;
        let (backlog, state) =
            (admin.store.backlog(name).await?, admin.store.endpoint(name).await?);
        endpoints.push(view(endpoint, backlog, state, now));
    }
    Ok(Json(endpoints))
}

fn view(endpoint: &Endpoint, backlog: Backlog, stands: EndpointState, now: Now) -> EndpointView {
    let health = endpoint.health();
    EndpointView {
        name: endpoint.settings.name.to_string(),
        state: match health.permit(now.mono) {
            _ if stands.paused => "paused",
            Permit::Open => "open",
            Permit::Wait(_) => "backing_off",
            Permit::Probe | Permit::Suspect => "probing",
            Permit::Paused => "pausing",
        },
        failing_for_ms: health.failing_since().map(|since| now.mono.0.saturating_sub(since.0)),
        owed: backlog.owed,
        oldest_owed_at: backlog.oldest_at.map(|at| at.0),
        dead: backlog.dead,
        untold: backlog.marks,
        refusals_held: endpoint.refusals().are_too_many(now.mono, endpoint.settings.refusal_limit),
        needs_resync: stands.resync.map(ResyncView::from),
    }
}
