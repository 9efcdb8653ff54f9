//! `/user/get_users_status`: where users are online, for anybody; an invisible user is offline to
//! others.

use super::{
    Api,
    call::{Call, Caller, unavailable},
};
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

/// Where one user is.
#[derive(Serialize)]
pub(super) struct Status {
    #[serde(rename = "userID")]
    user_id: String,
    /// 1: online.
    status: i32,
    #[serde(rename = "platformIDs")]
    platform_ids: Vec<u8>,
}

pub(super) async fn run(call: Call<Request>) -> Result<Answer, WireError> {
    call.check_asked("userIDs", &call.request.userids)?;
    Answer::of(&call.api, &call.caller, call.request.userids).await
}

impl Answer {
    /// The users in this order, as the caller may see them.
    pub(super) async fn of(
        api: &Api,
        caller: &Caller,
        users: Vec<String>,
    ) -> Result<Answer, WireError> {
        let mut status_list = Vec::with_capacity(users.len());
        for user_id in users {
            let user = api.store.load(&UserId::new(user_id.as_str())).await;
            let sight = user.map_err(unavailable)?.value.sight();
            let platform_ids: Vec<u8> = match caller.is(&user_id) {
                true => sight.to_self().map(|platform| platform.id()).collect(),
                false => sight.to_others().map(|platform| platform.id()).collect(),
            };
            let status = i32::from(!platform_ids.is_empty());
            status_list.push(Status { user_id, status, platform_ids });
        }
        Ok(Answer { status_list })
    }
}
