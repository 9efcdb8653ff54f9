//! `/auth/force_logout`: throws a user out on one platform, and denies all tokens issued for it so
//! far. Every platform can be logged out, HarmonyOS too.

use super::call::{Call, Nothing, check_user, unavailable};
use presence::{Event, Kick, Platform, Timestamp, UserId};
use serde::Deserialize;
use wire::{
    code::{Code, WireError},
    token::ISSUED_BACK_S,
};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request {
    platformid: i64,
    userid: String,
}

pub(super) async fn run(call: Call<Request>) -> Result<Nothing, WireError> {
    let record = call.record();
    let Request { platformid, userid } = call.request;
    check_user("userID", &userid)?;
    let no_platform = || Code::Args.with(format!("platformID {platformid} is not 1 to 11"));
    let platform = Platform::from_id(platformid).ok_or_else(no_platform)?;
    let now = call.api.clock.now().wall;
    let until = Timestamp(now.0.saturating_sub(ISSUED_BACK_S.unsigned_abs() * 1000));
    let event = Event::Kicked(Kick::Tokens(platform, until));
    let user = UserId::new(userid);
    call.api.driver.handle(&user, event, Some(call.operation_id)).await.map_err(unavailable)?;
    record.done("a forced logout", user.as_str());
    Ok(Nothing {})
}
