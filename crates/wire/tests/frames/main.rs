//! Frames as no SDK sends them: each is refused with a reason, and none panics, hangs or grows.
//!
//! [`gob`], [`json`] and [`gzip`] hold a table each. Here is what all frames have in common.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod gob;
mod gzip;
mod json;

use expect_test::{Expect, expect};
use wire::code::Code;
use wire::frame::{Codec, Request, Response};
use wire::identifier;
use wire::limit::FRAME_BYTES_MAX;

/// The tests' usual request.
fn request() -> Request {
    Request {
        identifier: identifier::GET_NEWEST_SEQ,
        send_id: "u1".into(),
        operation_id: "op1".into(),
        msg_incr: "u1_op1".into(),
        data: b"\x0a\x02u1".to_vec(),
    }
}

/// Decodes each frame and shows, beside its name, what it says or why it is refused.
fn check(codec: Codec, frames: &[(&str, Vec<u8>)], expected: Expect) {
    let outcome = |frame: &[u8]| match codec.decode(frame, FRAME_BYTES_MAX) {
        Ok(r) => format!(
            "{} send={} op={} incr={} data={:?}",
            r.identifier, r.send_id, r.operation_id, r.msg_incr, r.data
        ),
        Err(error) => error.to_string(),
    };
    let rows: Vec<_> =
        frames.iter().map(|(name, frame)| format!("{name}: {}", outcome(frame))).collect();
    expected.assert_eq(&rows.join("\n"));
}

#[test]
fn a_changed_byte_may_change_a_request_but_never_panics() {
    let frames = [
        (gob::GOB, gob::whole()),
        (gzip::GOB_GZIP, gzip::pack(&gob::whole())),
        (json::JSON, json::WHOLE.to_vec()),
    ];
    for (codec, frame) in frames {
        assert_eq!(codec.decode(&frame, FRAME_BYTES_MAX), Ok(request()));
        for (at, byte) in (0..frame.len()).flat_map(|at| (0..=255).map(move |byte| (at, byte))) {
            let mut broken = frame.clone();
            broken[at] = byte;
            let _ = codec.decode(&broken, FRAME_BYTES_MAX);
        }
    }
}

#[test]
fn an_answer_echoes_its_request_and_a_push_echoes_nothing() {
    let data = b"d".to_vec();
    let answers = [
        request().answer(data),
        request().refusal(&Code::NoPermission.with("stays here")),
        Response::push(identifier::KICK_ONLINE, vec![]),
    ];
    let texts = answers.map(|answer| String::from_utf8(json::JSON.encode(&answer)).unwrap());
    expect![[r#"
        {"reqIdentifier":1001,"msgIncr":"u1_op1","operationID":"op1","errCode":0,"errMsg":"","data":"ZA=="}
        {"reqIdentifier":1001,"msgIncr":"u1_op1","operationID":"op1","errCode":1002,"errMsg":"NoPermissionError","data":""}
        {"reqIdentifier":2002,"msgIncr":"","operationID":"","errCode":0,"errMsg":"","data":""}"#]].assert_eq(&texts.join("\n"));
}
