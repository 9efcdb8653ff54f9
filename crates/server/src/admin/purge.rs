//! `POST /v1/callbacks/purge`: forgets settled callbacks, those that match.

use super::{
    Admin,
    input::Body,
    matching::{Answer, Filter},
    problem::Problem,
};
use axum::{Json, extract::State};
use std::sync::Arc;

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Body(filter): Body<Filter>,
) -> Result<Json<Answer>, Problem> {
    let (found, more) = Filter::of(filter)?.find(&admin).await?;
    let rows = found.iter().map(|record| record.row).collect();
    Ok(Json(Answer { done: admin.store.purge(rows).await?, in_flight: 0, more }))
}
