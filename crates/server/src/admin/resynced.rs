//! `POST /v1/endpoints/{name}/resynced`: its App has read who is online, and is right again.

use super::{Admin, input::Parameter, problem::Problem};
use axum::{extract::State, http::StatusCode};
use std::sync::Arc;
use store::EndpointChange;

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Parameter(name): Parameter,
) -> Result<StatusCode, Problem> {
    let endpoint = admin.endpoint(&name)?;
    let change = EndpointChange::Resynced(admin.clock.now().wall);
    admin.store.change_endpoint(&endpoint.settings.name, change).await?;
    Ok(StatusCode::NO_CONTENT)
}
