//! Bad input: what strangers, broken clients and hurried operators send, and what they are told.
//!
//! One table for each surface, against one running server. A row is a name, an input, and the code
//! that answers it with a part of the text; ` … ` stands for any text.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::{Compression, write::GzEncoder};
use futures_util::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit as _, Mac as _};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};
use server::{
    client::{Heard, http},
    config::Size,
};
use std::{io::Write, net::SocketAddr, path::Path, time::Duration};
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};
use wire::{
    envelope,
    frame::{Codec, Encoding, Response},
    identifier,
    limit::FRAME_BYTES_MAX,
    platform::Platform,
    token::Keys,
};

/// Counts what this process allocates: the servers, the clients and all tests side by side.
#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// How much may be allocated at the same time. The bombs below would need more if they were
/// believed; see [`big_bomb`].
const ALLOCATED_BYTES_MAX: usize = 16 << 20;

/// How long one row may take. Generous: only a failing test takes it.
const PATIENCE: Duration = Duration::from_secs(60);

type Row<'a, I> = (&'a str, I, &'a str);

/// Tells all rows at once that were answered otherwise. `answer` says `CODE: TEXT`.
async fn check<I>(surface: &str, rows: &[Row<'_, I>], answer: impl AsyncFn(&I) -> String) {
    let mut answers = Vec::new();
    for (_, input, _) in rows {
        answers.push(timeout(PATIENCE, answer(input)).await.ok());
    }
    judge(surface, rows, answers);
}

/// The same for answers whose connections end only after a wait.
async fn check_all_at_once<I>(
    surface: &str,
    rows: &[Row<'_, I>],
    answer: impl AsyncFn(&I) -> String,
) {
    let answers =
        rows.iter().map(async |(_, input, _)| timeout(PATIENCE, answer(input)).await.ok());
    judge(surface, rows, futures_util::future::join_all(answers).await);
}

fn judge<I>(surface: &str, rows: &[Row<'_, I>], answers: Vec<Option<String>>) {
    let mut wrong = String::new();
    for ((name, _, expected), answered) in rows.iter().zip(answers) {
        let answered = answered.unwrap_or_else(|| "no answer in time".into());
        if !agrees(&answered, expected) {
            wrong += &format!("\n{name}\n    expected {expected}\n    answered {answered}");
        }
    }
    assert!(wrong.is_empty(), "{surface}{wrong}");
    let peak = ALLOCATED.peak_usage();
    assert!(peak <= ALLOCATED_BYTES_MAX, "{surface}: {peak} bytes were allocated");
}

fn agrees(answered: &str, expected: &str) -> bool {
    let (code, mut text) = answered.split_once(": ").unwrap_or((answered, ""));
    let (expected_code, parts) = expected.split_once(": ").unwrap_or((expected, ""));
    code == expected_code
        && parts.split(" … ").all(|part| {
            let found = text.split_once(part);
            text = found.map_or("", |(_, rest)| rest);
            found.is_some()
        })
}

#[tokio::test]
async fn a_bad_handshake_is_told_why_in_the_form_that_its_client_reads() {
    let herald = Herald::start(|_| {}).await;
    let long = |n| "a".repeat(n);
    check::<&str>(
        "query",
        &[
            ("no user", "-sendID", "1602: args err … sendID is empty"),
            ("an empty user", "sendID=", "1602: sendID is empty"),
            ("a broken escape is no user", "sendID=100%", "1602: sendID is empty"),
            ("a long user", &format!("sendID={}", long(257)), "1602: sendID is too long"),
            ("a user with a line feed", "sendID=u%0A1", "1602: sendID contains a control char"),
            ("a user with a NUL", "sendID=%00", "1602: sendID contains a control char"),
            ("no token", "-token", "1602: token is empty"),
            ("an empty token", "token=", "1602: token is empty"),
            ("a token of 10 KB", &format!("token={}", long(10_240)), "1503: token is too long"),
            ("no operation", "-operationID", "1602: operationID is empty"),
            ("an empty operation", "operationID=", "1602: operationID is empty"),
            ("an operation with CR", "operationID=a%0D", "1602: operationID contains a control"),
            ("no platform", "-platformID", "1602: platformID is not int"),
            ("a platform by name", "platformID=abc", "1602: platformID is not int"),
            ("a platform as a float", "platformID=5.0", "1602: platformID is not int"),
            ("a platform as 1e3", "platformID=1e3", "1602: platformID is not int"),
            ("a huge platform", "platformID=99999999999999999999", "1602: platformID is not int"),
            ("platform 0", "platformID=0", "1602: platformID is invalid"),
            ("platform 12", "platformID=12", "1602: platformID is invalid"),
            ("platform -1", "platformID=-1", "1602: platformID is invalid"),
            ("no isBackground", "-isBackground", "1602: isBackground is empty"),
            ("isBackground=maybe", "isBackground=maybe", "1602: isBackground is not bool"),
            ("an unknown SDK", "sdkType=php", "1602: sdkType is invalid"),
            ("an SDK in capitals", "sdkType=JS", "1602: sdkType is invalid"),
            ("v that is no base64", "v=!!", "1602: data is not base64"),
            ("v with padding", "v=e30%3D", "1602: data is not base64"),
            ("v that is no JSON", "v=eA", "1602: data is not json"),
            ("v that is a list", "v=W10", "1602: data is not json"),
            ("a huge v", &format!("v={}", long(9_000)), "1602: data is too long"),
        ],
        async |changes| refused(&herald, |as_text| query(changes) + wish(as_text)).await,
    )
    .await;
    check::<&str>(
        "v",
        &[
            ("v without a user", r#"{"userID":null}"#, "1602: sendID is empty"),
            ("v, a number for a user", r#"{"userID":1}"#, "1602: data is not json"),
            ("v with an empty token", r#"{"token":""}"#, "1602: token is empty"),
            ("v without an operation", r#"{"operationID":null}"#, "1602: operationID is empty"),
            ("v, a platform as text", r#"{"platformID":"5"}"#, "1602: data is not json"),
            ("v, a platform as a float", r#"{"platformID":5.5}"#, "1602: data is not json"),
            ("v, platform 12", r#"{"platformID":12}"#, "1602: platformID is invalid"),
            ("v, background as text", r#"{"background":"yes"}"#, "1602: data is not json"),
            ("v, an unknown SDK", r#"{"sdkType":"php"}"#, "1602: sdkType is invalid"),
            ("v, a bad token", r#"{"token":"x"}"#, "1503: token is not a JWT"),
        ],
        async |changes| refused(&herald, |as_text| packed(changes, as_text)).await,
    )
    .await;
    for port in [herald.running.gateway, herald.running.api] {
        check(
            "form",
            &[
                ("isMsgResp=maybe", "isMsgResp=maybe", "http 1602: isMsgResp is not bool"),
                ("a wish beside v", "v=e30&isMsgResp=true", "http 1602: operationID is empty"),
                ("JS redials until kicked", "token=x&isMsgResp=1", "text and kick 1503: not a JWT"),
                ("Go does not", "-sdkType&token=x&isMsgResp=1", "text 1503: is not a JWT"),
            ],
            async |changes| dial(port, &query(changes)).await,
        )
        .await;
    }
    only_a_fresh_client_is_online(&herald).await;
}

#[tokio::test]
async fn a_request_that_is_no_upgrade_is_told_so() {
    let herald = Herald::start(|_| {}).await;
    const GOOD: &str = "Connection: close, upgrade|Upgrade: websocket|Sec-WebSocket-Version: 13|\
                        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let but = |header: &str, instead: &str| GOOD.replace(header, instead);
    let told = "400 application/json; charset=utf-8: 1602 … this address speaks WebSocket";
    for wish in [wish(false), wish(true)] {
        let line = format!("GET /?{}{wish} HTTP/1.1", query(""));
        check::<(&str, &str)>(
            "HTTP",
            &[
                ("a page load", (&line, "Connection: close"), told),
                ("a form", (&line.replace("GET", "POST"), "Connection: close"), told),
                ("an old version", (&line, &but("13", "8")), told),
                ("no version", (&line, &but("Sec-WebSocket-Version", "X")), told),
                ("no key", (&line, &but("Sec-WebSocket-Key", "X")), told),
                ("another protocol", (&line, &but("websocket", "h2c")), told),
                ("no Connection: upgrade", (&line, &but(", upgrade", "")), told),
                ("a head of 20 KB", (&line, &but("13", &"3".repeat(20_000))), "431"),
                ("no HTTP", ("hello", "Connection: close"), "400"),
                ("TLS", ("\x16\x03\x01\x02", "Connection: close"), "400"),
            ],
            async |(line, headers)| {
                let headers = headers.replace('|', "\r\n");
                let request = format!("{line}\r\nHost: herald\r\n{headers}\r\n\r\n");
                exchange(herald.running.gateway, &request).await
            },
        )
        .await;
    }
    only_a_fresh_client_is_online(&herald).await;
}

#[tokio::test]
async fn in_a_full_house_even_a_bad_handshake_is_told_to_come_later() {
    let herald = Herald::start(|config| config.gateway.connections_max = 1).await;
    let holder = herald.login("holder", Platform::Web).await;
    let full = "1601: ConnOverMaxNumLimit … all 1 places are taken";
    check(
        "full house",
        &[
            ("good papers", "", full),
            ("a bad token", "token=x", full),
            ("a bad platform", "platformID=abc", full),
            ("no papers", "-sendID&-token&-platformID&-operationID&-isBackground", full),
        ],
        async |changes| refused(&herald, |as_text| query(changes) + wish(as_text)).await,
    )
    .await;
    holder.close().await;
    let fresh = identity("fresh", Platform::Web);
    eventually("the place is free", || async { herald.try_login(&fresh).await.is_ok() }).await;
}

/// A good query but for these changes: `name=value`, or `-name` for one that is left out.
fn query(changes: &str) -> String {
    let token = token("u1", Platform::Web);
    let good = format!(
        "sendID=u1&token={token}&platformID=5&operationID=op&isBackground=false&sdkType=js"
    );
    let name = |pair: &str| pair.split('=').next().unwrap().trim_start_matches('-').to_owned();
    let changed: Vec<String> = changes.split('&').map(name).collect();
    let kept = good.split('&').filter(|pair| !changed.contains(&name(pair)));
    let added = changes.split('&').filter(|change| change.contains('='));
    kept.chain(added).collect::<Vec<_>>().join("&")
}

fn wish(as_text: bool) -> &'static str {
    if as_text { "&isMsgResp=true" } else { "&isMsgResp=false" }
}

/// A good handshake in the form `v`, but for these fields.
fn packed(changes: &str, as_text: bool) -> String {
    let mut said = json!({
        "userID": "u1", "token": token("u1", Platform::Web), "platformID": 5, "operationID": "op",
        "sdkType": "js", "sendResponse": as_text,
    });
    let changes: Value = serde_json::from_str(changes).unwrap();
    said.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    // The middle of a token is what is wanted here: JSON as base64url without padding.
    let packed = jwt(&said);
    format!("v={}", packed.split('.').nth(1).unwrap())
}

/// Dials both as a client that reads a refusal's body and as one that waits for a text frame. What
/// both were told, if it is the same.
async fn refused(herald: &Herald, query: impl Fn(bool) -> String) -> String {
    let body = dial(herald.running.gateway, &query(false)).await;
    let text = dial(herald.running.gateway, &query(true)).await;
    let plain =
        text.strip_prefix("text ").map(|text| text.strip_prefix("and kick ").unwrap_or(text));
    match body.strip_prefix("http ") {
        Some(told) if plain == Some(told) => told.to_owned(),
        _ => format!("{body} | {text}"),
    }
}

async fn dial(port: SocketAddr, query: &str) -> String {
    match connect_async(format!("ws://{port}/?{query}")).await {
        Ok((line, _)) => refused_by_text(line).await,
        Err(Error::Http(answer)) => {
            let kind = answer.headers()["content-type"].to_str().unwrap();
            assert_eq!((answer.status().as_u16(), kind), (200, "application/json; charset=utf-8"));
            let body = answer.body().as_deref().unwrap_or_default();
            format!("http {}", told(&String::from_utf8_lossy(body)))
        }
        Err(error) => format!("no answer: {error}"),
    }
}

type Line = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One text frame, perhaps a kick, and then the end of the line.
async fn refused_by_text(mut line: Line) -> String {
    let Some(Ok(Message::Text(first))) = line.next().await else { return "no text".into() };
    if first == envelope::SUCCESS {
        return "let in".into();
    }
    let mut form = "text".to_owned();
    while let Some(Ok(message)) = line.next().await {
        form += match message {
            Message::Binary(kick) if kick.starts_with(br#"{"reqIdentifier":2002,"#) => " and kick",
            Message::Close(_) => "",
            _ => " and more",
        }
    }
    format!("{form} {}", told(&first))
}

/// `CODE: NAME: DETAIL` of an envelope without data.
fn told(envelope: &str) -> String {
    match serde_json::from_str::<Value>(envelope) {
        Ok(Value::Object(fields)) if fields.len() == 3 => {
            let text = |name| fields[name].as_str().unwrap();
            format!("{}: {}: {}", fields["errCode"], text("errMsg"), text("errDlt"))
        }
        _ => format!("no refusal: {envelope}"),
    }
}

async fn only_a_fresh_client_is_online(herald: &Herald) {
    let _fresh = herald.login("fresh", Platform::Web).await;
    assert_eq!(herald.running.online().await.unwrap(), ["fresh"]);
}

/// One request as it is written. `STATUS KIND: BODY` of the answer.
async fn exchange(port: SocketAddr, request: &str) -> String {
    let mut line = TcpStream::connect(port).await.unwrap();
    line.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that has not read everything may end with a reset; what it said counts.
    let _ = line.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    match head.lines().find_map(|line| line.strip_prefix("content-type: ")) {
        Some(kind) => format!("{status} {kind}: {body}"),
        None => status.to_owned(),
    }
}

#[tokio::test]
async fn a_bad_token_is_refused_with_the_code_that_fits() {
    let herald = Herald::start(|_| {}).await;
    let (now, hour) = (now_s(), 3600);
    let keys = Keys::new(SECRET.as_bytes());
    let good = keys.issue("u1", Platform::Web, now, hour);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (head, payload) = signed.split_once('.').unwrap();
    let others = token("u2", Platform::Web);
    let (others_signed, _) = others.rsplit_once('.').unwrap();
    let other_secret = Keys::new(b"another secret").issue("u1", Platform::Web, now, hour);
    let old = |seconds| keys.issue("u1", Platform::Web, now - seconds, hour);
    let other_letter = if signature.starts_with('A') { "B" } else { "A" };
    // The heads are `{"alg":"none","typ":"JWT"}` and `{"alg":"RS256","typ":"JWT"}`.
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let rs256 = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9";
    let lacks = "1503: TokenMalformedError … token lacks a field or has one of another type";
    let no_jwt = "1503: TokenMalformedError … token is not a JWT";
    let not_hs256 = "1505: TokenUnknownError … token is not signed with HS256";
    let forged = "1505: TokenUnknownError … token signature is invalid";
    check_all_at_once::<String>(
        "token",
        &[
            ("garbage", "garbage".into(), no_jwt),
            ("two dots", "..".into(), no_jwt),
            ("three letters", "a.b.c".into(), no_jwt),
            ("two parts", signed.into(), no_jwt),
            ("four parts", format!("{good}.x"), no_jwt),
            ("another alphabet", "%E4%BB%A4%E7%89%8C".into(), no_jwt),
            ("NUL", "%00".into(), no_jwt),
            ("a word before it", format!("Bearer+{good}"), no_jwt),
            ("cut in the payload", good[..head.len() + 20].into(), no_jwt),
            ("half a signature", good[..good.len() - 23].into(), forged),
            ("no signature", format!("{signed}."), forged),
            ("edited", format!("{signed}.{other_letter}{}", &signature[1..]), forged),
            ("another's signature", format!("{others_signed}.{signature}"), forged),
            ("another secret", other_secret, forged),
            ("alg none", format!("{none}.{payload}."), not_hs256),
            ("alg none, signed", format!("{none}.{payload}.{signature}"), not_hs256),
            ("a public key", format!("{rs256}.{payload}.{signature}"), not_hs256),
            ("HS512 and the secret", jwt_hs512(&claims("{}")), not_hs256),
            ("expired", old(2 * hour), "1501: TokenExpiredError … token is expired"),
            ("expired now", old(hour), "1501: TokenExpiredError … token is expired"),
            ("no exp", altered(r#"{"exp":null}"#), lacks),
            ("exp as text", altered(r#"{"exp":"1795374105"}"#), lacks),
            ("exp out of reach", altered(r#"{"exp":1e300}"#), lacks),
            ("nbf ahead", altered(r#"{"nbf":9e9}"#), "1504: token is not valid yet"),
            ("iat ahead", altered(r#"{"iat":9e9}"#), "1505: token was issued in the future"),
            ("no user", altered(r#"{"UserID":null}"#), lacks),
            ("a number for a user", altered(r#"{"UserID":1}"#), lacks),
            ("a platform as text", altered(r#"{"PlatformID":"5"}"#), lacks),
            ("a text for claims", jwt(&json!("u1")), lacks),
            ("another user", others.clone(), "1502: token uid u2 != userID u1"),
            ("another case", altered(r#"{"UserID":"U1"}"#), "1502: token uid U1 != userID u1"),
            ("another platform", altered(r#"{"PlatformID":1}"#), "1502: platform 1 != platformID"),
            ("no such platform", altered(r#"{"PlatformID":55}"#), "1502: platform 55 != platf"),
        ],
        async |token| {
            let changed = query(&format!("token={token}"));
            refused(&herald, |as_text| format!("{changed}{}", wish(as_text))).await
        },
    )
    .await;
    only_a_fresh_client_is_online(&herald).await;
}

/// Signed with the right secret.
fn jwt(claims: &Value) -> String {
    let message = unsigned("HS256", claims);
    let mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    signed(&message, &mac.chain_update(&message).finalize().into_bytes())
}

fn jwt_hs512(claims: &Value) -> String {
    let message = unsigned("HS512", claims);
    let mac = Hmac::<sha2::Sha512>::new_from_slice(SECRET.as_bytes()).unwrap();
    signed(&message, &mac.chain_update(&message).finalize().into_bytes())
}

fn unsigned(algorithm: &str, claims: &Value) -> String {
    let header = json!({ "typ": "JWT", "alg": algorithm });
    [header, claims.clone()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".")
}

fn signed(message: &str, signature: &[u8]) -> String {
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Good claims but for these; null leaves one out.
fn claims(changes: &str) -> Value {
    let good = json!({ "UserID": "u1", "PlatformID": 5, "exp": now_s() + 3600 });
    let Value::Object(mut claims) = good else { unreachable!() };
    let changes: Value = serde_json::from_str(changes).unwrap();
    claims.extend(changes.as_object().unwrap().clone());
    claims.retain(|_, value| !value.is_null());
    claims.into()
}

fn altered(changes: &str) -> String {
    jwt(&claims(changes))
}

/// As many zeros as fit into one frame: a thousand times its size.
fn big_bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..48 {
        encoder.write_all(&[0; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() <= FRAME_BYTES_MAX);
    bomb
}

#[tokio::test]
async fn a_bad_frame_of_a_js_client_is_answered_or_ends_it_and_only_it() {
    let herald = Herald::start(|_| {}).await;
    let binary = |text: &str| vec![Message::binary(text.to_owned())];
    let text = |text: &str| vec![Message::text(text)];
    let raw = |bytes: &[u8], opcode, is_last| {
        Message::Frame(Frame::message(bytes.to_vec(), OpCode::Data(opcode), is_last))
    };
    let piece = |opcode| raw(&[b' '; 10_000], opcode, false);
    let pieces = || [vec![piece(Data::Binary)], vec![piece(Data::Continue); 5]].concat();
    let good = js(r#""reqIdentifier":1001"#);
    let edge = good.clone() + &" ".repeat(FRAME_BYTES_MAX - good.len());
    let beyond = " ".repeat(FRAME_BYTES_MAX + 1);
    let no_json = "closed 1007: frame is not a JSON object";
    let no_number = "closed 1007: reqIdentifier is not a 32-bit integer";
    let not_it = "closed 1008: sendID is not the user of this connection";
    let no_text = "closed 1007: is not a string";
    let no_base64 = "closed 1007: data is not base64";
    let unknown = "closed 1008: unknown reqIdentifier";
    let no_heartbeat = "closed 1007: text frame is neither ping nor pong";
    let big = "closed 1009: too long";
    check(
        "js",
        &[
            ("a good frame at the limit", binary(&edge), "answered 0"),
            ("a word", binary("hello"), no_json),
            ("nothing", binary(""), no_json),
            ("a list", binary("[]"), no_json),
            ("null", binary("null"), no_json),
            ("half a request", binary(&good[..30]), no_json),
            ("two requests", binary(&good.repeat(2)), no_json),
            ("an empty object", binary("{}"), not_it),
            ("a user of another case", binary(&js(r#""sendID":"U1""#)), not_it),
            ("another user", binary(&js(r#""sendID":"u2""#)), not_it),
            ("a number for a user", binary(&js(r#""sendID":1"#)), no_text),
            ("no identifier", binary(&js(r#""x":1"#)), unknown),
            ("an unknown identifier", binary(&js(r#""reqIdentifier":9999"#)), unknown),
            ("a push of the server's", binary(&js(r#""reqIdentifier":2002"#)), unknown),
            ("an identifier as text", binary(&js(r#""reqIdentifier":"1001""#)), no_number),
            ("a fraction", binary(&js(r#""reqIdentifier":1001.5"#)), no_number),
            ("more than 32 bits", binary(&js(r#""reqIdentifier":4294968297"#)), no_number),
            ("data a number", binary(&js(r#""data":7"#)), no_text),
            ("data no base64", binary(&js(r#""data":"???""#)), no_base64),
            ("data unpadded", binary(&js(r#""data":"/w""#)), no_base64),
            ("msgIncr a number", binary(&js(r#""msgIncr":1"#)), no_text),
            ("operationID a list", binary(&js(r#""operationID":[]"#)), no_text),
            ("data no protobuf", binary(&js(NO_PROTOBUF)), "answered 1001: ArgsError"),
            ("a message", binary(&js(r#""reqIdentifier":1003"#)), "answered 1002: NoPermission"),
            ("a call", binary(&js(r#""reqIdentifier":1004"#)), "answered 1002: NoPermission"),
            ("text, a word", text("hello"), "closed 1007: text frame is not a JSON object"),
            ("text of no type", text("{}"), no_heartbeat),
            ("text of unknown type", text(r#"{"type":"hello"}"#), no_heartbeat),
            ("text, the type a number", text(r#"{"type":1}"#), no_heartbeat),
            ("a request as text", text(&good), no_heartbeat),
            ("a byte too many", binary(&beyond), big),
            ("a byte too many, as text", text(&beyond), big),
            ("a frame of 1 MB", binary(&" ".repeat(1 << 20)), big),
            ("60 KB in pieces", pieces(), big),
            ("text that is no UTF-8", vec![raw(b"\xff", Data::Text, true)], "closed 1007"),
            ("a reserved opcode", vec![raw(b"x", Data::Reserved(3), true)], "closed 1002"),
            ("nothing continued", vec![raw(b"x", Data::Continue, true)], "closed 1002"),
        ],
        async |frames| converse(&herald, "", good.as_bytes(), frames).await,
    )
    .await;
}

const NO_PROTOBUF: &str = r#""reqIdentifier":2004,"data":"/w==""#;

/// A request of u1 in JSON with these fields; of two that are the same the last counts.
fn js(fields: &str) -> String {
    format!(r#"{{"sendID":"u1","operationID":"op","msgIncr":"1","data":"",{fields}}}"#)
}

#[tokio::test]
async fn a_bad_frame_of_a_go_client_is_answered_or_ends_it_and_only_it() {
    let herald = Herald::start(|_| {}).await;
    let frame = |bytes: &[u8]| vec![Message::binary(bytes.to_vec())];
    let good = go("u1", 1001, b"");
    let cut = |bytes: &[u8], n| frame(&bytes[..bytes.len() - n]);
    let json = js(r#""reqIdentifier":1001"#);
    check(
        "go",
        &[
            ("a good frame", frame(&good), "answered in gob"),
            ("more after a good one", frame(&[&good[..], b"\xff"].concat()), "answered in gob"),
            ("data no protobuf", frame(&go("u1", 2004, b"\xff")), "answered in gob: ArgsError"),
            ("garbage", frame(b"\xff\xff\xff\xff\xff\xff"), "closed 1007: gob"),
            ("a word", frame(b"hello"), "closed 1007: gob"),
            ("nothing", frame(b""), "closed 1007: gob"),
            ("JSON", frame(json.as_bytes()), "closed 1007: gob"),
            ("a definition alone", frame(GO_TYPE), "closed 1007: gob"),
            ("half a definition", cut(GO_TYPE, 50), "closed 1007: gob"),
            ("a value alone", frame(&good[GO_TYPE.len()..]), "closed 1007: gob: unknown type"),
            ("half a value", cut(&good, 5), "closed 1007: gob"),
            ("two definitions", frame(&[GO_TYPE, &good].concat()), "closed 1007: more than one"),
            ("a length of 2^63", frame(b"\xf8\x80\0\0\0\0\0\0\0"), "closed 1007: gob"),
            ("another user", frame(&go("u2", 1001, b"")), "closed 1008: sendID is not the user"),
            ("an unknown identifier", frame(&go("u1", 9999, b"")), "closed 1008: unknown reqId"),
            ("a text frame", vec![Message::text("hello")], "closed 1007: text frame is not a"),
            ("a byte too many", frame(&[0; FRAME_BYTES_MAX + 1]), "closed 1009: too long"),
        ],
        async |frames| converse(&herald, "-sdkType", &good, frames).await,
    )
    .await;
    let gzip = Codec { encoding: Encoding::Json, gzip: true };
    let bomb = gzip.encode(&Response::push(identifier::PUSH_MSG, vec![0; FRAME_BYTES_MAX]));
    assert!(bomb.len() < 1024);
    check(
        "gzip",
        &[
            ("no gzip", frame(&good), "closed 1007: frame is not gzip"),
            ("half a gzip", frame(&bomb[..30]), "closed 1007: frame is not gzip"),
            ("a bomb", frame(&bomb), "closed 1009: frame is too large"),
            ("a bomb of 48 MiB", frame(&big_bomb()), "closed 1009: frame is too large"),
        ],
        async |frames| converse(&herald, "-sdkType&compression=gzip", &good, frames).await,
    )
    .await;
}

/// The definition of `GeneralWsReq` that all Go clients send.
const GO_TYPE: &[u8] = b"\x65\x7f\x03\x01\x01\x0cGeneralWsReq\x01\xff\x80\x00\x01\x06\
    \x01\x0dReqIdentifier\x01\x04\x00\x01\x05Token\x01\x0c\x00\x01\x06SendID\x01\x0c\x00\
    \x01\x0bOperationID\x01\x0c\x00\x01\x07MsgIncr\x01\x0c\x00\x01\x04Data\x01\x0a\x00\x00\x00";

/// A request in gob.
fn go(user: &str, identifier: u16, data: &[u8]) -> Vec<u8> {
    let identifier = (2 * identifier).to_be_bytes();
    let mut value = [b"\xff\x80\x01\xfe".as_slice(), &identifier].concat();
    value.extend([2, user.len() as u8]);
    value.extend_from_slice(user.as_bytes());
    value.extend_from_slice(b"\x01\x03op1\x01\x02i1");
    if !data.is_empty() {
        value.extend([1, data.len() as u8]);
        value.extend_from_slice(data);
    }
    value.push(0);
    [GO_TYPE, &[value.len() as u8], &value].concat()
}

/// Sends frames as u1. What came back; if that leaves the line open a good request is answered on
/// it, and on a line of somebody else in any case.
async fn converse(herald: &Herald, changes: &str, good: &[u8], frames: &[Message]) -> String {
    let url = format!("ws://{}/?{}", herald.running.gateway, query(changes));
    let (mut line, _) = connect_async(url).await.unwrap();
    for frame in frames {
        // The server may close before it has read them all.
        let _ = line.send(frame.clone()).await;
    }
    let said = hear(&mut line).await;
    if said.starts_with("answered") {
        line.send(Message::binary(good.to_vec())).await.unwrap();
        let again = hear(&mut line).await;
        assert!(again.starts_with("answered"), "{said}, then {again}");
    }
    let mut fresh = herald.login("fresh", Platform::Web).await;
    fresh.request("fresh", identifier::GET_NEWEST_SEQ, "").await.unwrap();
    assert!(matches!(fresh.hear().await, Heard::Frame(answer) if answer["errCode"] == 0));
    fresh.close().await;
    said
}

async fn hear(line: &mut Line) -> String {
    loop {
        return match line.next().await {
            Some(Ok(Message::Binary(frame))) => match serde_json::from_slice::<Value>(&frame) {
                Ok(answer) => {
                    format!("answered {}: {}", answer["errCode"], answer["errMsg"])
                }
                Err(_) => format!("answered in gob: {}", String::from_utf8_lossy(&frame)),
            },
            Some(Ok(Message::Close(Some(end)))) => {
                format!("closed {}: {}", u16::from(end.code), end.reason)
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            other => format!("no answer: {other:?}"),
        };
    }
}

#[tokio::test]
async fn a_bad_call_is_refused_with_the_code_that_fits() {
    let herald = Herald::start(|config| config.api.body_bytes_max = Size::kib(16)).await;
    let good = token("u1", Platform::Web);
    let expired = Keys::new(SECRET.as_bytes()).issue("u1", Platform::Web, 0, 1);
    let forged = Keys::new(b"another secret").issue("imAdmin", Platform::Admin, now_s(), 3600);
    check::<&[(&str, &str)]>(
        "headers",
        &[
            ("no headers", &[], "1001: ArgsError: header must have operationID"),
            ("no operationID", &[("token", &good)], "1001: header must have operationID"),
            ("an empty one", &[("operationID", "")], "1001: header must have operationID"),
            ("one not in ASCII", &[("operationID", "ö")], "1001: header must have operationID"),
            ("no token", &[("operationID", "op")], "1001: header must have token"),
            ("an empty token", &with(""), "1001: header must have token"),
            ("garbage", &with("x"), "1503: TokenMalformedError: token is not a JWT"),
            ("a bearer", &with(&format!("Bearer {good}")), "1503: token is not a JWT"),
            ("an expired token", &with(&expired), "1501: TokenExpiredError: token is expired"),
            ("a forged token", &with(&forged), "1505: token signature is invalid"),
        ],
        async |headers| call(&herald, "POST", "/user/get_users_info", headers, USERS).await,
    )
    .await;
    let long = "a".repeat(20_000);
    check::<(&str, &str, &str)>(
        "routes",
        &[
            ("an unknown route", ("POST", "/user/nothing", ""), "404: no such route: POST /user/n"),
            ("a slash too many", ("POST", "/user/get_users_info/", ""), "404: no such route"),
            ("the root", ("GET", "/", ""), "404: no such route: GET /"),
            ("a GET", ("GET", "/user/get_users_info", ""), "405"),
            ("a PUT", ("PUT", "/auth/parse_token", "{}"), "405"),
            (
                "a long body",
                ("POST", "/auth/parse_token", &long),
                "1001: body: longer than 16384 bytes",
            ),
        ],
        async |(method, path, body)| call(&herald, method, path, &with(&good), body).await,
    )
    .await;
}

const USERS: &str = r#"{"userIDs":["u1"]}"#;

fn with(token: &str) -> [(&'static str, &str); 2] {
    [("operationID", "op"), ("token", token)]
}

async fn call(
    herald: &Herald,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    match http(herald.running.api, method, path, headers, body).await.unwrap() {
        (200, envelope) => told(&envelope),
        (status, text) => format!("{status}: {text}"),
    }
}

async fn check_bodies<B: AsRef<str>>(
    herald: &Herald,
    caller: &str,
    path: &str,
    rows: &[Row<'_, B>],
) {
    let token = token(caller, Platform::Web);
    let post = async |body: &B| call(herald, "POST", path, &with(&token), body.as_ref()).await;
    check(path, rows, post).await;
}

#[tokio::test]
async fn a_body_that_is_not_what_go_would_read_is_refused() {
    let herald = Herald::start(|_| {}).await;
    let deep = "[".repeat(10_000);
    let rows = [
        ("a word", "hello", "1001: ArgsError: body: expected value"),
        ("half an object", "{", "1001: body: EOF"),
        ("two objects", "{}{}", "1001: body: trailing characters"),
        ("a form", "userIDs=u1", "1001: body: expected value"),
        ("10,000 deep", &deep, "1001: body: recursion limit"),
        ("a list", r#"["u1"]"#, "1001: body: expected a JSON object"),
        ("null", "null", "1001: body: expected a JSON object"),
    ];
    check_bodies(&herald, "u1", "/user/get_users_info", &rows).await;
    check_bodies(&herald, "u1", "/msg/get_server_time", &rows).await;
    check_bodies(&herald, "u1", "/auth/parse_token", &rows).await;
    check_bodies(&herald, "imAdmin", "/user/user_register", &rows).await;
}

#[tokio::test]
async fn what_is_for_administrators_is_refused_to_others_before_it_is_read() {
    let herald = Herald::start(|_| {}).await;
    let refused = "1002: NoPermissionError: this needs an administrator's token";
    let rows = [("a user", "{}", refused), ("a user without JSON", "hello", refused)];
    check_bodies(&herald, "u1", "/auth/get_user_token", &rows).await;
    check_bodies(&herald, "u1", "/user/user_register", &rows).await;
    check_bodies(&herald, "u1", "/user/account_check", &rows).await;
    check_bodies(&herald, "u1", "/user/get_users_online_status", &rows).await;
}

#[tokio::test]
async fn a_list_of_users_that_makes_no_sense_is_refused() {
    let herald = Herald::start(|_| {}).await;
    let of = |users: Value| json!({ "userIDs": users, "checkUserIDs": users }).to_string();
    let nobody = "1001: ArgsError … must name at least one user";
    let rows = [
        ("no list", "{}".into(), nobody),
        ("null", of(Value::Null), nobody),
        ("an empty list", of(json!([])), nobody),
        ("a text", of(json!("u1")), "1001: body: invalid type: string"),
        ("an object", of(json!({})), "1001: body: invalid type: map"),
        ("a number in it", of(json!(["u1", 1])), "1001: body: invalid type: integer"),
        ("null in it", of(json!(["u1", null])), "1001: body: invalid type: null"),
        ("an empty name", of(json!(["u1", ""])), "1001: IDs is empty"),
        ("a long name", of(json!(["a".repeat(257)])), "1001: is longer than 256 bytes"),
        ("a line feed", of(json!(["a\nb"])), "1001: holds a control character"),
        ("1001 users", of(json!(vec!["u"; 1001])), "1001: names 1001 users, 1000 at most"),
    ];
    check_bodies(&herald, "u1", "/user/get_users_info", &rows).await;
    check_bodies(&herald, "u1", "/user/get_users_status", &rows).await;
    check_bodies(&herald, "imAdmin", "/user/get_users_online_status", &rows).await;
    check_bodies(&herald, "imAdmin", "/user/get_users_online_token_detail", &rows).await;
    check_bodies(&herald, "imAdmin", "/user/account_check", &rows).await;
    let twice = [("one twice", r#"{"checkUserIDs":["a","b","a"]}"#, "1001: names \"a\" twice")];
    check_bodies(&herald, "imAdmin", "/user/account_check", &twice).await;
}

#[tokio::test]
async fn a_bad_wish_for_a_token_is_refused() {
    let herald = Herald::start(|_| {}).await;
    let use_other = "1002: administrators get their token from /auth/get_admin_token";
    let expired = Keys::new(SECRET.as_bytes()).issue("u1", Platform::Web, 0, 1);
    check_bodies(
        &herald,
        "imAdmin",
        "/auth/get_user_token",
        &[
            ("nothing", "{}", "1001: userID is empty"),
            ("no user", r#"{"platformID":5}"#, "1001: userID is empty"),
            ("a NUL", r#"{"userID":"\u0000"}"#, "1001: userID holds a control character"),
            ("no platform", r#"{"userID":"u1"}"#, "1001: platformID 0 is not 1 to 11"),
            ("platform 12", r#"{"userID":"u1","platformID":12}"#, "1001: 12 is not 1 to 11"),
            ("platform -1", r#"{"userID":"u1","platformID":-1}"#, "1001: -1 is not 1 to 11"),
            ("as text", r#"{"userID":"u1","platformID":"5"}"#, "1001: body: invalid type: string"),
            ("a fraction", r#"{"userID":"u1","platformID":5.5}"#, "1001: body: invalid type: fl"),
            ("the admins' platform", r#"{"userID":"u1","platformID":10}"#, use_other),
            ("an admin", r#"{"userID":"imAdmin","platformID":5}"#, use_other),
            ("nobody known", r#"{"userID":"u1","platformID":5}"#, "1004: is not registered"),
        ],
    )
    .await;
    let wrong_secret = "1002: NoPermissionError: secret invalid";
    let good_secret = format!(r#"{{"secret":"{SECRET}"}}"#);
    let no_admin = format!(r#"{{"secret":"{SECRET}","userID":"u1"}}"#);
    check_bodies(
        &herald,
        "u1",
        "/auth/get_admin_token",
        &[
            ("no secret", r#"{"userID":"imAdmin"}"#, wrong_secret),
            ("a wrong one", r#"{"secret":"openIM123","userID":"imAdmin"}"#, wrong_secret),
            ("a number", r#"{"secret":1,"userID":"imAdmin"}"#, "1001: body: invalid type: int"),
            ("no user", &good_secret, "1001: is none of auth.admin_users"),
            ("no admin", &no_admin, "1001: \"u1\" is none of auth.admin_users"),
        ],
    )
    .await;
    check_bodies(
        &herald,
        "u1",
        "/auth/parse_token",
        &[
            ("no token", "{}", "1503: TokenMalformedError: token is not a JWT"),
            ("garbage", r#"{"token":"x"}"#, "1503: token is not a JWT"),
            ("an expired one", &json!({ "token": expired }).to_string(), "1501: is expired"),
            ("a number", r#"{"token":1}"#, "1001: body: invalid type: integer"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_bad_registration_is_refused_and_registers_nobody() {
    let herald = Herald::start(|_| {}).await;
    let admin = token("imAdmin", Platform::Admin);
    let of = |users: Value| json!({ "users": users }).to_string();
    let user = |name: &str| json!({ "userID": name, "nickname": "N" });
    let known = json!({ "users": [user("known")] });
    assert_eq!(herald.rest("/user/user_register", &admin, known).await["errCode"], 0);
    let letters = "may hold letters, digits and _ - . @ only";
    let rows = [
        ("no list", "{}".into(), "1001: users must name at least one user"),
        ("an empty list", of(json!([])), "1001: users must name at least one user"),
        ("a user without a name", of(json!([{}])), "1001: users is empty"),
        ("names only", of(json!(["new"])), "1001: body: invalid type: string"),
        ("a number for a name", of(json!([{ "userID": 1 }])), "1001: users: invalid type: int"),
        ("users by position", of(json!([["pos", "N"]])), "1001: body: invalid type: sequence"),
        ("no nickname", of(json!([{ "userID": "new" }])), "1001: \"new\" has no nickname"),
        ("a colon", of(json!([user("new"), user("a:b")])), &format!("1001: \"a:b\" {letters}")),
        ("a space", of(json!([user("new"), user("a b")])), &format!("1001: \"a b\" {letters}")),
        ("another alphabet", of(json!([user("ü")])), &format!("1001: \"ü\" {letters}")),
        ("a long name", of(json!([user(&"a".repeat(257))])), "1001: longer than 256 bytes"),
        ("one twice", of(json!([user("new"), user("new")])), "1001: is in the list twice"),
        ("1001 users", of(json!(vec![user("new"); 1001])), "1001: 1001 users, 1000 at most"),
        ("one known", of(json!([user("new"), user("known")])), "1102: known is registered al"),
    ];
    check_bodies(&herald, "imAdmin", "/user/user_register", &rows).await;
    let asked = json!({ "checkUserIDs": ["new"] });
    let answer = herald.rest("/user/account_check", &admin, asked).await;
    assert_eq!(answer["data"]["results"][0]["accountStatus"], 0);
}

#[tokio::test]
async fn a_bad_subscription_is_refused() {
    let herald = Herald::start(|_| {}).await;
    let of = |fields: &str| format!(r#"{{"userID":"u1",{fields}}}"#);
    let others = "1002: NoPermissionError: only \"u2\" or an administrator may do this";
    let one = r#""userIDs":["u2"]"#;
    let rows = [
        ("nothing", "{}".into(), "1001: userID is empty"),
        ("another user", r#"{"userID":"u2"}"#.into(), others),
        ("nobody", of(r#""userIDs":[],"genre":1"#), "1001: must name at least one user"),
        ("no genre", of(one), "1001: genre 0 is neither 1 (subscribe) nor 2 (cancel)"),
        ("genre 3", of(&format!(r#"{one},"genre":3"#)), "1001: genre 3 is neither"),
        ("a genre as text", of(&format!(r#"{one},"genre":"1""#)), "1001: body: invalid type: str"),
        ("no connection", of(&format!(r#"{one},"genre":1"#)), "1004: there is none; log in first"),
    ];
    check_bodies(&herald, "u1", "/user/subscribe_users_status", &rows).await;
    check_bodies(&herald, "u1", "/user/get_subscribe_users_status", &rows[..2]).await;
}

#[tokio::test]
async fn more_than_a_connection_may_watch_is_refused_over_rest() {
    let herald = Herald::start(|_| {}).await;
    let identity = identity("u1", Platform::Web);
    let _client = herald.try_login(&identity).await.unwrap();
    let mut told = Vec::new();
    for page in 0..4 {
        let users: Vec<String> = (0..1_000).map(|n| format!("w{}", page * 1_000 + n)).collect();
        let asked = json!({ "userID": "u1", "userIDs": users, "genre": 1 });
        let answer = herald.rest("/user/subscribe_users_status", &identity.token, asked).await;
        told.push(answer["errCode"].as_i64().unwrap());
    }
    assert_eq!(told, [0, 0, 0, 1001]);
}

#[tokio::test]
async fn a_bad_status_is_refused_and_brings_nobody_online() {
    let herald = Herald::start(|_| {}).await;
    let of = |fields: &str| format!(r#"{{"userID":"u1","platformID":5,"status":1,{fields}}}"#);
    let others = "1002: NoPermissionError: only \"u2\" or an administrator may do this";
    let rows = [
        ("nothing", "{}".into(), "1001: userID is empty"),
        ("another user", r#"{"userID":"u2","platformID":5,"status":1}"#.into(), others),
        ("no platform", r#"{"userID":"u1","status":1}"#.into(), "1001: platformID 0 is not"),
        ("platform 12", of(r#""platformID":12"#), "1001: platformID 12 is not 1 to 11"),
        ("no status", of(r#""status":null"#), "1001: status is missing"),
        ("status 2", of(r#""status":2"#), "1001: status 2 is neither 1 (set) nor 0"),
        ("a status as text", of(r#""status":"1""#), "1001: body: invalid type: string"),
        ("a status of true", of(r#""status":true"#), "1001: body: invalid type: boolean"),
        ("unknown", of(r#""availability":"asleep""#), "1001: unknown variant `asleep`, expected"),
        ("in capitals", of(r#""availability":"Away""#), "1001: unknown variant `Away`"),
        ("a long text", of(&format!(r#""text":"{}""#, "é".repeat(257))), "1001: 512 bytes"),
        ("a long emoji", of(&format!(r#""emoji":"{}""#, "x".repeat(65))), "1001: 64 bytes"),
        ("a text of numbers", of(r#""text":[1]"#), "1001: body: invalid type: sequence"),
        ("seconds", of(r#""expireAt":1795374105"#), "1001: 1795374105 is not in milliseconds"),
        ("in 2001", of(r#""expireAt":1000000000000"#), "1001: 1000000000000 has passed"),
        ("before 1970", of(r#""expireAt":-1"#), "1001: body: invalid value: integer `-1`"),
        ("as text", of(r#""expireAt":"tomorrow""#), "1001: body: invalid type: string"),
        ("for ever", of(r#""expireAt":18446744073709551615"#), "1001: more than ten years away"),
        ("in 2100", of(r#""expireAt":4102444800000"#), "1001: more than ten years away"),
    ];
    check_bodies(&herald, "u1", "/user/set_user_status", &rows).await;
    only_a_fresh_client_is_online(&herald).await;
}

#[tokio::test]
async fn a_bad_request_to_the_management_api_is_told_by_a_problem_document() {
    let herald = Herald::start(|_| {}).await;
    let bearer = format!("Authorization: Bearer {}", herald.running.admin_token);
    check::<&str>(
        "admin",
        &[
            ("an unknown state", "GET /v1/users?state=away", "400: state=away: only online is"),
            ("an unknown state", "GET /v1/callbacks?state=lost", "400: state=lost: pending, del"),
            ("an unknown endpoint", "GET /v1/callbacks?endpoint=mian", "404: no endpoint \"mian\""),
            (
                "an unknown endpoint to replay to",
                r#"POST /v1/callbacks/replay {"state":"dead","endpoint":"mian"}"#,
                "404: no endpoint",
            ),
            (
                "an unknown endpoint to purge of",
                r#"POST /v1/callbacks/purge {"state":"dead","endpoint":"mian"}"#,
                "404: no endpoint",
            ),
            ("no id", "GET /v1/callbacks/7", "400: a callback id has the form endpoint:seq:user"),
            ("no number", "GET /v1/callbacks/main:x:u1", "400: has the form endpoint:seq:user"),
            ("unknown", "GET /v1/callbacks/main:7:u1", "404: no callback main:7:u1 is known"),
            ("no id to replay", "POST /v1/callbacks/7/replay", "400: form endpoint:seq:user"),
            ("nothing to replay", "POST /v1/callbacks/main:7:u1/replay", "404: main:7:u1 is set"),
            ("no such endpoint", "POST /v1/endpoints/other/resume", "404: no endpoint \"other\""),
            ("kick: no JSON", "POST /v1/users/u1/kick {", "400: body: EOF"),
            ("kick: a text", r#"POST /v1/users/u1/kick "all""#, "400: expected a JSON object"),
            ("kick: a word", "POST /v1/users/u1/kick all", "400: expected a JSON object"),
            ("kick: a list", "POST /v1/users/u1/kick []", "400: expected a JSON object"),
            ("kick: nobody", "POST /v1/users//kick", "400: the user of the path is empty"),
            ("kick: two lines", "POST /v1/users/a%0Ab/kick", "400: holds a control character"),
            ("kick: platform 12", r#"POST /v1/users/u1/kick {"platformID":12}"#, "400: 12 is not"),
            ("kick: as text", r#"POST /v1/users/u1/kick {"platformID":"5"}"#, "400: body: inval"),
            ("kick: a bad conn", r#"POST /v1/users/u1/kick {"connID":"zz"}"#, "400: 32 hexadec"),
            ("kick: both", &format!("POST /v1/users/u1/kick {BOTH}"), "400: or connID, not both"),
            ("kick: a typo", r#"POST /v1/users/u1/kick {"platform":5}"#, "400: unknown field `pl"),
            ("status: no body", "PUT /v1/users/u1/status", "400: expected a JSON object"),
            ("status: no JSON", "PUT /v1/users/u1/status away", "400: expected a JSON object"),
            ("status: a list", "PUT /v1/users/u1/status []", "400: expected a JSON object"),
            ("status: nobody", "PUT /v1/users//status {}", "400: the user of the path is empty"),
            ("status: two lines", "DELETE /v1/users/a%0Ab/status", "400: control character"),
            ("status: for ever", &format!("PUT /v1/users/u1/status {FOR_EVER}"), "400: ten years"),
            ("status: 1970", r#"PUT /v1/users/u1/status {"expireAt":5}"#, "400: in milliseconds"),
            ("a long name", &format!("GET /v1/users/{}", "x".repeat(257)), "400: than 256 bytes"),
            ("no UTF-8", "GET /v1/users/%ff", "400: Invalid UTF-8"),
            ("no number", "GET /v1/users?limit=x", "400: limit: invalid digit"),
            ("no number", "GET /v1/callbacks?cursor=x", "400: cursor: invalid digit"),
            ("a huge seq", "GET /v1/callbacks/main:9007199254740992:u", "400: has the form"),
            ("another method", "POST /v1/users", "405: other methods"),
            ("status: platform 0", r#"PUT /v1/users/u1/status {"platformID":0}"#, "400: 0 is not"),
            ("status: unknown", &format!("PUT /v1/users/u1/status {ASLEEP}"), "400: `asleep`"),
            ("status: a typo", r#"PUT /v1/users/u1/status {"expires":1}"#, "400: unknown field"),
            ("status: a number", r#"PUT /v1/users/u1/status {"text":7}"#, "400: invalid type: in"),
            ("an unknown route", "GET /v1/nothing", "404: there is no such route"),
            ("an unknown route", "GET /nothing", "404: there is no such route"),
        ],
        async |input| manage(&herald, &bearer, input).await,
    )
    .await;
    only_a_fresh_client_is_online(&herald).await;
}

const BOTH: &str = r#"{"platformID":5,"connID":"00000000000000000000000000000000"}"#;
const ASLEEP: &str = r#"{"availability":"asleep"}"#;
const FOR_EVER: &str = r#"{"expireAt":18446744073709551615}"#;

#[tokio::test]
async fn whoever_does_not_bring_the_token_is_told_where_it_is() {
    let told = "401: Authorization: Bearer TOKEN … in the file admin-token";
    for input in ["GET /v1/users", "GET /v1/callbacks/7", "POST /v1/users/u1/kick {"] {
        // After ten wrong ones none is looked at.
        let herald = Herald::start(|_| {}).await;
        let token = &herald.running.admin_token;
        check::<&str>(
            input,
            &[
                ("nothing", "X: Y", told),
                ("an empty header", "Authorization:", told),
                ("an empty token", "Authorization: Bearer ", told),
                ("a wrong token", "Authorization: Bearer x", told),
                ("a client's token", &format!("Authorization: Bearer {SECRET}"), told),
                ("no scheme", &format!("Authorization: {token}"), told),
                ("another scheme", &format!("Authorization: Basic {token}"), told),
                ("a letter short", &format!("Authorization: Bearer {}", &token[1..]), told),
                ("a letter more", &format!("Authorization: Bearer {token}x"), told),
                ("the header of REST", &format!("token: {token}"), told),
            ],
            async |header| manage(&herald, header, input).await,
        )
        .await;
    }
}

/// An input is `METHOD PATH BODY`. `STATUS: DETAIL` of a problem document; what is none as it is.
async fn manage(herald: &Herald, header: &str, input: &str) -> String {
    let mut words = input.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (method, path, body) = (word(), word(), word());
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: herald\r\nConnection: close\r\n{header}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(herald.running.admin, &request).await;
    let (head, body) = answer.split_once(": ").unwrap_or((&answer, ""));
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    let head_of_it = format!("{} application/problem+json", problem["status"]);
    if head != head_of_it || problem["type"] != "about:blank" || !problem["title"].is_string() {
        return answer;
    }
    format!("{}: {}", problem["status"], problem["detail"].as_str().unwrap())
}

#[tokio::test]
async fn a_bad_file_is_told_alike_by_config_check_and_by_serve() {
    let folder = tempfile::tempdir().unwrap();
    const SECRET_SET: &str = "HERALD_AUTH__SECRET=abcdefghijklmnop";
    check(
        "file",
        &[
            ("no TOML", "[gateway", "78: herald.toml:1:9: unclosed table, expected `]`"),
            ("JSON", r#"{"gateway": 1}"#, "78: herald.toml:1:1: "),
            ("a typo", "presence.offline_grac = '5s'", "78: did you mean offline_grace?"),
            ("a section too many", "[tls]", "78: herald.toml:1: tls: unknown section"),
            ("no unit", "gateway.read_timeout = 30", "78: expected a duration such as \"30s\""),
            ("a name for an address", "api.listen = 'localhost:1'", "78: expected an address"),
            ("too large", "gateway.frame_bytes_max = '2MiB'", "78: from \"1KiB\" to \"1MiB\""),
            ("too many", "gateway.connections_max = 0", "78: must be from 1 to 10000000"),
            ("no URL", "callbacks.url = 'app.example'", "78: must begin with https:// or http"),
            ("one port twice", "api.listen = '0.0.0.0:10001'", "78: must have another port than"),
            ("late pings", "gateway.ping_interval = '1h'", "78: must be shorter than gateway.re"),
            ("a bad level", "\nlog.level = 'inof'", "78: herald.toml:2: log.level = 'inof': exp"),
            ("all at once", ALL_AT_ONCE, "78: toml:1: gateway.list … :2: log.levle … :3: store.p"),
        ],
        async |file| {
            std::fs::write(folder.path().join("herald.toml"), file).unwrap();
            let line = |command: &str| format!("{SECRET_SET} {command} herald.toml");
            let checked = herald(folder.path(), &line("config check")).await;
            let served = herald(folder.path(), &line("serve --config")).await;
            if checked == served { checked } else { format!("{checked} | {served}") }
        },
    )
    .await;
}

const ALL_AT_ONCE: &str = "gateway.listen = 1\nlog.levle = 'info'\nstore.path = ''";

#[tokio::test]
async fn a_bad_command_line_or_environment_ends_with_its_code_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let missing = "78: auth.secret: missing … under [auth] … HERALD_AUTH__SECRET … --dev";
    let known = "78: HERALD_AUTH__SECRET: auth.secret … OpenIM's well-known \"openIM123\"";
    let twice = "78: environment HERALD_AUTH__SECRET_FILE: … keep one of them";
    check(
        "herald",
        &[
            ("no secret", "serve", missing),
            ("no secret to check", "config check", missing),
            ("no secret to dump", "config dump", missing),
            ("no secret to sign with", "token --user u1 --platform web", missing),
            ("an empty secret", "HERALD_AUTH__SECRET= serve", "78: auth.secret: missing"),
            ("a known secret", "HERALD_AUTH__SECRET=openIM123 serve", known),
            ("no file", "serve --config no.toml", "78: no.toml: cannot be read: No such file"),
            ("a folder", "config check .", "78: .: cannot be read: Is a directory"),
            ("a bad value", "HERALD_LOG__FORMAT=xml serve --dev", "78: expected pretty or json"),
            ("a typo", "HERALD_LOG__LEVLE=off serve --dev", "78: did you mean HERALD_LOG__LEVEL?"),
            ("no secret file", "HERALD_AUTH__SECRET_FILE=no serve", "78: by its path … No such"),
            ("two secrets", "HERALD_AUTH__SECRET=a HERALD_AUTH__SECRET_FILE=b serve", twice),
            ("two errors", "HERALD_API__LISTEN=x HERALD_X=y serve", "78: API__LISTEN … HERALD_X:"),
            ("no such command", "server", "2: error: unrecognized subcommand"),
            ("no such argument", "serve --port 1", "2: error: unexpected argument '--port'"),
            ("a file twice", "config check a --config b", "2: error: … cannot be used with"),
            ("no user", "token --platform web", "2: error: … --user <USER>"),
            ("no such platform", "token --user u1 --platform tv", "2: not a platform; try web"),
        ],
        async |line| herald(folder.path(), line).await,
    )
    .await;
}

/// Runs the program to its end; variables come first, as in a shell. `EXIT: STDERR`.
async fn herald(folder: &Path, line: &str) -> String {
    let (variables, arguments): (Vec<_>, Vec<_>) =
        line.split(' ').partition(|word| word.starts_with("HERALD_"));
    let ended = Command::new(env!("CARGO_BIN_EXE_herald"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().filter_map(|variable| variable.split_once('=')))
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    format!("{}: {}", ended.status.code().unwrap_or(-1), String::from_utf8_lossy(&ended.stderr))
}
