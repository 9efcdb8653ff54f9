//! `POST /v1/callbacks/{id}/replay`: tells a settled callback again, and after it how things are, unless
//! it is the user's last word.

use super::{Admin, input::Parameter, problem::Problem};
use crate::callbacks::scopes;
use axum::{extract::State, http::StatusCode};
use std::sync::Arc;
use store::{CallbackId, Replay};

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Parameter(id): Parameter,
) -> Result<StatusCode, Problem> {
    let id: CallbackId = id.parse().map_err(Problem::bad_request)?;
    let (ids, at) = (vec![id.clone()], admin.clock.now().wall);
    let replay = Replay { ids, scopes: scopes(&admin.endpoints), at };
    let replayed = admin.store.replay(replay).await?;
    if replayed.unknown > 0 {
        let text = format!("no callback {id} is settled; one that is pending is sent anyway");
        return Err(Problem::not_found(text));
    }
    if replayed.in_flight > 0 {
        let text = "another callback of this user is being sent; try again in a moment";
        return Err(Problem::conflict(text));
    }
    admin.endpoints.iter().for_each(|endpoint| endpoint.news.notify_one());
    Ok(StatusCode::ACCEPTED)
}
