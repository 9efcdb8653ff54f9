//! Frames recorded from the real SDKs (`fixtures/`) are understood, and what we write is what those
//! SDKs accepted, byte for byte once it is unzipped.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use wire::code::Code;
use wire::envelope;
use wire::frame::{Codec, Encoding, Request, Response};
use wire::heartbeat::{self, Heartbeat};
use wire::limit::FRAME_BYTES_MAX;
use wire::message::*;

#[test]
fn every_recorded_frame_is_understood_or_written_alike() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    let mut seen = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        check(&Recorded(serde_json::from_str(&text).unwrap()));
        seen += 1;
    }
    assert_eq!(seen, 63);
}

fn check(recorded: &Recorded) {
    match (recorded.text("frame"), recorded.text("direction")) {
        ("http-upgrade", "c2s") => check_handshake(recorded),
        ("text", "c2s") => check_ping(recorded),
        ("text", "s2c") => check_text(recorded),
        ("binary", "c2s") => check_request(recorded),
        ("binary", "s2c") => check_response(recorded),
        other => panic!("{}: {other:?}", recorded.name()),
    }
}

fn check_handshake(recorded: &Recorded) {
    let target = recorded.0["decoded"]["requestTarget"].as_str().unwrap();
    let handshake = wire::handshake::read(&target[2..], None).unwrap();
    let said = |name: &str| recorded.0["decoded"]["query"][name].as_str().unwrap_or_default();
    assert_eq!(handshake.user_id, said("sendID"));
    assert_eq!(handshake.token, said("token"));
    assert_eq!(handshake.platform.id().to_string(), said("platformID"));
    assert_eq!(handshake.operation_id, said("operationID"));
    assert_eq!(handshake.is_background.to_string(), said("isBackground"));
    assert_eq!(handshake.first_text_reply.to_string(), said("isMsgResp"));
    assert_eq!(handshake.codec.gzip, said("compression") == "gzip");
    assert_eq!(handshake.codec.encoding == Encoding::Json, said("sdkType") == "js");
}

fn check_ping(recorded: &Recorded) {
    let text = String::from_utf8(recorded.bytes("hex")).unwrap();
    let Ok(Heartbeat::Ping(body)) = heartbeat::read(&text) else { panic!("{}", recorded.name()) };
    let body = body.map(|body| serde_json::from_str::<Value>(body.get()).unwrap());
    assert_eq!(body.unwrap_or_default(), recorded.0["decoded"]["body"]);
}

fn check_text(recorded: &Recorded) {
    let decoded = &recorded.0["decoded"];
    let written = match recorded.name().split_once('.').unwrap().1 {
        "first_reply" => envelope::SUCCESS.to_owned(),
        "text_pong" => {
            heartbeat::pong(Some(&serde_json::value::to_raw_value(&decoded["body"]).unwrap()))
        }
        "refused_text" => {
            let codes = [Code::TokenMalformed, Code::TokenKicked];
            let code = codes.into_iter().find(|code| decoded["errCode"] == code.number()).unwrap();
            envelope::refusal(&code.with(decoded["errDlt"].as_str().unwrap()))
        }
        other => panic!("{other}"),
    };
    assert_eq!(written.as_bytes(), recorded.bytes("hex"), "{}", recorded.name());
}

fn check_request(recorded: &Recorded) {
    let request = recorded.codec().decode(&recorded.bytes("wire_hex"), FRAME_BYTES_MAX).unwrap();
    let expected = Request {
        identifier: recorded.number("reqIdentifier"),
        send_id: recorded.field("sendID"),
        operation_id: recorded.field("operationID"),
        msg_incr: recorded.field("msgIncr"),
        data: recorded.data(),
    };
    assert_eq!(request, expected, "{}", recorded.name());
    check_message(recorded, &request.data);
}

fn check_response(recorded: &Recorded) {
    let response = Response {
        identifier: recorded.number("reqIdentifier"),
        msg_incr: recorded.field("msgIncr"),
        operation_id: recorded.field("operationID"),
        err_code: recorded.number("errCode"),
        err_msg: recorded.field("errMsg"),
        data: recorded.data(),
    };
    let codec = recorded.codec();
    let frame = codec.encode(&response);
    let plain = if codec.gzip { unzip(&frame) } else { frame };
    assert_eq!(hex(&plain), recorded.with_our_type_id(), "{}", recorded.name());
    check_message(recorded, &response.data);
}

/// The message in `data` says what was recorded, and we would write it the same.
fn check_message(recorded: &Recorded, data: &[u8]) {
    let said = &recorded.0["decoded"]["data"];
    let user_id = || said["userID"].as_str().unwrap().to_owned();
    match recorded.0["decoded"]["dataMessage"].as_str().unwrap_or_default() {
        "" | "msg.GetConversationsHasReadAndMaxSeqReq" => {}
        "sdkws.GetMaxSeqReq" => same(data, GetMaxSeqReq { user_id: user_id() }),
        "sdkws.GetMaxSeqResp" => same(data, GetMaxSeqResp::default()),
        answer if answer.ends_with("Resp") => assert_eq!(data, b"", "{answer}"),
        "sdkws.SetAppBackgroundStatusReq" => {
            let is_background = said["isBackground"].as_bool().unwrap();
            same(data, SetAppBackgroundStatusReq { user_id: user_id(), is_background });
        }
        "push.DelUserPushTokenReq" => {
            let platform_id = said["platformID"].as_i64().unwrap() as i32;
            same(data, DelUserPushTokenReq { user_id: user_id(), platform_id });
        }
        "sdkws.SubUserOnlineStatus" => {
            let ids = |name: &str| serde_json::from_value(said[name].clone()).unwrap();
            let subscribe_user_ids = ids("subscribeUserID");
            let unsubscribe_user_ids = ids("unsubscribeUserID");
            same(data, SubUserOnlineStatus { subscribe_user_ids, unsubscribe_user_ids });
        }
        "sdkws.SubUserOnlineStatusTips" => {
            let subscribers = said["subscribers"].as_array().unwrap().iter().map(elem).collect();
            same(data, SubUserOnlineStatusTips { subscribers });
        }
        other => panic!("{}: {other}", recorded.name()),
    }
}

fn elem(said: &Value) -> SubUserOnlineStatusElem {
    SubUserOnlineStatusElem {
        user_id: said["userID"].as_str().unwrap().to_owned(),
        online_platform_ids: serde_json::from_value(said["onlinePlatformIDs"].clone()).unwrap(),
    }
}

fn same<M: Message + Default + PartialEq + std::fmt::Debug>(data: &[u8], expected: M) {
    assert_eq!(M::decode(data).as_ref(), Ok(&expected));
    assert_eq!(hex(&expected.encode_to_vec()), hex(data));
}

/// One file of `fixtures/`.
struct Recorded(Value);

impl Recorded {
    fn name(&self) -> &str {
        self.text("name")
    }

    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    fn bytes(&self, key: &str) -> Vec<u8> {
        unhex(self.text(key))
    }

    fn codec(&self) -> Codec {
        let encoding = if self.text("encoding") == "json" { Encoding::Json } else { Encoding::Gob };
        Codec { encoding, gzip: self.0["compressed"].as_bool().unwrap() }
    }

    /// Recordings of gob spell field names as Go does, those of JSON in lower camel case.
    fn value(&self, field: &str) -> &Value {
        let frame = self.0["decoded"]["frame"].as_object().unwrap();
        frame.iter().find(|(key, _)| key.eq_ignore_ascii_case(field)).map_or(&Value::Null, |f| f.1)
    }

    fn field(&self, name: &str) -> String {
        self.value(name).as_str().unwrap_or_default().to_owned()
    }

    fn number(&self, name: &str) -> i32 {
        self.value(name).as_i64().unwrap_or_default() as i32
    }

    fn data(&self) -> Vec<u8> {
        let text = self.field("data");
        match self.codec().encoding {
            Encoding::Json => STANDARD.decode(text).unwrap(),
            Encoding::Gob => unhex(&text),
        }
    }

    /// Go 1.19 gives the type the id 65, two bytes long when negated; we give it 64.
    fn with_our_type_id(&self) -> String {
        let hex = self.text("hex");
        if self.text("client") == "go" {
            return hex.replace("60ff81", "5f7f").replace("ff82", "ff80");
        }
        hex.to_owned()
    }
}

fn unzip(frame: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(frame).read_to_end(&mut plain).unwrap();
    plain
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}
