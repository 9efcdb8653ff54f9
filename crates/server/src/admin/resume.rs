//! `POST /v1/endpoints/{name}/resume`: an endpoint that is paused, or waits after failures, is called
//! again at once.

use super::{Admin, input::Parameter, problem::Problem};
use axum::{extract::State, http::StatusCode};
use std::sync::Arc;
use store::EndpointChange;

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Parameter(name): Parameter,
) -> Result<StatusCode, Problem> {
    let endpoint = admin.endpoint(&name)?;
    let change = EndpointChange::Paused(false);
    admin.store.change_endpoint(&endpoint.settings.name, change).await?;
    endpoint.health().resume();
    endpoint.news.notify_one();
    Ok(StatusCode::NO_CONTENT)
}
