//! `/auth/get_admin_token`: the secret for an administrator's token.

use super::call::{Call, Token};
use presence::{Platform, UserId};
use serde::Deserialize;
use wire::code::{Code, WireError};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request {
    secret: String,
    userid: String,
}

pub(super) async fn run(call: Call<Request>) -> Result<Token, WireError> {
    let record = call.record();
    let Request { secret, userid: user } = call.request;
    let settings = &call.api.settings;
    let guesses = &call.api.guesses;
    guesses.may_try(call.peer).map_err(|error| Code::NoPermission.with(error.to_string()))?;
    if !same(&secret, settings.secret.expose()) {
        guesses.failed(call.peer, "auth.secret");
        return Err(Code::NoPermission.with("secret invalid"));
    }
    if !settings.admin_users.contains(&user) {
        let text = format!("userID {user:?} is none of auth.admin_users");
        return Err(Code::Args.with(text));
    }
    let admin = UserId::new(user);
    let token = call.api.issue(&admin, Platform::Admin, call.operation_id).await?;
    record.done("an administrator's token was made", admin.as_str());
    Ok(token)
}

/// Takes as long for a good guess as for a bad one.
fn same(said: &str, secret: &str) -> bool {
    use sha2::{Digest, Sha256};
    Sha256::digest(said) == Sha256::digest(secret)
}
