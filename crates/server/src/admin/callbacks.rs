//! `GET /v1/callbacks?state=&user=&endpoint=&cursor=&limit=`: callbacks, newest first, with their
//! attempts.

use super::{Admin, PAGE_DEFAULT, PAGE_MAX, input::Params, problem::Problem, view::CallbackView};
use axum::{Json, extract::State};
use presence::UserId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{CallbackQuery, CallbackState};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    state: Option<String>,
    user: Option<String>,
    endpoint: Option<String>,
    cursor: Option<u64>,
    limit: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct Page {
    callbacks: Vec<CallbackView>,
    /// Send it as `cursor` for the next page; absent on the last one.
    cursor: Option<u64>,
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Params(params): Params<Wanted>,
) -> Result<Json<Page>, Problem> {
    let state = params.state.map(|state| {
        let known = "pending, delivered, dead, expired and superseded are known";
        let problem = || Problem::bad_request(format!("state={state}: {known}"));
        CallbackState::parse(&state).ok_or_else(problem)
    });
    let limit = params.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let query = CallbackQuery {
        state: state.transpose()?,
        user: params.user.map(UserId::new),
        endpoint: admin.named(params.endpoint).await?,
        before: params.cursor,
        limit,
    };
    let records = admin.store.callbacks(query).await?;
    let more = records.last().filter(|_| records.len() == limit);
    let cursor = more.map(|record| record.row);
    Ok(Json(Page { cursor, callbacks: records.into_iter().map(CallbackView::from).collect() }))
}
