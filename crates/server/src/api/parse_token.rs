//! `/auth/parse_token`: what a token says, or why it is not good.

use super::call::Call;
use serde::{Deserialize, Serialize};
use wire::code::WireError;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request {
    token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    #[serde(rename = "userID")]
    user_id: String,
    #[serde(rename = "platformID")]
    platform_id: i64,
    /// Here, unlike elsewhere, the unix time of expiry.
    expire_time_seconds: i64,
}

pub(super) async fn run(call: Call<Request>) -> Result<Answer, WireError> {
    let claims = call.api.tokens.read_good(&call.request.token).await?;
    Ok(Answer {
        user_id: claims.user_id,
        platform_id: claims.platform_id,
        expire_time_seconds: claims.expires_at,
    })
}
