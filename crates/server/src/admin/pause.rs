//! `POST /v1/endpoints/{name}/pause`: nothing is sent to an endpoint until it is resumed, also after a
//! restart. What is on its way is finished; what is owed is kept.

use super::{Admin, input::Parameter, problem::Problem};
use axum::{extract::State, http::StatusCode};
use std::sync::Arc;
use store::EndpointChange;

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Parameter(name): Parameter,
) -> Result<StatusCode, Problem> {
    let endpoint = admin.endpoint(&name)?;
    admin.store.change_endpoint(&endpoint.settings.name, EndpointChange::Paused(true)).await?;
    endpoint.health().pause();
    Ok(StatusCode::NO_CONTENT)
}
