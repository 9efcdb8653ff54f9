//! `DELETE /v1/users/{id}/status`: takes a custom status back.

use super::{Admin, input::User, problem::Problem};
use axum::{extract::State, http::StatusCode};
use presence::Event;
use std::sync::Arc;

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    User(user): User,
) -> Result<StatusCode, Problem> {
    let event = Event::StatusCleared { platform: None };
    admin.driver.handle(&user, event, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
