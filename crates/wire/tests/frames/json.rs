//! JSON frames, read by the rules of Go's `encoding/json`.

use expect_test::expect;
use wire::frame::{Codec, Encoding};
use wire::limit::FRAME_BYTES_MAX;

use super::{check, gob};

pub(super) const JSON: Codec = Codec { encoding: Encoding::Json, gzip: false };

pub(super) const WHOLE: &[u8] = br#"{"reqIdentifier":1001,"msgIncr":"u1_op1","sendID":"u1",
    "operationID":"op1","data":"CgJ1MQ=="}"#;

#[test]
fn json_is_read_by_gos_rules() {
    let with = |members: &str| format!(r#"{{"reqIdentifier":1006,{members}}}"#).into_bytes();
    check(
        JSON,
        &[
            ("whole", WHOLE.to_vec()),
            ("any case", with(r#""SendId":"u","MSGINCR":"m""#)),
            ("unknown keys", with(r#""token":"x","more":[{"sendID":1}]"#)),
            ("last of two", with(r#""sendID":"a","sendid":"b""#)),
            ("null data", with(r#""data":null"#)),
            ("no data", with(r#""data":"""#)),
            ("null identifier", b"{\"reqIdentifier\":null}".to_vec()),
            ("empty object", b"{}".to_vec()),
            ("empty", b"".to_vec()),
            ("gob", gob::whole()),
            ("a list", b"[1001]".to_vec()),
            ("null", b"null".to_vec()),
            ("cut short", WHOLE[..40].to_vec()),
            ("two objects", WHOLE.repeat(2)),
            ("not UTF-8", b"{\"sendID\":\"\xff\"}".to_vec()),
            ("lone surrogate", with(r#""sendID":"\ud800""#)),
            ("identifier a text", with(r#""reqIdentifier":"1006""#)),
            ("identifier a float", with(r#""reqIdentifier":1006.0"#)),
            ("identifier 2^31", with(r#""reqIdentifier":2147483648"#)),
            ("identifier 400 digits", with(&format!(r#""reqIdentifier":{}"#, "9".repeat(400)))),
            ("sendID a number", with(r#""sendID":1"#)),
            ("operationID a list", with(r#""operationID":[]"#)),
            ("msgIncr a number", with(r#""msgIncr":1"#)),
            ("data a list", with(r#""data":[1,2]"#)),
            ("data without padding", with(r#""data":"CgF1eA""#)),
            ("data in base64url", with(r#""data":"-_8=""#)),
            ("20,000 deep", with(&format!(r#""x":{}"#, "[".repeat(20_000)))),
            ("51,201 bytes", vec![b' '; FRAME_BYTES_MAX + 1]),
        ],
        expect![[r#"
            whole: 1001 send=u1 op=op1 incr=u1_op1 data=[10, 2, 117, 49]
            any case: 1006 send=u op= incr=m data=[]
            unknown keys: 1006 send= op= incr= data=[]
            last of two: 1006 send=b op= incr= data=[]
            null data: 1006 send= op= incr= data=[]
            no data: 1006 send= op= incr= data=[]
            null identifier: 0 send= op= incr= data=[]
            empty object: 0 send= op= incr= data=[]
            empty: frame is not a JSON object
            gob: frame is not a JSON object
            a list: frame is not a JSON object
            null: frame is not a JSON object
            cut short: frame is not a JSON object
            two objects: frame is not a JSON object
            not UTF-8: frame is not a JSON object
            lone surrogate: sendID is not a string
            identifier a text: reqIdentifier is not a 32-bit integer
            identifier a float: reqIdentifier is not a 32-bit integer
            identifier 2^31: reqIdentifier is not a 32-bit integer
            identifier 400 digits: reqIdentifier is not a 32-bit integer
            sendID a number: sendID is not a string
            operationID a list: operationID is not a string
            msgIncr a number: msgIncr is not a string
            data a list: data is not a string
            data without padding: data is not base64
            data in base64url: data is not base64
            20,000 deep: frame is not a JSON object
            51,201 bytes: frame is too large"#]],
    );
}
