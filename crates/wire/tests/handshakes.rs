//! What a handshake must say, what it may leave out, and how its sender learns that it was refused.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use expect_test::{Expect, expect};
use wire::handshake;

const GOOD: &str = "sendID=u1&token=t&platformID=5&operationID=op&isBackground=false";
const GOOD_PACKED: &str = r#""token":"t","userID":"u1","platformID":5,"operationID":"op""#;

#[test]
fn a_handshake_says_who_and_how() {
    let long = |name: &str| with(name, &"é".repeat(200));
    check(
        &[
            GOOD.into(),
            with("compression", "gzip"),
            with("compression", "deflate"),
            with("isMsgResp", "T"),
            with("isMsgResp", ""),
            with("sdkType", "js"),
            with("sdkType", "go"),
            with("isBackground", "1"),
            with("platformID", "11"),
            with("sdkVersion", "python-ws-0.1.0"),
            with("sendID", "%E4%BD%A0+b"),
            with("token", "a%2Bb"),
            with("unknown", "%zz"),
            long("operationID"),
            long("sdkVersion"),
            format!("{GOOD}&sendID=second&platformID=x"),
        ],
        expect![[r#"
            .. => Web Gob (false, false, false) ["u1", "t", "op", ""]
            compression=gzip&.. => Web Gob (false, false, true) ["u1", "t", "op", ""]
            compression=deflate&.. => Web Gob (false, false, false) ["u1", "t", "op", ""]
            isMsgResp=T&.. => Web Gob (false, true, false) ["u1", "t", "op", ""]
            isMsgResp=&.. => Web Gob (false, false, false) ["u1", "t", "op", ""]
            sdkType=js&.. => Web Json (false, false, false) ["u1", "t", "op", ""]
            sdkType=go&.. => Web Gob (false, false, false) ["u1", "t", "op", ""]
            isBackground=1&.. => Web Gob (true, false, false) ["u1", "t", "op", ""]
            platformID=11&.. => HarmonyOs Gob (false, false, false) ["u1", "t", "op", ""]
            sdkVersion=python-ws-0.1.0&.. => Web Gob (false, false, false) ["u1", "t", "op", "python-ws-0.1.0"]
            sendID=%E4%BD%A0+b&.. => Web Gob (false, false, false) ["你 b", "t", "op", ""]
            token=a%2Bb&.. => Web Gob (false, false, false) ["u1", "a+b", "op", ""]
            unknown=%zz&.. => Web Gob (false, false, false) ["u1", "t", "op", ""]
            operationID=éééééééééééééééééééééééééééééééééééééééééééééééé => Web Gob (false, false, false) ["u1", "t", "256 bytes", ""]
            sdkVersion=ééééééééééééééééééééééééééééééééééééééééééééééééé => Web Gob (false, false, false) ["u1", "t", "op", "64 bytes"]
            ..&sendID=second&platformID=x => Web Gob (false, false, false) ["u1", "t", "op", ""]"#]],
    );
}

#[test]
fn a_bad_parameter_is_refused_by_name_in_upstreams_order() {
    check(
        &[
            "".into(),
            "platformID=5".into(),
            "platformID=5&isBackground=0".into(),
            "platformID=5&isBackground=0&operationID=op".into(),
            "platformID=5&isBackground=0&operationID=op&token=t".into(),
            "platformID=5&isBackground=0&operationID=op&token=t&sendID=u1".into(),
            with("platformID", ""),
            with("platformID", "web"),
            with("platformID", "5.0"),
            with("platformID", "99999999999999999999"),
            with("platformID", "0"),
            with("platformID", "-1"),
            with("platformID", "12"),
            with("isMsgResp", "yes"),
            with("isBackground", "no"),
            with("operationID", "%0d%0aX-Evil: 1"),
            with("sendID", "u%001"),
            with("sendID", "u\n1"),
            with("sendID", "u%C2%85"),
            with("sendID", &"u".repeat(257)),
            with("sendID", "%zz"),
            with("sendID", "a;b"),
            with("token", &"t".repeat(4097)),
            with("sdkType", "rust"),
            with("sdkType", "JS"),
            "?".into(),
            "&&&==&=%".into(),
            "%".repeat(100_000),
            "sendID=a&".repeat(100_000),
        ],
        expect![[r#"
             => body 1602 platformID is not int
            platformID=5 => body 1602 isBackground is empty
            platformID=5&isBackground=0 => body 1602 operationID is empty
            platformID=5&isBackground=0&operationID=op => body 1602 token is empty
            platformID=5&isBackground=0&operationID=op&token=t => body 1602 sendID is empty
            platformID=5&isBackground=0&operationID=op&token=t&sendID=u1 => Web Gob (false, false, false) ["u1", "t", "op", ""]
            platformID=&.. => body 1602 platformID is not int
            platformID=web&.. => body 1602 platformID is not int
            platformID=5.0&.. => body 1602 platformID is not int
            platformID=99999999999999999999&.. => body 1602 platformID is not int
            platformID=0&.. => body 1602 platformID is invalid
            platformID=-1&.. => body 1602 platformID is invalid
            platformID=12&.. => body 1602 platformID is invalid
            isMsgResp=yes&.. => body 1602 isMsgResp is not bool
            isBackground=no&.. => body 1602 isBackground is not bool
            operationID=%0d%0aX-Evil: 1&.. => body 1602 operationID contains a control character
            sendID=u%001&.. => body 1602 sendID contains a control character
            sendID=u?1&.. => body 1602 sendID contains a control character
            sendID=u%C2%85&.. => body 1602 sendID contains a control character
            sendID=uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu => body 1602 sendID is too long
            sendID=%zz&.. => Web Gob (false, false, false) ["u1", "t", "op", ""]
            sendID=a;b&.. => Web Gob (false, false, false) ["u1", "t", "op", ""]
            token=tttttttttttttttttttttttttttttttttttttttttttttttttttttt => Web Gob (false, false, false) ["u1", "4097 bytes", "op", ""]
            sdkType=rust&.. => body 1602 sdkType is invalid
            sdkType=JS&.. => body 1602 sdkType is invalid
            ? => body 1602 platformID is not int
            &&&==&=% => body 1602 platformID is not int
            %%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%% => body 1602 platformID is not int
            sendID=a&sendID=a&sendID=a&sendID=a&sendID=a&sendID=a&sendID => body 1602 platformID is not int"#]],
    );
}

#[test]
fn a_browser_can_read_its_refusal_whatever_else_is_wrong() {
    check(
        &[
            "isMsgResp=true".into(),
            "isMsgResp=true&isMsgResp=false&platformID=x".into(),
            "isMsgResp=false&isMsgResp=true&platformID=x".into(),
            "isMsgResp=maybe&platformID=5".into(),
            "isMsgResp=true;&platformID=5".into(),
            "isMsgResp=true&v=*".into(),
            format!("isMsgResp=true&v={}", pack("{")),
            format!("isMsgResp=true&v={}", pack("{}")),
            format!("isMsgResp=true&v={}", pack(r#"{"sendResponse":false}"#)),
            format!("v={}", pack(r#"{"sendResponse":true}"#)),
            format!("v={}", pack(r#"{"SENDRESPONSE":true,"platformID":"5"}"#)),
            format!("v={}", pack(r#"{"sendResponse":"true"}"#)),
        ],
        expect![[r#"
            isMsgResp=true => text 1602 platformID is not int
            isMsgResp=true&isMsgResp=false&platformID=x => text 1602 platformID is not int
            isMsgResp=false&isMsgResp=true&platformID=x => body 1602 platformID is not int
            isMsgResp=maybe&platformID=5 => body 1602 isMsgResp is not bool
            isMsgResp=true;&platformID=5 => body 1602 isBackground is empty
            isMsgResp=true&v=* => text 1602 data is not base64
            isMsgResp=true&v={ => text 1602 data is not json
            isMsgResp=true&v={} => body 1602 operationID is empty
            isMsgResp=true&v={"sendResponse":false} => body 1602 operationID is empty
            v={"sendResponse":true} => text 1602 operationID is empty
            v={"SENDRESPONSE":true,"platformID":"5"} => text 1602 data is not json
            v={"sendResponse":"true"} => body 1602 data is not json"#]],
    );
}

#[test]
fn the_packed_form_wins_and_follows_gos_json_rules() {
    let packed = |more: &str| format!("sendID=x&v={}", pack(&format!("{{{GOOD_PACKED}{more}}}")));
    check(
        &[
            packed(""),
            packed(r#","compression":"gzip","sdkType":"js","sendResponse":true"#),
            packed(r#","background":true,"sdkVersion":"3.8","other":{"a":[1]}"#),
            packed(r#","USERID":"u2","Background":null"#),
            packed(r#","compression":"GZIP""#),
            packed(r#","platformID":12"#),
            packed(r#","platformID":null"#),
            packed(r#","platformID":5.0"#),
            packed(r#","platformID":"5""#),
            packed(r#","token":"""#),
            packed(r#","userID":"a\u0000b""#),
            packed(r#","userID":"\ud800""#),
            packed(r#","background":"true""#),
            packed(r#","sdkType":"c""#),
            "v=e30".into(),
            "v=e30%3D".into(),
            "v=+/".into(),
            format!("v={}", pack("[]")),
            format!("v={}", pack("null")),
            format!("v={}", pack(&"[".repeat(6000))),
            format!("v={}", URL_SAFE_NO_PAD.encode(b"{\"token\":\"\xff\"}")),
            format!("v={}", "e30".repeat(3000)),
            format!("v=&{GOOD}"),
        ],
        expect![[r#"
            sendID=x&v={..} => Web Gob (false, false, false) ["u1", "t", "op", ""]
            sendID=x&v={..,"compression":"gzip","sdkType":"js","sendResp => Web Json (false, true, true) ["u1", "t", "op", ""]
            sendID=x&v={..,"background":true,"sdkVersion":"3.8","other": => Web Gob (true, false, false) ["u1", "t", "op", "3.8"]
            sendID=x&v={..,"USERID":"u2","Background":null} => Web Gob (false, false, false) ["u2", "t", "op", ""]
            sendID=x&v={..,"compression":"GZIP"} => Web Gob (false, false, false) ["u1", "t", "op", ""]
            sendID=x&v={..,"platformID":12} => body 1602 platformID is invalid
            sendID=x&v={..,"platformID":null} => body 1602 platformID is invalid
            sendID=x&v={..,"platformID":5.0} => body 1602 data is not json
            sendID=x&v={..,"platformID":"5"} => body 1602 data is not json
            sendID=x&v={..,"token":""} => body 1602 token is empty
            sendID=x&v={..,"userID":"a\u0000b"} => body 1602 sendID contains a control character
            sendID=x&v={..,"userID":"\ud800"} => body 1602 data is not json
            sendID=x&v={..,"background":"true"} => body 1602 data is not json
            sendID=x&v={..,"sdkType":"c"} => body 1602 sdkType is invalid
            v={} => body 1602 operationID is empty
            v=e30%3D => body 1602 data is not base64
            v=+/ => body 1602 data is not base64
            v=[] => body 1602 data is not json
            v=null => body 1602 data is not json
            v=[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[ => body 1602 data is not json
            v={"token":"�"} => body 1602 data is not json
            v={}?�G����{}?�G����{}?�G����{}?�G����{}?�G����{}?�G����{}?� => body 1602 data is too long
            v=&.. => Web Gob (false, false, false) ["u1", "t", "op", ""]"#]],
    );
}

#[test]
fn the_header_asks_for_compression_only_where_the_query_is_silent() {
    let gzip = |query: &str, header| handshake::read(query, header).unwrap().codec.gzip;
    assert!(gzip(GOOD, Some("gzip")));
    assert!(gzip(&with("compression", ""), Some("gzip")));
    assert!(gzip(&with("compression", "gzip"), Some("deflate")));
    assert!(!gzip(&with("compression", "none"), Some("gzip")));
    assert!(!gzip(GOOD, Some("gzip, deflate")));
}

#[test]
fn a_logged_handshake_does_not_show_its_token() {
    let handshake = handshake::read(&with("token", "secret"), None).unwrap();
    assert!(!format!("{handshake:?}").contains("secret"));
}

fn check(queries: &[String], expected: Expect) {
    let rows: Vec<_> = queries.iter().map(|query| outcome(query)).collect();
    expected.assert_eq(&rows.join("\n"));
}

/// The query, shortened, and what became of it.
fn outcome(query: &str) -> String {
    let shown: String = unpacked(query).chars().take(60).collect();
    match handshake::read(query, None) {
        Ok(h) => {
            let flags = (h.is_background, h.first_text_reply, h.codec.gzip);
            let texts =
                [&h.user_id, &h.token, &h.operation_id, &h.sdk_version].map(|text| short(text));
            format!("{shown} => {:?} {:?} {flags:?} {texts:?}", h.platform, h.codec.encoding)
        }
        Err(refused) => {
            let form = if refused.as_text { "text" } else { "body" };
            format!("{shown} => {form} {} {}", refused.error.code.number(), refused.error.detail)
        }
    }
}

fn short(text: &str) -> String {
    if text.len() < 40 { text.to_owned() } else { format!("{} bytes", text.len()) }
}

/// The query with its packed parameter made readable, and no control character in it.
fn unpacked(query: &str) -> String {
    let (before, packed) = query.split_once("v=").unwrap_or((query, ""));
    let json = URL_SAFE_NO_PAD.decode(packed).unwrap_or_default();
    let shown = match json.as_slice() {
        b"" => query.to_owned(),
        json => format!("{before}v={}", String::from_utf8_lossy(json)),
    };
    shown.replace(GOOD, "..").replace(GOOD_PACKED, "..").replace(char::is_control, "?")
}

/// The good query with one parameter set.
fn with(name: &str, value: &str) -> String {
    format!("{name}={value}&{GOOD}")
}

fn pack(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}
