//! `/user/account_check`: which users are registered, in the order asked for.

use super::call::{Call, check_users, unavailable};
use presence::UserId;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use wire::code::{Code, WireError};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request {
    checkuserids: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Answer {
    results: Vec<Checked>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checked {
    #[serde(rename = "userID")]
    user_id: String,
    /// 1: registered.
    account_status: i32,
}

pub(super) async fn run(call: Call<Request>) -> Result<Answer, WireError> {
    let users = call.request.checkuserids;
    check_users("checkUserIDs", &users)?;
    let mut seen = HashSet::new();
    if let Some(twice) = users.iter().find(|user| !seen.insert(user.as_str())) {
        return Err(Code::Args.with(format!("checkUserIDs names {twice:?} twice")));
    }
    let names: Vec<UserId> = users.iter().map(|user| UserId::new(user.as_str())).collect();
    let accounts = call.api.store.accounts(&names).await.map_err(unavailable)?;
    let results = users.into_iter().zip(accounts).map(|(user_id, account)| Checked {
        user_id,
        account_status: i32::from(account.is_some()),
    });
    Ok(Answer { results: results.collect() })
}
