//! The handshake packed into the one parameter `v`: base64url, without padding, of a JSON object.
//!
//! Upstream reads it, though no SDK in hand sends it. All other parameters and the `compression`
//! header are ignored beside it, and here `isBackground` may be absent.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Said, refused};
use crate::code::WireError;
use crate::go_json::Fields;
use crate::limit::PACKED_BYTES_MAX;

const NAMES: [&str; 9] = [
    "token",
    "userID",
    "platformID",
    "operationID",
    "compression",
    "sdkType",
    "sendResponse",
    "background",
    "sdkVersion",
];

pub(super) fn read(packed: &str) -> Result<Said, WireError> {
    let json = unpack(packed)?;
    Fields::read(&json, NAMES).and_then(|fields| said(&fields)).ok_or(refused("data is not json"))
}

/// `None` if there is no telling.
pub(super) fn wants_text_reply(packed: &str) -> Option<bool> {
    let json = unpack(packed).ok()?;
    Fields::read(&json, ["sendResponse"])?.get("sendResponse")
}

fn unpack(packed: &str) -> Result<Vec<u8>, WireError> {
    if packed.len() > PACKED_BYTES_MAX {
        return Err(refused("data is too long"));
    }
    URL_SAFE_NO_PAD.decode(packed).map_err(|_| refused("data is not base64"))
}

fn said(fields: &Fields<'_, { NAMES.len() }>) -> Option<Said> {
    Some(Said {
        user_id: fields.get("userID")?,
        token: fields.get("token")?,
        platform_id: fields.get("platformID")?,
        operation_id: fields.get("operationID")?,
        is_background: fields.get("background")?,
        gzip: fields.get::<String>("compression")? == "gzip",
        first_text_reply: fields.get("sendResponse")?,
        sdk_type: fields.get("sdkType")?,
        sdk_version: fields.get("sdkVersion")?,
    })
}
