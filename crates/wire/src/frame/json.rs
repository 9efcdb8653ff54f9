//! Frames of the JS SDK: JSON, though in binary frames. `data` is standard base64 with padding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::{FrameError, Request, Response};
use crate::go_json::Fields;

const NAMES: [&str; 5] = ["reqIdentifier", "sendID", "operationID", "msgIncr", "data"];

pub(super) fn decode(frame: &[u8]) -> Result<Request, FrameError> {
    let fields =
        Fields::read(frame, NAMES).ok_or(FrameError::Malformed("frame is not a JSON object"))?;
    let text = |name, otherwise| fields.get(name).ok_or(FrameError::Malformed(otherwise));
    let data: String = text("data", "data is not a string")?;
    Ok(Request {
        identifier: fields
            .get("reqIdentifier")
            .ok_or(FrameError::Malformed("reqIdentifier is not a 32-bit integer"))?,
        send_id: text("sendID", "sendID is not a string")?,
        operation_id: text("operationID", "operationID is not a string")?,
        msg_incr: text("msgIncr", "msgIncr is not a string")?,
        data: STANDARD.decode(data).map_err(|_| FrameError::Malformed("data is not base64"))?,
    })
}

/// Keys in upstream's order. No data is `""`: the JS SDK reads that and upstream's `null` alike.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    req_identifier: i32,
    msg_incr: &'a str,
    #[serde(rename = "operationID")]
    operation_id: &'a str,
    err_code: i32,
    err_msg: &'a str,
    data: String,
}

pub(super) fn encode(response: &Response) -> Vec<u8> {
    let answer = Answer {
        req_identifier: response.identifier,
        msg_incr: &response.msg_incr,
        operation_id: &response.operation_id,
        err_code: response.err_code,
        err_msg: &response.err_msg,
        data: STANDARD.encode(&response.data),
    };
    serde_json::to_vec(&answer).expect("strings and numbers are JSON")
}
