//! `/healthz`: Herald itself works, whatever becomes of store and App. `/readyz`: it should be sent
//! clients, or why not.

use super::Admin;
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;
use std::sync::Arc;

/// That it answers shows that the runtime works; a core loop that ended ends the process soon.
pub(super) async fn alive(State(admin): State<Arc<Admin>>) -> Response {
    match admin.loops.ended() {
        None => "ok\n".into_response(),
        Some(ended) => (StatusCode::SERVICE_UNAVAILABLE, format!("{ended}\n")).into_response(),
    }
}

pub(super) async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    let reasons = admin.readiness.reasons(admin.store_problem());
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = json!({ "ready": ready, "reasons": reasons });
    if let Some(why) = admin.driver.held() {
        body["gracesHeld"] = why.name().into();
    }
    (status, Json(body)).into_response()
}
