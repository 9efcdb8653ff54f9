//! `PUT|DELETE /v1/users/{id}/status`: sets or takes back a custom status.

use super::{Admin, problem::Problem};
use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use presence::{Availability, Event, Platform, Status, Timestamp, UserId};
use serde::Deserialize;
use std::sync::Arc;

/// The place that a user without a connection takes, unless the request names one.
const PLATFORM_DEFAULT: Platform = Platform::Web;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Request {
    #[serde(rename = "platformID")]
    platform_id: Option<i64>,
    availability: Availability,
    text: Box<str>,
    emoji: Box<str>,
    /// Unix milliseconds.
    #[serde(rename = "expireAt")]
    expire_at: Option<u64>,
}

pub(super) async fn set(
    State(admin): State<Arc<Admin>>,
    Path(user): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("body: {error}")))?;
    let platform = match request.platform_id {
        None => PLATFORM_DEFAULT,
        Some(id) => Platform::from_id(id)
            .ok_or_else(|| Problem::bad_request(format!("platformID {id} is not 1 to 11")))?,
    };
    let status = Status {
        availability: request.availability,
        text: request.text,
        emoji: request.emoji,
        expires_at: request.expire_at.map(Timestamp),
    };
    let event = Event::StatusSet { platform, status };
    admin.driver.handle(&UserId::new(user), event, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn clear(
    State(admin): State<Arc<Admin>>,
    Path(user): Path<String>,
) -> Result<StatusCode, Problem> {
    let event = Event::StatusCleared { platform: None };
    admin.driver.handle(&UserId::new(user), event, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
