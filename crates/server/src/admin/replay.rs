//! `POST /v1/callbacks/{id}/replay`: tells a settled callback again, and the user's newest after it.

use super::{Admin, input::Parameter, problem::Problem};
use axum::{extract::State, http::StatusCode};
use std::sync::Arc;
use store::{CallbackId, Replayed};

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Parameter(id): Parameter,
) -> Result<StatusCode, Problem> {
    let id: CallbackId = id.parse().map_err(Problem::bad_request)?;
    match admin.store.replay(&id, admin.clock.now().wall).await? {
        Replayed::Queued => {}
        Replayed::Unknown => {
            let text = format!("no callback {id} is settled; one that is pending is sent anyway");
            return Err(Problem::not_found(text));
        }
        Replayed::InFlight => {
            let text = "another callback of this user is being sent; try again in a moment";
            return Err(Problem::conflict(text));
        }
    }
    admin.endpoints.iter().for_each(|endpoint| endpoint.news.notify_one());
    Ok(StatusCode::ACCEPTED)
}
