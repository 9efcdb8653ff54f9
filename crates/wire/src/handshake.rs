//! What a client says of itself in the URL of its upgrade request.
//!
//! Two forms exist: named parameters (`classic`), which every SDK sends, and one parameter `v`
//! (`packed`), which wins if it is there. Both end in the same checks, in upstream's order. The
//! token is not looked into; that is [`crate::token`].

mod classic;
mod packed;
mod query;

use std::fmt;

use self::query::Query;
use crate::code::{Code, WireError};
use crate::frame::{Codec, Encoding};
use crate::limit::{OPERATION_ID_BYTES_MAX, SDK_VERSION_BYTES_MAX, USER_ID_BYTES_MAX, cut};
use crate::platform::Platform;

/// A client that said everything it has to; nothing of it is proven yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Handshake {
    pub user_id: String,
    pub token: String,
    pub platform: Platform,
    pub operation_id: String,
    pub is_background: bool,
    pub codec: Codec,
    /// The client waits for an [`crate::envelope`] in a text frame before anything else; a refusal
    /// must reach it that way too.
    pub first_text_reply: bool,
    pub sdk_version: String,
}

/// A refused handshake and the form in which its client can read why.
#[derive(Debug, PartialEq, Eq)]
pub struct HandshakeError {
    pub error: WireError,
    /// Complete the upgrade and send the refusal as a text frame: a browser cannot see a body.
    pub as_text: bool,
}

/// Reads the query of an upgrade request, without its `?`, and its `compression` header.
pub fn read(query: &str, compression_header: Option<&str>) -> Result<Handshake, HandshakeError> {
    let query = Query::parse(query);
    let said = match query.get("v") {
        "" => classic::read(&query, compression_header),
        packed => packed::read(packed),
    };
    said.and_then(Said::check)
        .map_err(|error| HandshakeError { error, as_text: reads_text(&query) })
}

/// Upstream only knows this after reading everything, so its browsers never learn what was wrong
/// with a parameter. We look for the wish itself, however broken the rest is.
fn reads_text(query: &Query<'_>) -> bool {
    let packed = match query.get("v") {
        "" => None,
        packed => packed::wants_text_reply(packed),
    };
    packed.unwrap_or_else(|| classic::wants_text_reply(query))
}

/// What either form says, before the checks that both share.
struct Said {
    user_id: String,
    token: String,
    platform_id: i64,
    operation_id: String,
    is_background: bool,
    gzip: bool,
    first_text_reply: bool,
    sdk_type: String,
    sdk_version: String,
}

impl Said {
    fn check(self) -> Result<Handshake, WireError> {
        check_text("operationID", &self.operation_id)?;
        check_token(&self.token)?;
        check_text("sendID", &self.user_id)?;
        if self.user_id.len() > USER_ID_BYTES_MAX {
            return Err(refused("sendID is too long"));
        }
        let platform =
            Platform::from_id(self.platform_id).ok_or(refused("platformID is invalid"))?;
        let encoding = encoding(&self.sdk_type)?;
        Ok(Handshake {
            user_id: self.user_id,
            token: self.token,
            platform,
            operation_id: cut(&self.operation_id, OPERATION_ID_BYTES_MAX).to_owned(),
            is_background: self.is_background,
            codec: Codec { encoding, gzip: self.gzip },
            first_text_reply: self.first_text_reply,
            sdk_version: cut(&self.sdk_version, SDK_VERSION_BYTES_MAX).to_owned(),
        })
    }
}

/// Both texts go on into logs, headers and keys, where a control character does harm.
fn check_text(name: &str, text: &str) -> Result<(), WireError> {
    if text.is_empty() {
        return Err(refused(&format!("{name} is empty")));
    }
    if text.contains(char::is_control) {
        return Err(refused(&format!("{name} contains a control character")));
    }
    Ok(())
}

fn check_token(token: &str) -> Result<(), WireError> {
    if token.is_empty() {
        return Err(refused("token is empty"));
    }
    // Whether it is a good one, and not too long to be one, is for `token::Keys` to say.
    Ok(())
}

fn encoding(sdk_type: &str) -> Result<Encoding, WireError> {
    match sdk_type {
        "" | "go" => Ok(Encoding::Gob),
        "js" => Ok(Encoding::Json),
        _ => Err(refused("sdkType is invalid")),
    }
}

fn refused(detail: &str) -> WireError {
    Code::ConnArgs.with(detail)
}

/// Leaves the token out, so that no log can show it.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("user_id", &self.user_id)
            .field("platform", &self.platform)
            .field("operation_id", &self.operation_id)
            .field("is_background", &self.is_background)
            .field("codec", &self.codec)
            .field("first_text_reply", &self.first_text_reply)
            .field("sdk_version", &self.sdk_version)
            .finish_non_exhaustive()
    }
}
