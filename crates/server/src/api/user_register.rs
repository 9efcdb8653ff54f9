//! `/user/user_register`: makes users known by name. A user need not be registered to log in.

use super::call::{Call, Nothing, check_users, unavailable};
use presence::UserId;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashSet;
use store::{Account, Registered};
use wire::code::{Code, WireError};

/// A thousand accounts with all of that are one answer.
const NICKNAME_BYTES_MAX: usize = 256;
const FACE_URL_BYTES_MAX: usize = 1024;
const EX_BYTES_MAX: usize = 4 * 1024;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request {
    /// Maps, because a struct would also be read from an array, by position.
    users: Vec<Map<String, Value>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct User {
    userid: String,
    nickname: String,
    faceurl: String,
    ex: String,
    appmangerlevel: i32,
    globalrecvmsgopt: i32,
}

pub(super) async fn run(call: Call<Request>) -> Result<Nothing, WireError> {
    let record = call.record();
    let users = call.request.users.into_iter().map(|user| {
        let user = serde_json::from_value(Value::Object(user));
        user.map_err(|error| Code::Args.with(format!("body: users: {error}")))
    });
    let users: Vec<User> = users.collect::<Result<_, _>>()?;
    check(&users)?;
    let created_at = call.api.clock.now().wall;
    let account = |user: User| Account {
        user: UserId::new(user.userid),
        nickname: user.nickname,
        face_url: user.faceurl,
        ex: user.ex,
        app_manager_level: user.appmangerlevel,
        global_recv_msg_opt: user.globalrecvmsgopt,
        created_at,
    };
    let accounts: Vec<Account> = users.into_iter().map(account).collect();
    let first = accounts.first().map(|account| account.user.to_string());
    match call.api.store.register(accounts).await.map_err(unavailable)? {
        Registered::All => {
            record.done("users were registered; the first", &first.unwrap_or_default());
            Ok(Nothing {})
        }
        Registered::Already(user) => {
            let text = format!("userID {user} is registered already; nothing was changed");
            Err(Code::RegisteredAlready.with(text))
        }
    }
}

fn check(users: &[User]) -> Result<(), WireError> {
    let names: Vec<String> = users.iter().map(|user| user.userid.clone()).collect();
    check_users("users", &names)?;
    let too_long = |user: &User| {
        [
            ("nickname", &user.nickname, NICKNAME_BYTES_MAX),
            ("faceURL", &user.faceurl, FACE_URL_BYTES_MAX),
            ("ex", &user.ex, EX_BYTES_MAX),
        ]
        .into_iter()
        .find(|(_, text, most)| text.len() > *most)
        .map(|(field, _, most)| format!("has a {field} of more than {most} bytes"))
    };
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.' || c == '@';
    let mut seen = HashSet::new();
    for user in users {
        let User { userid, nickname, .. } = user;
        let too_long = too_long(user);
        let problem = match () {
            () if too_long.is_some() => too_long.as_deref().unwrap_or_default(),
            () if !userid.chars().all(allowed) => "may hold letters, digits and _ - . @ only",
            () if nickname.is_empty() => "has no nickname",
            () if !seen.insert(userid) => "is in the list twice",
            () => continue,
        };
        return Err(Code::Args.with(format!("userID {userid:?} {problem}")));
    }
    Ok(())
}
