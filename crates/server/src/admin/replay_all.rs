//! `POST /v1/callbacks/replay`: tells settled callbacks again, those that match; after each user's the
//! newest of that user.

use super::{
    Admin,
    input::Body,
    matching::{Answer, Filter},
    problem::Problem,
};
use axum::{Json, extract::State};
use std::sync::Arc;
use store::Replayed;

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Body(filter): Body<Filter>,
) -> Result<Json<Answer>, Problem> {
    let (found, more) = Filter::of(filter)?.find(&admin).await?;
    let mut answer = Answer { done: 0, in_flight: 0, more };
    for record in found {
        match admin.store.replay(&record.id, admin.clock.now().wall).await? {
            Replayed::Queued => answer.done += 1,
            Replayed::InFlight => answer.in_flight += 1,
            // It went with another one of its user.
            Replayed::Unknown => {}
        }
    }
    admin.endpoints.iter().for_each(|endpoint| endpoint.news.notify_one());
    Ok(Json(answer))
}
