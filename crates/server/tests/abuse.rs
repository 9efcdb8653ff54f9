//! What one client, or one address, can take of the machine: every door has its bounds.
#![allow(clippy::unwrap_used)]

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use server::client::{Client, Heard};
use std::{net::SocketAddr, time::Duration};
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use wire::{
    identifier::SUB_USER_ONLINE_STATUS,
    message::{Message, SubUserOnlineStatus, SubUserOnlineStatusTips},
    platform::Platform,
};

/// Sends a head that announces a body, and none of it; the answer, which must not wait for it.
async fn without_its_body(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut read = vec![0; 64 * 1024];
    let count = timeout(Duration::from_secs(20), stream.read(&mut read)).await;
    String::from_utf8_lossy(&read[..count.expect("it waits for the body").unwrap()]).into_owned()
}

#[tokio::test]
async fn who_calls_is_known_before_a_body_is_read() {
    let herald = Herald::start(|_| {}).await;
    let user = token("u", Platform::Ios);
    let operation = "operationID: o\r\n";
    let rows = [
        ("/user/get_users_status", operation.to_owned(), "header must have token"),
        ("/user/get_users_status", String::new(), "header must have operationID"),
        ("/user/get_users_status", format!("{operation}token: no.to.ken\r\n"), "150"),
        ("/auth/force_logout", format!("{operation}token: {user}\r\n"), "administrator"),
        ("/friend/get_friend_list", operation.to_owned(), "header must have token"),
        ("/auth/parse_token", operation.to_owned(), "body: longer than 16384 bytes"),
    ];
    for (path, headers, words) in rows {
        let answer = without_its_body(herald.running.api, path, &headers).await;
        assert!(answer.contains(words), "{path}: {answer}");
    }
    let answer = without_its_body(herald.running.admin, "/v1/diff", "").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

/// One user's long requests are refused before those of others are.
#[tokio::test]
async fn the_bodies_of_one_user_keep_out_nobody_else() {
    let herald = Herald::start(|_| {}).await;
    let held = (0..4).map(async |_| {
        let mut stream = TcpStream::connect(herald.running.api).await.unwrap();
        let token = token("greedy", Platform::Ios);
        let head = format!(
            "POST /user/get_users_status HTTP/1.1\r\nHost: x\r\noperationID: o\r\ntoken: {token}\r\n\
             Content-Length: 1000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let _ = stream.write_all(&[b' '; 999_999]).await;
        stream
    });
    let mut held = futures_util::future::join_all(held).await;
    let mut told = String::new();
    for stream in &mut held {
        let mut read = [0; 4096];
        if let Ok(Ok(count)) = timeout(Duration::from_millis(300), stream.read(&mut read)).await {
            told.push_str(&String::from_utf8_lossy(&read[..count]));
        }
    }
    assert!(told.contains("too many long requests"), "{told}");
    let names: Vec<String> = (0..900).map(|n| format!("{n:0>100}")).collect();
    let asks = json!({ "userIDs": names });
    let answer = herald.rest("/user/get_users_status", &token("u", Platform::Ios), asks).await;
    assert_eq!(answer["errCode"], 0, "{answer}");
}

async fn watch(client: &mut Client, user: &str, names: Vec<String>) -> Vec<String> {
    let said = SubUserOnlineStatus { subscribe_user_ids: names, unsubscribe_user_ids: Vec::new() };
    let data = STANDARD.encode(said.encode_to_vec());
    client.request(user, SUB_USER_ONLINE_STATUS, &data).await.unwrap();
    let Heard::Frame(frame) = client.hear().await else { panic!("the line ended") };
    let data = STANDARD.decode(frame["data"].as_str().unwrap()).unwrap();
    let tips = SubUserOnlineStatusTips::decode(data.as_slice()).unwrap();
    tips.subscribers.into_iter().map(|element| element.user_id).collect()
}

#[tokio::test]
async fn only_names_that_somebody_can_have_are_watched() {
    let herald = Herald::start(|_| {}).await;
    let mut client = herald.login("w", Platform::Web).await;
    let names = ["x".repeat(257), "a\nb".into(), String::new(), "y".repeat(256), "u".into()];
    let answered = watch(&mut client, "w", names.to_vec()).await;
    assert_eq!(answered, ["y".repeat(256), "u".to_owned()]);
}

#[tokio::test]
async fn all_connections_of_a_user_watch_so_many_together() {
    let herald = Herald::start(|_| {}).await;
    let mut clients = Vec::new();
    for connection in 0..5 {
        let mut client = herald.login("w", Platform::Web).await;
        for part in 0..3 {
            let name = |n| format!("user-{connection}-{part}-{n}");
            assert_eq!(watch(&mut client, "w", (0..1_000).map(name).collect()).await.len(), 1_000);
        }
        clients.push(client);
    }
    // The last ones were answered, and are not watched.
    let _first = herald.login("user-0-0-0", Platform::Web).await;
    assert!(matches!(clients[0].hear().await, Heard::Frame(_)));
    let _last = herald.login("user-4-2-999", Platform::Web).await;
    let nothing = timeout(Duration::from_millis(300), clients[4].hear()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    drop(clients.remove(0));
    let mut client = herald.login("w", Platform::Web).await;
    eventually("there is room again", || async {
        herald.metric("herald_connections").await <= 7.0
    })
    .await;
    watch(&mut client, "w", vec!["later".into()]).await;
    let _later = herald.login("later", Platform::Web).await;
    assert!(matches!(client.hear().await, Heard::Frame(_)));
}

#[tokio::test]
async fn accounts_are_bounded_and_told_once() {
    let herald = Herald::start(|_| {}).await;
    let admin = json!({ "secret": SECRET, "userID": "imAdmin" });
    let admin = herald.rest("/auth/get_admin_token", "", admin).await;
    let admin = admin["data"]["token"].as_str().unwrap().to_owned();
    let register = async |user: Value| {
        herald.rest("/user/user_register", &admin, json!({ "users": [user] })).await
    };
    for (field, most) in [("nickname", 256), ("faceURL", 1024), ("ex", 4096)] {
        let mut user = json!({ "userID": "long", "nickname": "n" });
        user[field] = json!("x".repeat(most + 1));
        let answer = register(user).await;
        assert_eq!(answer["errCode"], 1001, "{answer}");
        assert!(answer["errDlt"].as_str().unwrap().contains(&format!("more than {most} bytes")));
    }
    let long = json!({ "userID": "u", "nickname": "n", "ex": "x".repeat(4096) });
    assert_eq!(register(long).await["errCode"], 0);
    let asks = json!({ "userIDs": vec!["u"; 300] });
    let answer = herald.rest("/user/get_users_info", &token("v", Platform::Ios), asks).await;
    assert_eq!(answer["data"]["usersInfo"].as_array().unwrap().len(), 1);
}

async fn admin_token(herald: &Herald, secret: &str) -> Value {
    let asks = json!({ "secret": secret, "userID": "imAdmin" });
    herald.rest("/auth/get_admin_token", "", asks).await
}

#[tokio::test]
async fn after_ten_wrong_secrets_no_more_are_looked_at_for_a_while() {
    let herald = Herald::start(|_| {}).await;
    for n in 0..10 {
        let answer = admin_token(&herald, &format!("guess {n}")).await;
        assert_eq!(answer["errDlt"], "secret invalid", "{answer}");
    }
    let right = admin_token(&herald, SECRET).await;
    assert_eq!(right["errCode"], 1002, "{right}");
    let why = right["errDlt"].as_str().unwrap();
    assert!(why.contains("too many wrong secrets from 127.0.0.1"), "{why}");
    // Who guesses there, perhaps from behind the same proxy, locks no operator out.
    assert_eq!(herald.admin("GET", "/v1/endpoints", "").await.0, 200);
    assert_eq!(herald.metric("herald_wrong_secrets_total").await, 11.0);
    // Who needs no secret is not concerned.
    let _client = herald.login("u", Platform::Ios).await;
}

#[tokio::test]
async fn a_wrong_token_of_the_management_api_counts_and_none_at_all_does_not() {
    let herald = Herald::start(|_| {}).await;
    let (address, token) = herald.door();
    for n in 0..12 {
        let none = server::client::http(address, "GET", "/v1/endpoints", &[], "").await.unwrap();
        assert_eq!(none.0, 401);
        let status =
            ask_admin(&(address, format!("wrong{n}")), "GET", "/v1/endpoints", b"").await.0;
        assert_eq!(status, if n < 10 { 401 } else { 429 }, "{n}");
    }
    assert_eq!(ask_admin(&(address, token), "GET", "/v1/endpoints", b"").await.0, 429);
}

/// Dials with what a proxy puts before it; the first line of the answer, and the connection.
async fn dial(herald: &Herald, user: &str, before: &str, headers: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(herald.running.gateway).await.unwrap();
    let token = token(user, Platform::Web);
    let request = format!(
        "{before}GET /?sendID={user}&platformID=5&token={token}&operationID=o&sdkType=js&isBackground=false HTTP/1.1\r\n\
         Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = [0; 4096];
    let count = timeout(Duration::from_secs(20), stream.read(&mut read)).await.unwrap();
    let answer = String::from_utf8_lossy(&read[..count.unwrap_or_default()]).into_owned();
    (answer.lines().next().unwrap_or_default().to_owned(), stream)
}

async fn address_of(herald: &Herald, user: &str) -> Value {
    let (_, view) = herald.admin("GET", &format!("/v1/users/{user}"), "").await;
    view["connections"][0]["address"].clone()
}

#[tokio::test]
async fn the_address_of_a_client_is_known_also_behind_proxies_that_are_trusted() {
    let forwarded = "X-Forwarded-For: 203.0.113.9, 127.0.0.1\r\n";
    let direct = Herald::start(|_| {}).await;
    let (first, _open) = dial(&direct, "u", "", forwarded).await;
    assert!(first.contains("101"), "{first}");
    assert_eq!(address_of(&direct, "u").await, "127.0.0.1", "nobody is trusted");

    let behind = Herald::start(|c| c.gateway.trusted_proxies = vec!["127.0.0.0/8".into()]).await;
    let (_, _open) = dial(&behind, "u", "", forwarded).await;
    assert_eq!(address_of(&behind, "u").await, "203.0.113.9");

    let spoken = Herald::start(|config| {
        config.gateway.trusted_proxies = vec!["127.0.0.1".into(), "10.0.0.0/8".into()];
        config.gateway.proxy_protocol = true;
    })
    .await;
    let named = "PROXY TCP4 10.5.5.5 10.0.0.1 5 80\r\n";
    let (_, _open) = dial(&spoken, "w", named, forwarded).await;
    assert_eq!(
        address_of(&spoken, "w").await,
        "10.5.5.5",
        "whom the proxy names names nobody else"
    );
    let header = "PROXY TCP4 203.0.113.7 10.0.0.1 5 80\r\n";
    let (first, _open) = dial(&spoken, "u", header, "").await;
    assert!(first.contains("101"), "{first}");
    assert_eq!(address_of(&spoken, "u").await, "203.0.113.7");
    let (first, _closed) = dial(&spoken, "v", "", "").await;
    assert_eq!(first, "", "a proxy that does not speak it is no proxy of ours");
}

/// Where a proxy hands them on, each of its clients has as many requests under way as it may.
#[tokio::test]
async fn the_clients_of_a_proxy_have_a_limit_of_requests_each() {
    let herald = Herald::start(|config| {
        config.gateway.trusted_proxies = vec!["127.0.0.1".into()];
        config.gateway.pending_per_address_max = 2;
    })
    .await;
    let head = |client: &str| {
        format!(
            "POST /auth/get_admin_token HTTP/1.1\r\nHost: x\r\noperationID: o\r\n\
             X-Forwarded-For: {client}\r\nContent-Length: 9\r\n\r\n"
        )
    };
    let mut lines = Vec::new();
    let mut answer_of = async |client: &str| {
        let mut line = TcpStream::connect(herald.running.api).await.unwrap();
        line.write_all(head(client).as_bytes()).await.unwrap();
        let mut read = [0; 12];
        let answer = timeout(Duration::from_millis(300), line.read_exact(&mut read)).await;
        lines.push(line);
        answer.map(|_| String::from_utf8_lossy(&read).into_owned()).ok()
    };
    for _ in 0..2 {
        assert_eq!(answer_of("203.0.113.9").await, None, "its body is waited for");
    }
    assert_eq!(answer_of("203.0.113.9").await.as_deref(), Some("HTTP/1.1 429"));
    assert_eq!(answer_of("203.0.113.8").await, None, "another client");
}

#[tokio::test]
async fn silent_connections_of_one_address_keep_nobody_out() {
    let herald = Herald::start(|c| c.gateway.pending_per_address_max = 3).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(herald.running.gateway).await.unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _client = herald.login("u", Platform::Ios).await;
    let closed = timeout(Duration::from_secs(20), silent[0].read(&mut [0; 9])).await.unwrap();
    assert_eq!(closed.unwrap_or_default(), 0, "the one that is silent longest");
    let open = timeout(Duration::from_millis(100), silent[2].read(&mut [0; 9])).await;
    assert!(open.is_err(), "{open:?}");
}

#[tokio::test]
async fn an_address_has_as_many_clients_as_the_operator_likes() {
    let herald = Herald::start(|config| {
        config.gateway.clients_per_address_max = 2;
        config.gateway.trusted_proxies = vec!["127.0.0.1".into()];
    })
    .await;
    let (_, first) = dial(&herald, "a", "", "X-Forwarded-For: 203.0.113.1\r\n").await;
    let (_, _second) = dial(&herald, "b", "", "X-Forwarded-For: 203.0.113.1\r\n").await;
    let third = async || dial(&herald, "c", "", "X-Forwarded-For: 203.0.113.1\r\n").await.0;
    assert!(third().await.contains("200"), "it reads a refusal");
    let (other, _open) = dial(&herald, "d", "", "X-Forwarded-For: 203.0.113.2\r\n").await;
    assert!(other.contains("101"), "{other}");
    drop(first);
    eventually("a place is free again", || async { third().await.contains("101") }).await;
}

/// Who did it, from where, to whom; and never a token.
#[tokio::test]
async fn what_an_administrator_does_is_a_line_in_the_log() {
    let (app, folder) = (App::start().await, tempfile::tempdir().unwrap());
    let mut herald =
        process::Process::new(folder.path(), &app.url(), &[("HERALD_LOG__LEVEL", "info")]);
    herald.start().await;
    let rest = async |path: &str, token: &str, body: Value| -> Value {
        let headers = [("operationID", "op-audit"), ("token", token)];
        let (_, answer) =
            server::client::http(herald.api, "POST", path, &headers, &body.to_string())
                .await
                .unwrap();
        serde_json::from_str(&answer).unwrap()
    };
    let asks = json!({ "secret": SECRET, "userID": "imAdmin" });
    let admin = rest("/auth/get_admin_token", "", asks).await;
    let admin = admin["data"]["token"].as_str().unwrap().to_owned();
    let users = json!({ "users": [{ "userID": "victim", "nickname": "v" }] });
    rest("/user/user_register", &admin, users).await;
    let of = json!({ "userID": "victim", "platformID": 5 });
    let made = rest("/auth/get_user_token", &admin, of.clone()).await;
    let made = made["data"]["token"].as_str().unwrap().to_owned();
    rest("/auth/force_logout", &admin, of).await;
    let status = json!({ "userID": "victim", "platformID": 5, "status": 1 });
    rest("/user/set_user_status", &admin, status).await;
    for path in ["/v1/users/victim/kick", "/v1/endpoints/main/pause", "/v1/endpoints/main/resume"] {
        // Each is said, also what was just done by the same one.
        for _ in 0..2 {
            herald.post(path, &json!({})).await.unwrap();
        }
    }
    herald.post("/v1/callbacks/purge", &json!({ "state": "dead" })).await.unwrap();
    // Lines are written by a thread of their own.
    eventually("all is written", || async { herald.log_text().contains("/callbacks/purge") }).await;
    let log = herald.log_text();
    for words in [
        ["an administrator's token was made", "auth.secret", "imAdmin"],
        ["users were registered", "imAdmin", "victim"],
        ["a token was made", "imAdmin", "victim"],
        ["a forced logout", "imAdmin", "victim"],
        ["a status was set", "imAdmin", "victim"],
        ["management call", "POST /v1/callbacks/purge", "state"],
        ["management call", "POST /v1/callbacks/purge", "dead"],
    ] {
        let told = |line: &&str| {
            line.contains("127.0.0.1") && words.iter().all(|word| line.contains(word))
        };
        assert_eq!(log.lines().filter(told).count(), 1, "{words:?} in\n{log}");
    }
    for (path, status) in [("victim/kick", "200"), ("main/pause", "204"), ("main/resume", "204")] {
        let told =
            |line: &&str| ["management call", path, status].iter().all(|word| line.contains(word));
        assert_eq!(log.lines().filter(told).count(), 2, "{path} in\n{log}");
    }
    assert!(!log.contains(&admin) && !log.contains(&made) && !log.contains(SECRET));
}

/// A client that writes and writes is read later; nobody else is, and it is not cut.
#[tokio::test]
async fn requests_that_cost_much_are_read_at_a_pace() {
    use wire::{identifier::SET_BACKGROUND_STATUS, message::SetAppBackgroundStatusReq};
    let herald = Herald::start(|_| {}).await;
    let mut greedy = herald.login("greedy", Platform::Web).await;
    use server::clock::{Clock, SystemClock};
    let clock = SystemClock::start();
    let began = clock.now().mono;
    for n in 0..200 {
        let said =
            SetAppBackgroundStatusReq { user_id: "greedy".into(), is_background: n % 2 == 0 };
        let data = STANDARD.encode(said.encode_to_vec());
        greedy.request("greedy", SET_BACKGROUND_STATUS, &data).await.unwrap();
    }
    let mut answered = 0;
    while let Ok(heard) = timeout(Duration::from_millis(1_200), greedy.hear()).await {
        assert!(matches!(heard, Heard::Frame(_)), "{heard:?}");
        answered += 1;
        if answered > 41 {
            break;
        }
    }
    let most = 40.0 + 2.0 * began.until(clock.now().mono).as_secs_f64() + 1.0;
    assert!(answered >= 40 && f64::from(answered) <= most, "{answered} of at most {most}");
    let mut other = herald.login("other", Platform::Web).await;
    assert_eq!(watch(&mut other, "other", vec!["u".into()]).await, ["u"]);
}

/// The status line of an answer to a raw request.
async fn status_of(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = [0; 4096];
    let count = timeout(Duration::from_secs(20), stream.read(&mut read)).await.unwrap();
    let answer = String::from_utf8_lossy(&read[..count.unwrap_or_default()]).into_owned();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_is_no_request_for_a_server_is_told_so_at_every_port() {
    let herald = Herald::start(|_| {}).await;
    let running = &herald.running;
    for address in [running.gateway, running.api, running.admin] {
        for (request, status) in [
            ("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n", "405"),
            ("GET / HTTP/1.1\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ] {
            assert_eq!(status_of(address, request).await, status, "{request}");
        }
        let old = status_of(address, "GET /healthz HTTP/1.0\r\n\r\n").await;
        assert!(old != "400" || address == running.gateway, "{old}");
    }
}

#[tokio::test]
async fn the_sample_app_takes_no_callback_of_a_web_page() {
    use server::{app, listener::Listener};
    let router = app::router(Default::default(), Default::default(), Box::new(|_, _| {}));
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(any_port, Duration::from_secs(9)).await.unwrap();
    let address = listener.address().unwrap();
    tokio::spawn(listener.serve(router, Default::default()));
    let body = r#"{"userID":"u","callbackCommand":"callbackUserOnlineCommand","seq":1,"isAppBackground":false,"connID":"c"}"#;
    let post = |origin: &str| {
        format!(
            "POST /?command=callbackUserOnlineCommand&contenttype=json HTTP/1.1\r\nHost: x\r\n{origin}\
             operationID: o\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    assert_eq!(status_of(address, &post("Origin: http://evil.example\r\n")).await, "403");
    assert_eq!(status_of(address, &post("")).await, "200");
}

#[tokio::test]
async fn one_user_asks_about_so_many_others_and_administrators_about_all() {
    let herald = Herald::start(|_| {}).await;
    let names: Vec<String> = (0..1_000).map(|n| format!("user-{n}")).collect();
    let asks = json!({ "userIDs": names });
    let code = async |token: &str| {
        let answer = herald.rest("/user/get_users_status", token, asks.clone()).await;
        answer["errCode"].as_i64().unwrap()
    };
    let user = token("greedy", Platform::Ios);
    let codes = futures_util::future::join_all((0..40).map(|_| code(&user))).await;
    assert!(codes.contains(&0) && codes.contains(&500), "{codes:?}");
    assert_eq!(code(&token("other", Platform::Ios)).await, 0);
    let admin = admin_token(&herald, SECRET).await;
    let admin = admin["data"]["token"].as_str().unwrap().to_owned();
    let codes = futures_util::future::join_all((0..20).map(|_| code(&admin))).await;
    assert!(codes.iter().all(|code| *code == 0), "{codes:?}");
}
