//! `/user/get_users_status`: where users are online, for anybody; an invisible user is offline to
//! others.

use super::call::{Call, check_users, unavailable};
use presence::UserId;
use serde::{Deserialize, Serialize};
use wire::code::WireError;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request {
    userids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    status_list: Vec<Status>,
}

#[derive(Serialize)]
struct Status {
    #[serde(rename = "userID")]
    user_id: String,
    /// 1: online.
    status: i32,
    #[serde(rename = "platformIDs")]
    platform_ids: Vec<u8>,
}

pub(super) async fn run(call: Call<Request>) -> Result<Answer, WireError> {
    let users = call.request.userids;
    check_users("userIDs", &users)?;
    let mut status_list = Vec::with_capacity(users.len());
    for user_id in users {
        let user = call.api.store.load(&UserId::new(user_id.as_str())).await;
        let user = user.map_err(unavailable)?.value;
        let sight = user.sight();
        let platform_ids: Vec<u8> = match call.caller.is(&user_id) {
            true => sight.to_self().map(|platform| platform.id()).collect(),
            false => sight.to_others().map(|platform| platform.id()).collect(),
        };
        status_list.push(Status {
            user_id,
            status: i32::from(!platform_ids.is_empty()),
            platform_ids,
        });
    }
    Ok(Answer { status_list })
}
