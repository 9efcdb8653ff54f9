//! What holds of every handshake, in either form.

use crate::within;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::collections::BTreeMap;
use wire::{
    envelope,
    frame::Encoding,
    handshake::{self, Handshake},
    limit::{
        OPERATION_ID_BYTES_MAX, PACKED_BYTES_MAX, REFUSAL_BYTES_MAX, SDK_VERSION_BYTES_MAX,
        USER_ID_BYTES_MAX,
    },
};

/// The query of an upgrade request; what follows a line break is its `compression` header.
pub fn check_query(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match text.split_once('\n') {
        Some((query, header)) => read(query, Some(header)),
        None => read(text, None),
    };
}

/// The JSON of a handshake that is packed into the parameter `v`.
pub fn check_packed(json: &[u8]) {
    let packed = URL_SAFE_NO_PAD.encode(json);
    let Some(said) = read(&format!("v={packed}"), None) else { return };
    assert!(packed.len() <= PACKED_BYTES_MAX);
    let again = URL_SAFE_NO_PAD.encode(written_as_json(&said));
    // Names that were absent are written now.
    if again.len() <= PACKED_BYTES_MAX {
        assert_eq!(read(&format!("v={again}"), None), Some(said));
    }
}

/// Reads a query, and the same handshake again from the query that says just that.
fn read(query: &str, compression_header: Option<&str>) -> Option<Handshake> {
    // Nothing in it makes a longer text; it is unescaped in buffers that double, and copied.
    let bytes_max = 8 * query.len() + 4096;
    match within(bytes_max, || handshake::read(query, compression_header)) {
        Ok(said) => {
            check(&said);
            assert_eq!(handshake::read(&written(&said), None).as_ref(), Ok(&said));
            Some(said)
        }
        Err(refused) => {
            let refusal = envelope::refusal(&refused.error);
            assert!(refusal.len() <= REFUSAL_BYTES_MAX);
            serde_json::from_str::<serde_json::Value>(&refusal).unwrap();
            None
        }
    }
}

fn check(said: &Handshake) {
    for (text, bytes_max) in [
        (&said.user_id, USER_ID_BYTES_MAX),
        (&said.operation_id, OPERATION_ID_BYTES_MAX),
        (&said.token, usize::MAX),
    ] {
        assert!(!text.is_empty() && text.len() <= bytes_max);
    }
    assert!(!said.user_id.contains(char::is_control));
    assert!(!said.operation_id.contains(char::is_control));
    assert!(said.sdk_version.len() <= SDK_VERSION_BYTES_MAX);
}

/// The handshake as named parameters.
fn written(said: &Handshake) -> String {
    let fields = fields(said);
    let name_in_a_query = |name| match name {
        "userID" => "sendID",
        "background" => "isBackground",
        "sendResponse" => "isMsgResp",
        same => same,
    };
    let plain = |value: &serde_json::Value| match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    };
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields.iter().map(|(name, value)| (name_in_a_query(name), plain(value))))
        .finish()
}

/// The handshake as the JSON that is packed into `v`.
fn written_as_json(said: &Handshake) -> String {
    serde_json::to_string(&fields(said)).unwrap()
}

fn fields(said: &Handshake) -> BTreeMap<&'static str, serde_json::Value> {
    BTreeMap::from([
        ("token", said.token.as_str().into()),
        ("userID", said.user_id.as_str().into()),
        ("platformID", said.platform.id().into()),
        ("operationID", said.operation_id.as_str().into()),
        ("compression", if said.codec.gzip { "gzip" } else { "" }.into()),
        ("sdkType", if said.codec.encoding == Encoding::Json { "js" } else { "go" }.into()),
        ("sendResponse", said.first_text_reply.into()),
        ("background", said.is_background.into()),
        ("sdkVersion", said.sdk_version.as_str().into()),
    ])
}
