//! `/user/set_user_status`: Herald's own. Sets or takes back a custom status; for a user without a
//! connection, online brings them online until the lease ends.

use super::call::{Call, Nothing, check_user, unavailable};
use crate::said;
use presence::{Author, Availability, Event, Platform, Timestamp, UserId};
use serde::Deserialize;
use wire::code::{Code, WireError};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request {
    userid: String,
    platformid: i64,
    /// 1: set, 0: take back.
    status: Option<i64>,
    availability: Option<Availability>,
    text: String,
    emoji: String,
    /// Unix milliseconds.
    expireat: Option<u64>,
}

pub(super) async fn run(call: Call<Request>) -> Result<Nothing, WireError> {
    let record = call.record();
    let Call { api, operation_id, caller, request, .. } = call;
    check_user("userID", &request.userid)?;
    caller.must_be(&request.userid)?;
    let user = UserId::new(request.userid.as_str());
    let by = if caller.is_admin() { Author::Admin } else { Author::User };
    let event = event(request, by, api.clock.now().wall)?;
    let outcome = api.driver.handle(&user, event, Some(operation_id)).await.map_err(unavailable)?;
    if outcome.denied.is_some() {
        return Err(Code::NoPermission.with(said::TOO_OFTEN));
    }
    if caller.is_admin() {
        record.done("a status was set or taken back", user.as_str());
    }
    Ok(Nothing {})
}

fn event(request: Request, by: Author, now: Timestamp) -> Result<Event, WireError> {
    let args = |text: String| Err(Code::Args.with(text));
    let Some(platform) = Platform::from_id(request.platformid) else {
        return args(format!("platformID {} is not 1 to 11", request.platformid));
    };
    match request.status {
        Some(1) => {}
        Some(0) => return Ok(Event::StatusCleared { platform: Some(platform) }),
        Some(other) => return args(format!("status {other} is neither 1 (set) nor 0 (take back)")),
        None => return args("status is missing: 1 (set) or 0 (take back)".into()),
    }
    let availability = request.availability.unwrap_or_default();
    let Request { text, emoji, expireat, .. } = request;
    let status = said::status(availability, text, emoji, expireat, now);
    let status = status.map_err(|text| Code::Args.with(text))?;
    Ok(Event::StatusSet { platform, status, by })
}
