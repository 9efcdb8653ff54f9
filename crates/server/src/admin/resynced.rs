//! `POST /v1/endpoints/{name}/resynced?fence=`: its App has read who is online, and is right again.
//!
//! With the fence of the snapshot that it read, what came up later stays: the answer says what, and the App reads
//! another one.

use super::{
    Admin,
    endpoints::ResyncView,
    input::{Parameter, Params},
    problem::Problem,
};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::EndpointChange;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    fence: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StillNeeded {
    needs_resync: ResyncView,
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Parameter(name): Parameter,
    Params(Wanted { fence }): Params<Wanted>,
) -> Result<Response, Problem> {
    let name = &admin.endpoint(&name)?.settings.name;
    let at = admin.clock.now().wall;
    admin.store.change_endpoint(name, EndpointChange::Resynced { at, fence }).await?;
    let resync = admin.store.endpoint(name).await?.resync.filter(|_| fence.is_some());
    Ok(match resync {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(resync) => Json(StillNeeded { needs_resync: resync.into() }).into_response(),
    })
}
