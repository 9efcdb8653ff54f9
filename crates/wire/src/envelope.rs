//! The JSON around all answers that are not binary frames: `{"errCode","errMsg","errDlt","data"?}`.
//!
//! REST answers, refused handshakes and the first text frame of a browser all use it. Nothing here
//! decides between HTTP and a text frame; see [`crate::handshake::HandshakeError::as_text`].

use serde::Serialize;

use crate::code::{Code, WireError};
use crate::limit::{REFUSAL_BYTES_MAX, cut};

/// Success without data; as a text frame it is what browsers wait for after the 101.
pub const SUCCESS: &str = r#"{"errCode":0,"errMsg":"","errDlt":""}"#;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, T> {
    err_code: i32,
    err_msg: &'a str,
    err_dlt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a T>,
}

/// Success with data. Data that JSON cannot express becomes a 500, as it would upstream.
pub fn success_with<T: Serialize>(data: &T) -> String {
    let envelope = Envelope { err_code: 0, err_msg: "", err_dlt: "", data: Some(data) };
    serde_json::to_string(&envelope)
        .unwrap_or_else(|error| refusal(&Code::ServerInternal.with(error.to_string())))
}

/// The longest `errMsg`, in bytes; a longer one loses its end.
const MESSAGE_BYTES_MAX: usize = 128;

/// A refusal of at most [`REFUSAL_BYTES_MAX`] bytes; a longer detail loses its end.
pub fn refusal(error: &WireError) -> String {
    let detail = cut(&error.detail, REFUSAL_BYTES_MAX);
    let message = cut(error.message(), MESSAGE_BYTES_MAX);
    let whole = write(error.code, message, detail);
    let excess = whole.len().saturating_sub(REFUSAL_BYTES_MAX);
    if excess == 0 {
        return whole;
    }
    // A byte of detail takes at least one byte of JSON, so one cut is always enough.
    write(error.code, message, cut(detail, detail.len().saturating_sub(excess)))
}

fn write(code: Code, message: &str, detail: &str) -> String {
    let envelope =
        Envelope::<()> { err_code: code.number(), err_msg: message, err_dlt: detail, data: None };
    serde_json::to_string(&envelope).expect("two strings and a number are JSON")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use expect_test::expect;

    use super::*;

    #[test]
    fn the_keys_come_in_upstreams_order_and_data_only_when_there_is_some() {
        let texts = [
            refusal(&Code::TokenKicked.with("")),
            refusal(&Code::TokenKicked.with("until Monday").in_words("banned")),
            refusal(&Code::ConnArgs.with("sendID is empty")),
            success_with(&["a"]),
            success_with(&HashMap::from([([1u8], 2)])),
        ];
        expect![[r#"
            {"errCode":1506,"errMsg":"TokenKickedError","errDlt":""}
            {"errCode":1506,"errMsg":"banned","errDlt":"until Monday"}
            {"errCode":1602,"errMsg":"args err, need token, sendID, platformID","errDlt":"sendID is empty"}
            {"errCode":0,"errMsg":"","errDlt":"","data":["a"]}
            {"errCode":500,"errMsg":"ServerInternalError","errDlt":"key must be a string"}"#]]
        .assert_eq(&texts.join("\n"));
    }

    #[test]
    fn a_refusal_fits_the_go_sdk_however_long_its_detail() {
        for detail in ["x".repeat(1 << 20), "é".repeat(2000), "\0".repeat(900), "\"".repeat(700)] {
            let error = Code::ConnArgs.with(detail.as_str()).in_words(detail.as_str());
            let text = refusal(&error);
            assert!(text.len() <= REFUSAL_BYTES_MAX, "{} bytes", text.len());
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
        let all_of_it = refusal(&Code::ConnArgs.with("x".repeat(1 << 20)));
        assert_eq!(all_of_it.len(), REFUSAL_BYTES_MAX);
    }
}
