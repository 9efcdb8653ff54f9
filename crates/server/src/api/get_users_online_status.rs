//! `/user/get_users_online_status`: every connection of each user, for administrators.

use super::call::{Call, check_users, unavailable};
use presence::{Connection, UserId};
use serde::{Deserialize, Serialize};
use wire::code::WireError;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request {
    userids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    #[serde(rename = "userID")]
    user_id: String,
    /// 1: online.
    status: i32,
    detail_platform_status: Vec<Detail>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[serde(rename = "platformID")]
    platform_id: u8,
    #[serde(rename = "connID")]
    conn_id: String,
    is_background: bool,
    /// Always empty: Herald keeps no tokens.
    token: &'static str,
}

pub(super) async fn run(call: Call<Request>) -> Result<Vec<Status>, WireError> {
    let users = call.request.userids;
    check_users("userIDs", &users)?;
    let mut statuses = Vec::with_capacity(users.len());
    for user_id in users {
        let user = call.api.store.load(&UserId::new(user_id.as_str())).await;
        let user = user.map_err(unavailable)?.value;
        statuses.push(Status {
            user_id,
            status: i32::from(user.is_online()),
            detail_platform_status: user.connections().iter().map(detail).collect(),
        });
    }
    Ok(statuses)
}

fn detail(connection: &Connection) -> Detail {
    Detail {
        platform_id: connection.platform.id(),
        conn_id: connection.told_id().map(|id| id.to_string()).unwrap_or_default(),
        is_background: connection.background,
        token: "",
    }
}
