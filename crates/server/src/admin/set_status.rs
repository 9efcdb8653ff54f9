//! `PUT /v1/users/{id}/status`: sets a custom status.

use super::{
    Admin,
    input::{Body, User},
    problem::Problem,
};
use crate::said;
use axum::{extract::State, http::StatusCode};
use presence::{Author, Availability, Event, Platform, Timestamp};
use serde::Deserialize;
use std::sync::Arc;

/// The place that a user without a connection takes, unless the request names one.
const PLATFORM_DEFAULT: Platform = Platform::Web;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Request {
    #[serde(rename = "platformID")]
    platform_id: Option<i64>,
    availability: Availability,
    text: String,
    emoji: String,
    /// Unix milliseconds.
    #[serde(rename = "expireAt")]
    expire_at: Option<u64>,
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    User(user): User,
    Body(request): Body<Request>,
) -> Result<StatusCode, Problem> {
    let request = request.ok_or_else(|| Problem::bad_request("body: expected a JSON object"))?;
    let event = read(request, admin.clock.now().wall).map_err(Problem::bad_request)?;
    let outcome = admin.driver.handle(&user, event, None).await?;
    if outcome.denied.is_some() {
        return Err(Problem::too_many_requests(said::TOO_OFTEN));
    }
    Ok(StatusCode::NO_CONTENT)
}

fn read(request: Request, now: Timestamp) -> Result<Event, String> {
    let Request { platform_id, availability, text, emoji, expire_at } = request;
    let platform = match platform_id {
        None => PLATFORM_DEFAULT,
        Some(id) => {
            Platform::from_id(id).ok_or_else(|| format!("platformID {id} is not 1 to 11"))?
        }
    };
    let status = said::status(availability, text, emoji, expire_at, now)?;
    Ok(Event::StatusSet { platform, status, by: Author::Admin })
}
