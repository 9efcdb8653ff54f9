//! `/user/get_subscribe_users_status`: whom the caller's connections watch, and where those are. In
//! OpenIM the answer is always empty (D23).

use super::{
    call::{Call, check_user},
    get_users_status, subscribe_users_status,
};
use presence::UserId;
use serde::Deserialize;
use std::collections::BTreeSet;
use wire::code::WireError;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request {
    userid: String,
}

pub(super) async fn run(call: Call<Request>) -> Result<get_users_status::Answer, WireError> {
    let Call { api, caller, request, .. } = call;
    check_user("userID", &request.userid)?;
    caller.must_be(&request.userid)?;
    let user = UserId::new(request.userid);
    let connections = subscribe_users_status::connections(&api, &caller, &user).await?;
    let watched = connections.into_iter().flat_map(|conn| api.watching.watched(conn));
    let watched: BTreeSet<String> = watched.map(|whom| whom.to_string()).collect();
    api.check_pace(&caller, watched.len())?;
    get_users_status::Answer::of(&api, &caller, watched.into_iter().collect()).await
}
