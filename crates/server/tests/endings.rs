//! Every way a connection ends, with each kind of client: what the client is told, and what the
//! App. `docs/endings.md` says the same in words.
#![allow(clippy::unwrap_used)]

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use expect_test::{Expect, expect};
use flate2::{Compression, write::GzEncoder};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use server::config::Config;
use std::{io::Write as _, time::Duration};
use support::*;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use wire::{
    envelope,
    frame::{Codec, Encoding, Request, Response},
    identifier::{KICK_ONLINE, LOGOUT, SUB_USER_ONLINE_STATUS},
    message::{Message as _, SubUserOnlineStatus},
    platform::Platform,
    token::Keys,
};

/// How one SDK speaks.
#[derive(Clone, Copy)]
struct Kind {
    query: &'static str,
    codec: Codec,
    /// Whether it waits for a text frame before it says that it is connected.
    first_text_reply: bool,
}

const JS: Kind = Kind {
    query: "&isMsgResp=true&sdkType=js",
    codec: Codec { encoding: Encoding::Json, gzip: false },
    first_text_reply: true,
};
const WASM: Kind = Kind {
    query: "&isMsgResp=true&compression=gzip",
    codec: Codec { encoding: Encoding::Gob, gzip: true },
    first_text_reply: true,
};
const GO: Kind = Kind {
    query: "&sdkVersion=v3.8&compression=gzip",
    codec: Codec { encoding: Encoding::Gob, gzip: true },
    first_text_reply: false,
};
const PLAIN_GOB: Kind = Kind {
    query: "",
    codec: Codec { encoding: Encoding::Gob, gzip: false },
    first_text_reply: false,
};

#[tokio::test]
async fn js() {
    check(JS, same_for_all()).await;
}

#[tokio::test]
async fn wasm() {
    check(WASM, same_for_all()).await;
}

#[tokio::test]
async fn go() {
    check(GO, same_for_all()).await;
}

#[tokio::test]
async fn gob_without_gzip() {
    check(PLAIN_GOB, same_for_all()).await;
}

/// The frames differ in their encoding only.
fn same_for_all() -> Expect {
    expect![[r#"
        the client closes             3001        closed
        the line breaks               -           lost
        silence                       -           lost
        a write stalls                -           lost
        the client falls behind       1008        lost
        the client logs out           2003, 1000  logged_out
        a kick                        2002, 1008  kicked
        a token expires               1008        lost
        the App refuses               2002, 1008  refused
        the server stops              1012        server_lost
        a frame is too large          1009        misbehaved
        a frame unpacks too large     1009        misbehaved
        a frame is unreadable         1007        misbehaved
        a text is unreadable          1007        misbehaved
        WebSocket's rules are broken  1002        misbehaved
        another user's request        1008        misbehaved
        an unknown request            1008        misbehaved
    "#]]
}

/// As the SDKs do; the JS SDK in a browser would dial again if it were closed before it has read
/// the kick.
#[tokio::test]
async fn a_client_that_is_kicked_may_close_by_itself() {
    let herald = Herald::start(|_| {}).await;
    let mut socket = login(&herald, JS).await;
    herald.admin("POST", "/v1/users/u1/kick", "").await;
    assert!(matches!(socket.next().await, Some(Ok(Message::Binary(_)))));
    let code = CloseCode::from(3001);
    let close = CloseFrame { code, reason: "kicked".into() };
    socket.send(Message::Close(Some(close))).await.unwrap();
    assert_eq!(hear(&mut socket, JS.codec).await, "3001");
}

async fn check(kind: Kind, expected: Expect) {
    let endings = [
        ("the client closes", Ending::ClientCloses),
        ("the line breaks", Ending::LineBreaks),
        ("silence", Ending::Silent),
        ("a write stalls", Ending::WriteStalls),
        ("the client falls behind", Ending::FallsBehind),
        ("the client logs out", Ending::LogsOut),
        ("a kick", Ending::Kicked),
        ("a token expires", Ending::TokenExpires),
        ("the App refuses", Ending::Refused),
        ("the server stops", Ending::ServerStops),
        ("a frame is too large", Ending::FrameTooLarge),
        ("a frame unpacks too large", Ending::FrameUnpacksTooLarge),
        ("a frame is unreadable", Ending::FrameUnreadable),
        ("a text is unreadable", Ending::TextUnreadable),
        ("WebSocket's rules are broken", Ending::ProtocolBroken),
        ("another user's request", Ending::RequestOfAnother),
        ("an unknown request", Ending::RequestUnknown),
    ];
    let rows = endings.map(async |(name, ending)| {
        let (told, heard) = ending.play(kind).await;
        format!("{name:<28}  {told:<10}  {heard}\n")
    });
    expected.assert_eq(&futures_util::future::join_all(rows).await.concat());
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    ClientCloses,
    LineBreaks,
    Silent,
    WriteStalls,
    FallsBehind,
    LogsOut,
    Kicked,
    TokenExpires,
    Refused,
    ServerStops,
    FrameTooLarge,
    FrameUnpacksTooLarge,
    FrameUnreadable,
    TextUnreadable,
    ProtocolBroken,
    RequestOfAnother,
    RequestUnknown,
}

const USER: &str = "u1";

type Socket = WebSocketStream<TcpStream>;

impl Ending {
    /// What the client was told, and the reason that the App heard.
    async fn play(self, kind: Kind) -> (String, String) {
        let app = App::start().await;
        if self == Ending::Refused {
            app.answer(|_, _| async { answer(200, r#"{"actionCode":0,"nextCode":1}"#) });
        }
        let url = app.url();
        let herald = Herald::start(|config| {
            config.callbacks.url = Some(url);
            config.callbacks.extra_fields = true;
            self.configure(config);
        })
        .await;
        let good_for_s = if self == Ending::TokenExpires { 2 } else { 3600 };
        let token = Keys::new(SECRET.as_bytes()).issue(USER, Platform::Web, now_s(), good_for_s);
        let mut socket = login_with(&herald, kind, &token).await;
        eventually("the App hears online u1", || async { !app.received().is_empty() }).await;
        let codec = kind.codec;
        let (told, herald) = match self {
            Ending::LineBreaks => {
                drop(socket);
                ("-".to_owned(), Some(herald))
            }
            Ending::ServerStops => {
                let hearing = tokio::spawn(async move { hear(&mut socket, codec).await });
                let herald = herald.restart().await;
                (hearing.await.unwrap(), Some(herald))
            }
            _ => {
                self.bring_about(&herald, &app, &mut socket, codec).await;
                (hear(&mut socket, codec).await, Some(herald))
            }
        };
        let offline = gone(&app).await;
        let reason = offline.json()["reason"].as_str().unwrap().to_owned();
        drop(herald);
        (told, reason)
    }

    fn configure(self, config: &mut Config) {
        config.presence.offline_grace = Duration::from_millis(50);
        config.presence.restart_grace = Duration::from_millis(50);
        match self {
            Ending::Silent => {
                config.gateway.ping_interval = Duration::from_millis(100);
                config.gateway.read_timeout = Duration::from_millis(300);
            }
            Ending::WriteStalls => {
                config.gateway.ping_interval = Duration::from_secs(50);
                config.gateway.read_timeout = Duration::from_secs(60);
            }
            Ending::FallsBehind => config.gateway.outbound_frames_max = 1,
            Ending::TokenExpires => config.auth.end_expired = true,
            _ => {}
        }
    }

    async fn bring_about(self, herald: &Herald, app: &App, socket: &mut Socket, codec: Codec) {
        let mut send = async |message| socket.send(message).await.unwrap();
        match self {
            Ending::ClientCloses => {
                // As the wasm SDK does.
                let code = CloseCode::from(3001);
                send(Message::Close(Some(CloseFrame { code, reason: "old".into() }))).await;
            }
            // Pings go unanswered, because nobody reads here.
            Ending::Silent => drop(gone(app).await),
            Ending::WriteStalls => {
                // Names that gzip makes no shorter.
                let name = |n: u64| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let names: Vec<String> = (1..=400).map(name).collect();
                // Those who are online are known without a look at the disk.
                set_virtual(herald, &names, 1).await;
                let asked = request(codec, SUB_USER_ONLINE_STATUS, USER, subscribe(names));
                // Until the server, which waits for us to read, reads no more either.
                let mut asks = 0;
                while asks < 2_000
                    && tokio::time::timeout(Duration::from_secs(2), send(asked.clone()))
                        .await
                        .is_ok()
                {
                    asks += 1;
                }
                gone(app).await;
            }
            Ending::FallsBehind => {
                let users: Vec<String> = (0..200).map(|n| format!("v{n}")).collect();
                set_virtual(herald, &users, 1).await;
                send(request(codec, SUB_USER_ONLINE_STATUS, USER, subscribe(users.clone()))).await;
                socket.next().await.unwrap().unwrap();
                set_virtual(herald, &users, 0).await;
            }
            Ending::LogsOut => send(request(codec, LOGOUT, USER, Vec::new())).await,
            Ending::Kicked => {
                assert_eq!(herald.admin("POST", "/v1/users/u1/kick", "").await.0, 200);
            }
            Ending::Refused | Ending::TokenExpires => {}
            Ending::FrameTooLarge => send(Message::binary(vec![b' '; 60_000])).await,
            Ending::FrameUnpacksTooLarge => {
                let bytes = vec![b' '; 60_000];
                send(Message::binary(if codec.gzip { gzip(&bytes) } else { bytes })).await;
            }
            Ending::FrameUnreadable => send(Message::binary(vec![1, 2, 3])).await,
            Ending::TextUnreadable => send(Message::text("hello")).await,
            Ending::ProtocolBroken => {
                // An opcode that does not exist.
                socket.get_mut().write_all(&[0x83, 0x80, 0, 0, 0, 0]).await.unwrap();
            }
            Ending::RequestOfAnother => send(request(codec, LOGOUT, "u2", Vec::new())).await,
            Ending::RequestUnknown => send(request(codec, 4711, USER, Vec::new())).await,
            Ending::LineBreaks | Ending::ServerStops => unreachable!("played elsewhere"),
        }
    }
}

/// Waits until the App has heard that the user is offline.
async fn gone(app: &App) -> Received {
    let heard = || app.received().into_iter().find(|heard| heard.what() == "offline u1");
    eventually("the App hears offline u1", || async { heard().is_some() }).await;
    heard().unwrap()
}

/// All of them at once.
async fn set_virtual(herald: &Herald, users: &[String], status: i32) {
    let set = |user| herald.set_status(user, Platform::Web, json!({ "status": status }));
    futures_util::future::join_all(users.iter().map(|user| set(user))).await;
}

async fn login(herald: &Herald, kind: Kind) -> Socket {
    login_with(herald, kind, &token(USER, Platform::Web)).await
}

async fn login_with(herald: &Herald, kind: Kind, token: &str) -> Socket {
    let url = format!(
        "ws://{}/?sendID={USER}&token={}&platformID=5&operationID=op&isBackground=false{}",
        herald.running.gateway, token, kind.query,
    );
    // A small buffer, so that who does not read is noticed soon.
    let line = TcpSocket::new_v4().unwrap();
    line.set_recv_buffer_size(16 << 10).unwrap();
    let line = line.connect(herald.running.gateway).await.unwrap();
    let (mut socket, _) = client_async(url, line).await.unwrap();
    if kind.first_text_reply {
        let first = socket.next().await.unwrap().unwrap();
        assert_eq!(first, Message::text(envelope::SUCCESS));
    }
    socket
}

/// All that comes until the end, without pings and pushes about others.
async fn hear(socket: &mut Socket, codec: Codec) -> String {
    let kick = codec.encode(&Response::push(KICK_ONLINE, Vec::new()));
    let asked = Request {
        identifier: LOGOUT,
        send_id: USER.into(),
        operation_id: "op".into(),
        msg_incr: "incr".into(),
        data: Vec::new(),
    };
    let logged_out = codec.encode(&asked.answer(Vec::new()));
    let mut heard = Vec::new();
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(frame))) if frame == kick => heard.push("2002".to_owned()),
            Some(Ok(Message::Binary(frame))) if frame == logged_out => {
                heard.push("2003".to_owned())
            }
            Some(Ok(Message::Text(text))) => heard.push(format!("text {text}")),
            Some(Ok(Message::Close(Some(frame)))) => heard.push(u16::from(frame.code).to_string()),
            Some(Ok(Message::Close(None))) => heard.push("a close without a code".to_owned()),
            Some(Ok(_)) => {}
            None if heard.is_empty() => return "its own code".to_owned(),
            Some(Err(_)) | None => break,
        }
    }
    if heard.is_empty() { "-".to_owned() } else { heard.join(", ") }
}

fn subscribe(users: Vec<String>) -> Vec<u8> {
    SubUserOnlineStatus { subscribe_user_ids: users, unsubscribe_user_ids: Vec::new() }
        .encode_to_vec()
}

/// A request as the SDK of this codec writes it.
fn request(codec: Codec, identifier: i32, user: &str, data: Vec<u8>) -> Message {
    let plain = match codec.encoding {
        Encoding::Json => json!({
            "reqIdentifier": identifier, "sendID": user, "operationID": "op", "msgIncr": "incr",
            "data": STANDARD.encode(data),
        })
        .to_string()
        .into_bytes(),
        Encoding::Gob => gob(identifier, user, &data),
    };
    Message::binary(if codec.gzip { gzip(&plain) } else { plain })
}

/// The type definition that every Go client sends, then the value.
fn gob(identifier: i32, user: &str, data: &[u8]) -> Vec<u8> {
    const DEFINITION: &[u8] = b"\x65\x7f\x03\x01\x01\x0cGeneralWsReq\x01\xff\x80\x00\x01\x06\
        \x01\x0dReqIdentifier\x01\x04\x00\x01\x05Token\x01\x0c\x00\x01\x06SendID\x01\x0c\x00\
        \x01\x0bOperationID\x01\x0c\x00\x01\x07MsgIncr\x01\x0c\x00\x01\x04Data\x01\x0a\x00\x00\x00";
    let mut value = vec![0xff, 0x80, 1];
    value.extend(uint(identifier as u64 * 2));
    for (delta, field) in [(2, user.as_bytes()), (1, b"op"), (1, b"incr"), (1, data)] {
        if !field.is_empty() {
            value.push(delta);
            value.extend(uint(field.len() as u64));
            value.extend(field);
        }
    }
    value.push(0);
    [DEFINITION, &uint(value.len() as u64), &value].concat()
}

fn uint(number: u64) -> Vec<u8> {
    if number < 128 {
        return vec![number as u8];
    }
    let bytes: Vec<u8> = number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    [vec![(256 - bytes.len()) as u8], bytes].concat()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}
