//! `/user/get_users_online_token_detail`: with how many tokens each user is online, for
//! administrators. Users who are offline are left out.

use super::call::{Call, check_users, unavailable};
use presence::{Connection, TokenHash, User, UserId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use wire::code::WireError;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request {
    userids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Detail {
    #[serde(rename = "userID")]
    user_id: String,
    /// Always 1: online.
    status: i32,
    single_platform_token: Vec<OfPlatform>,
}

#[derive(Serialize)]
struct OfPlatform {
    #[serde(rename = "platformID")]
    platform_id: u8,
    /// How many different tokens hold a connection there.
    total: usize,
    /// Always empty: Herald keeps no tokens, only their hashes.
    token: [String; 0],
}

pub(super) async fn run(call: Call<Request>) -> Result<Vec<Detail>, WireError> {
    let users = call.request.userids;
    check_users("userIDs", &users)?;
    let mut details = Vec::new();
    for user_id in users {
        let user = call.api.store.load(&UserId::new(user_id.as_str())).await;
        let user = user.map_err(unavailable)?.value;
        if user.is_online() {
            let single_platform_token = by_platform(&user);
            details.push(Detail { user_id, status: 1, single_platform_token });
        }
    }
    Ok(details)
}

fn by_platform(user: &User) -> Vec<OfPlatform> {
    let mut tokens: BTreeMap<u8, BTreeSet<TokenHash>> = BTreeMap::new();
    for Connection { platform, token, .. } in user.connections() {
        tokens.entry(platform.id()).or_default().insert(*token);
    }
    let of_platform = |(platform_id, tokens): (u8, BTreeSet<_>)| OfPlatform {
        platform_id,
        total: tokens.len(),
        token: [],
    };
    tokens.into_iter().map(of_platform).collect()
}
