//! The handshake as named parameters, as all known SDKs send it.

use super::query::Query;
use super::{Said, refused};
use crate::code::WireError;

/// Reads what must be a number or a boolean; texts are checked by [`Said::check`].
///
/// A missing `isBackground` is 500 upstream, which SDKs take for our fault and retry. It is theirs.
pub(super) fn read(query: &Query<'_>, compression_header: Option<&str>) -> Result<Said, WireError> {
    let platform_id =
        query.get("platformID").parse().map_err(|_| refused("platformID is not int"))?;
    let first_text_reply = match query.get("isMsgResp") {
        "" => false,
        text => go_bool(text).ok_or(refused("isMsgResp is not bool"))?,
    };
    let is_background = match query.get("isBackground") {
        "" => return Err(refused("isBackground is empty")),
        text => go_bool(text).ok_or(refused("isBackground is not bool"))?,
    };
    Ok(Said {
        user_id: query.get("sendID").to_owned(),
        token: query.get("token").to_owned(),
        platform_id,
        operation_id: query.get("operationID").to_owned(),
        is_background,
        gzip: compression(query, compression_header) == "gzip",
        first_text_reply,
        sdk_type: query.get("sdkType").to_owned(),
        sdk_version: query.get("sdkVersion").to_owned(),
    })
}

pub(super) fn wants_text_reply(query: &Query<'_>) -> bool {
    go_bool(query.get("isMsgResp")).unwrap_or(false)
}

fn compression<'a>(query: &'a Query<'_>, header: Option<&'a str>) -> &'a str {
    match query.get("compression") {
        "" => header.unwrap_or_default(),
        asked => asked,
    }
}

/// Go's `strconv.ParseBool`.
fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}
