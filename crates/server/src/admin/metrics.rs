//! `GET /metrics`: OpenMetrics text.

use super::{Admin, problem::Problem};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use std::sync::Arc;

pub(super) async fn run(State(admin): State<Arc<Admin>>) -> Result<Response, Problem> {
    let now = admin.clock.now().wall;
    for endpoint in &admin.endpoints {
        let name = &endpoint.settings.name;
        let resync = admin.store.endpoint(name).await?.resync;
        admin.metrics.backlog(name, admin.store.backlog(name).await?, resync.is_some(), now);
        let limit = endpoint.settings.refusal_limit;
        let held = endpoint.refusals().are_too_many(admin.clock.now().mono, limit);
        admin.metrics.refusals_held(name, held);
    }
    admin.metrics.users_online.set(admin.store.users_online().await? as i64);
    let set_aside = admin.store.set_aside_count().await?;
    admin.metrics.rows_set_aside.set(set_aside as i64);
    admin.metrics.store_unavailable.set(admin.store_problem().is_some().into());
    let text = admin.metrics.text().unwrap_or_default();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
