//! `POST /v1/endpoints/{name}/resume`: an endpoint that is paused, or waits after failures, is called
//! again at once.

use super::{Admin, input::Parameter, problem::Problem};
use axum::{extract::State, http::StatusCode};
use std::sync::Arc;

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Parameter(name): Parameter,
) -> Result<StatusCode, Problem> {
    let mut endpoints = admin.endpoints.iter();
    let endpoint = endpoints.find(|endpoint| endpoint.settings.name.as_str() == name);
    let endpoint = endpoint.ok_or_else(|| Problem::not_found(format!("no endpoint {name:?}")))?;
    endpoint.health().resume();
    endpoint.news.notify_one();
    Ok(StatusCode::NO_CONTENT)
}
