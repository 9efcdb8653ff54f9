//! `POST /v1/callbacks/purge`: forgets settled callbacks, those that match.

use super::{
    Admin, Noted,
    input::Body,
    matching::{Answer, Filter, TRANSACTION_MAX},
    problem::Problem,
};
use axum::{Extension, Json, extract::State};
use std::sync::Arc;

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Body(filter): Body<Filter>,
) -> Result<(Extension<Noted>, Json<Answer>), Problem> {
    let noted = Filter::shown(filter.as_ref());
    let (found, more) = Filter::of(filter)?.find(&admin).await?;
    let mut answer = Answer { done: 0, in_flight: 0, more };
    for some in found.chunks(TRANSACTION_MAX) {
        let rows = some.iter().map(|record| record.row).collect();
        answer.done += admin.store.purge(rows).await?;
    }
    let noted = format!("{noted}: {} callbacks", answer.done);
    Ok((Extension(Noted(noted)), Json(answer)))
}
