//! `/user/get_users_info`: names and faces of registered users; unknown ones are silently missing.

use super::call::{Call, unavailable};
use presence::UserId;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use store::Account;
use wire::code::{Code, WireError};

/// A thousand accounts with all that can be registered.
const ANSWER_BYTES_MAX: usize = 1_000 * 6 * 1024;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request {
    userids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    users_info: Vec<UserInfo>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserInfo {
    #[serde(rename = "userID")]
    user_id: String,
    nickname: String,
    #[serde(rename = "faceURL")]
    face_url: String,
    ex: String,
    create_time: u64,
    /// Spelled so by OpenIM.
    app_manger_level: i32,
    global_recv_msg_opt: i32,
}

pub(super) async fn run(call: Call<Request>) -> Result<Answer, WireError> {
    call.check_asked("userIDs", &call.request.userids)?;
    let Request { userids } = call.request;
    let users = each_once(&userids);
    let accounts = call.api.store.accounts(&users).await.map_err(unavailable)?;
    let accounts: Vec<Account> = accounts.into_iter().flatten().collect();
    // Those of an older version may be of any length.
    let bytes: usize =
        accounts.iter().map(|a| a.nickname.len() + a.face_url.len() + a.ex.len()).sum();
    if bytes > ANSWER_BYTES_MAX {
        let text =
            format!("these accounts are {bytes} bytes, {ANSWER_BYTES_MAX} at most; ask for fewer");
        return Err(Code::Args.with(text));
    }
    let mut users_info: Vec<UserInfo> = accounts.into_iter().map(info).collect();
    // A user who logged in without being registered still is somebody: SDKs need an entry for
    // themselves, or their sync fails.
    if users_info.is_empty() && users.len() == 1 && call.caller.is(&userids[0]) {
        users_info.push(nameless(&userids[0]));
    }
    Ok(Answer { users_info })
}

/// In the order in which they are named first.
fn each_once(userids: &[String]) -> Vec<UserId> {
    let mut named = HashSet::new();
    let once = userids.iter().filter(|user| named.insert(user.as_str()));
    once.map(|user| UserId::new(user.as_str())).collect()
}

fn info(account: Account) -> UserInfo {
    UserInfo {
        user_id: account.user.to_string(),
        nickname: account.nickname,
        face_url: account.face_url,
        ex: account.ex,
        create_time: account.created_at.0,
        app_manger_level: account.app_manager_level,
        global_recv_msg_opt: account.global_recv_msg_opt,
    }
}

fn nameless(user: &str) -> UserInfo {
    let (face_url, ex) = Default::default();
    let (user_id, nickname) = (user.to_owned(), user.to_owned());
    let (create_time, app_manger_level, global_recv_msg_opt) = (0, 0, 0);
    UserInfo { user_id, nickname, face_url, ex, create_time, app_manger_level, global_recv_msg_opt }
}
