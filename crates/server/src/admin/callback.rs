//! `GET /v1/callbacks/{id}`: one callback with its attempts.

use super::{Admin, input::Parameter, problem::Problem, view::CallbackView};
use axum::{Json, extract::State};
use std::sync::Arc;
use store::CallbackId;

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Parameter(id): Parameter,
) -> Result<Json<CallbackView>, Problem> {
    let id: CallbackId = id.parse().map_err(Problem::bad_request)?;
    let record = admin.store.callback(&id).await?;
    let record = record.ok_or_else(|| Problem::not_found(format!("no callback {id} is known")))?;
    Ok(Json(record.into()))
}
