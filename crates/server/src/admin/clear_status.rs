//! `DELETE /v1/users/{id}/status`: takes a custom status back. With `platformID` only the place that one of that
//! platform holds.

use super::{
    Admin,
    input::{Params, User},
    problem::Problem,
};
use axum::{extract::State, http::StatusCode};
use presence::{Event, Platform};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(rename = "platformID")]
    platform_id: Option<i64>,
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    User(user): User,
    Params(wanted): Params<Wanted>,
) -> Result<StatusCode, Problem> {
    let platform = wanted.platform_id.map(|id| {
        let unknown = || Problem::bad_request(format!("platformID {id} is not 1 to 11"));
        Platform::from_id(id).ok_or_else(unknown)
    });
    let event = Event::StatusCleared { platform: platform.transpose()? };
    admin.driver.handle(&user, event, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
