//! `POST /v1/callbacks/replay`: tells settled callbacks again, those that match; after them how things are.

use super::{
    Admin, Noted,
    input::Body,
    matching::{Answer, Filter, TRANSACTION_MAX},
    problem::Problem,
};
use crate::callbacks::scopes;
use axum::{Extension, Json, extract::State};
use std::sync::Arc;
use store::Replay;

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Body(filter): Body<Filter>,
) -> Result<(Extension<Noted>, Json<Answer>), Problem> {
    let noted = Filter::shown(filter.as_ref());
    let (found, more) = Filter::of(filter)?.find(&admin).await?;
    let mut answer = Answer { done: 0, in_flight: 0, more };
    for some in found.chunks(TRANSACTION_MAX) {
        let ids = some.iter().map(|record| record.id.clone()).collect();
        let (scopes, at) = (scopes(&admin.endpoints), admin.clock.now().wall);
        let replayed = admin.store.replay(Replay { ids, scopes, at }).await?;
        answer.done += replayed.queued;
        answer.in_flight += replayed.in_flight;
    }
    admin.endpoints.iter().for_each(|endpoint| endpoint.news.notify_one());
    let noted = format!("{noted}: {} callbacks", answer.done);
    Ok((Extension(Noted(noted)), Json(answer)))
}
