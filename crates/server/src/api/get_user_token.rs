//! `/auth/get_user_token`: a client's token, for the App's backend. Older ones are denied where the
//! login policy would kick their connections.

use super::call::{Call, Token, check_user, unavailable};
use presence::{Platform, UserId};
use serde::Deserialize;
use wire::code::{Code, WireError};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request {
    platformid: i64,
    userid: String,
}

pub(super) async fn run(call: Call<Request>) -> Result<Token, WireError> {
    let record = call.record();
    let Request { platformid, userid: user } = call.request;
    check_user("userID", &user)?;
    let no_platform = || Code::Args.with(format!("platformID {platformid} is not 1 to 11"));
    let platform = Platform::from_id(platformid).ok_or_else(no_platform)?;
    if platform == Platform::Admin || call.api.settings.admin_users.contains(&user) {
        let text = "administrators get their token from /auth/get_admin_token";
        return Err(Code::NoPermission.with(text));
    }
    let user = UserId::new(user);
    let account = call.api.store.accounts(std::slice::from_ref(&user)).await;
    if account.map_err(unavailable)?.iter().all(Option::is_none) {
        let text = format!("user \"{user}\" is not registered; see /user/user_register");
        return Err(Code::RecordNotFound.with(text));
    }
    let token = call.api.issue(&user, platform, call.operation_id).await?;
    record.done("a token was made", user.as_str());
    Ok(token)
}
