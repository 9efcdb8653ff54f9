//! `POST /v1/callbacks/{id}/replay`: tells a settled callback again, and the user's newest after it.

use super::{Admin, problem::Problem};
use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use std::sync::Arc;
use store::CallbackId;

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: CallbackId = id.parse().map_err(Problem::bad_request)?;
    if !admin.store.replay(&id, admin.clock.now().wall).await? {
        let text = format!("no callback {id} is settled; one that is pending is sent anyway");
        return Err(Problem::not_found(text));
    }
    admin.endpoints.iter().for_each(|endpoint| endpoint.news.notify_one());
    Ok(StatusCode::ACCEPTED)
}
