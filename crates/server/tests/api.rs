//! The REST operations and the management API where all is well: shapes as OpenIM's SDKs and
//! backends know them. What is refused is in `bad_input.rs`.
#![allow(clippy::unwrap_used)]

mod support;

use expect_test::expect;
use serde_json::{Value, json};
use server::client::{Client, http};
use support::*;
use wire::{code::Code, platform::Platform};

#[tokio::test]
async fn a_backend_gets_its_token_registers_users_and_gets_theirs() {
    let herald = Herald::start(|_| {}).await;
    let secret = json!({ "secret": SECRET, "userID": "imAdmin" });
    let answer = herald.rest("/auth/get_admin_token", "", secret).await;
    assert_eq!(answer["data"]["expireTimeSeconds"], 90 * 24 * 3600);
    let admin = answer["data"]["token"].as_str().unwrap().to_owned();

    let alice = json!({ "userID": "alice", "nickname": "Alice", "faceURL": "http://a/a.png" });
    let users = json!({ "users": [alice, { "userID": "bob", "nickname": "Bob" }] });
    let registered = herald.rest("/user/user_register", &admin, users.clone()).await;
    assert_eq!(registered.to_string(), r#"{"errCode":0,"errDlt":"","errMsg":""}"#);
    let again = herald.rest("/user/user_register", &admin, users).await;
    assert_eq!(again["errCode"], Code::RegisteredAlready.number());

    let check = json!({ "checkUserIDs": ["bob", "nobody"] });
    let checked = herald.rest("/user/account_check", &admin, check).await;
    expect![[r#"[{"accountStatus":1,"userID":"bob"},{"accountStatus":0,"userID":"nobody"}]"#]]
        .assert_eq(&checked["data"]["results"].to_string());

    let ask = json!({ "userID": "alice", "platformID": 5 });
    let answer = herald.rest("/auth/get_user_token", &admin, ask).await;
    let token = answer["data"]["token"].as_str().unwrap().to_owned();
    let parsed = herald.rest("/auth/parse_token", "", json!({ "token": token })).await;
    assert_eq!(
        (&parsed["data"]["userID"], &parsed["data"]["platformID"]),
        (&json!("alice"), &json!(5))
    );
    let expires = parsed["data"]["expireTimeSeconds"].as_i64().unwrap();
    assert!(expires > now_s(), "here a point in time, not a duration");

    let info = json!({ "userIDs": ["alice", "nobody"] });
    let info = herald.rest("/user/get_users_info", &token, info).await;
    let users = info["data"]["usersInfo"].as_array().unwrap();
    assert_eq!(users.len(), 1);
    for (field, value) in [("nickname", "Alice"), ("faceURL", "http://a/a.png"), ("ex", "")] {
        assert_eq!(users[0][field], value);
    }
    for field in ["createTime", "appMangerLevel", "globalRecvMsgOpt"] {
        assert!(users[0][field].is_number(), "{field}");
    }
}

#[tokio::test]
async fn online_status_is_told_to_administrators_with_each_connection() {
    let herald = Herald::start(|_| {}).await;
    let _phone = herald.login("u", Platform::Ios).await;
    let _page = herald.login("u", Platform::Web).await;
    let admin = token("imAdmin", Platform::Admin);
    let ask = json!({ "USERIDS": ["u", "absent"], "unknown": 1 });
    let answer = herald.rest("/user/get_users_online_status", &admin, ask).await;
    let [u, absent] = answer["data"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!((&u["userID"], &u["status"]), (&json!("u"), &json!(1)));
    let details = u["detailPlatformStatus"].as_array().unwrap();
    assert_eq!((&details[0]["platformID"], &details[1]["platformID"]), (&json!(1), &json!(5)));
    assert_eq!(details[0]["connID"].as_str().unwrap().len(), 32);
    assert_eq!((&details[0]["isBackground"], &details[0]["token"]), (&json!(false), &json!("")));
    assert_eq!(absent, &json!({ "userID": "absent", "status": 0, "detailPlatformStatus": [] }));
}

#[tokio::test]
async fn anybody_sees_who_is_online_and_an_invisible_user_only_themselves() {
    let herald = Herald::start(|_| {}).await;
    let _hidden = herald.login("hidden", Platform::Ios).await;
    let _shown = herald.login("shown", Platform::Web).await;
    let invisible = json!({ "status": 1, "availability": "invisible" });
    herald.set_status("hidden", Platform::Ios, invisible).await;
    let seen_by = |user: &str, platform| {
        let (token, herald) = (token(user, platform), &herald);
        async move {
            let ask = json!({ "userID": "x", "userIDs": ["hidden", "shown"] });
            let answer = herald.rest("/user/get_users_status", &token, ask).await;
            answer["data"]["statusList"].clone()
        }
    };
    let row = |user, platforms: Value| {
        let status = i32::from(platforms != json!([]));
        json!({ "userID": user, "status": status, "platformIDs": platforms })
    };
    let shown = row("shown", json!([5]));
    let others = seen_by("shown", Platform::Web).await;
    assert_eq!(others, json!([row("hidden", json!([])), shown]));
    let truth = json!([row("hidden", json!([1])), shown]);
    assert_eq!(seen_by("hidden", Platform::Ios).await, truth);
    assert_eq!(seen_by("imAdmin", Platform::Admin).await, truth);
}

#[tokio::test]
async fn token_details_tell_how_many_tokens_hold_a_connection_and_never_the_tokens() {
    let herald = Herald::start(|_| {}).await;
    let page = identity("u", Platform::Web);
    let _page = herald.try_login(&page).await.unwrap();
    let _tab = herald.try_login(&page).await.unwrap();
    let _phone = herald.login("u", Platform::Ios).await;
    let ask = json!({ "userIDs": ["nobody", "u"] });
    let admin = token("imAdmin", Platform::Admin);
    let answer = herald.rest("/user/get_users_online_token_detail", &admin, ask).await;
    let expected = json!([{ "userID": "u", "status": 1, "singlePlatformToken": [
        { "platformID": 1, "total": 1, "token": [] },
        { "platformID": 5, "total": 1, "token": [] },
    ] }]);
    assert_eq!(answer["data"], expected);
}

#[tokio::test]
async fn an_answer_is_compressed_for_those_who_can_read_it() {
    let herald = Herald::start(|_| {}).await;
    let body = r#"{"userIDs":["alice"]}"#;
    let ask = |accepts: &str| {
        let token = token("u", Platform::Web);
        format!(
            "POST /user/get_users_status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             operationID: op\r\ntoken: {token}\r\n{accepts}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let plain = raw(&herald, &ask("")).await;
    let plain = String::from_utf8(plain).unwrap();
    assert!(plain.contains(r#""statusList":[{"userID":"alice""#), "{plain}");
    assert!(!plain.contains("content-encoding"), "{plain}");
    let gzip = raw(&herald, &ask("Accept-Encoding: gzip\r\n")).await;
    let head = String::from_utf8_lossy(&gzip);
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert!(gzip.windows(2).any(|bytes| bytes == [0x1f, 0x8b]), "{head}");
}

#[tokio::test]
async fn a_browser_may_call_and_is_told_so_before_it_does() {
    let herald = Herald::start(|_| {}).await;
    let raw = raw(&herald, "OPTIONS /user/get_users_info HTTP/1.1\r\nHost: x\r\nOrigin: http://page\r\nAccess-Control-Request-Headers: content-type,operationid,token,reqfuncname\r\nConnection: close\r\n\r\n").await;
    let raw = String::from_utf8(raw).unwrap();
    assert!(raw.starts_with("HTTP/1.1 200"), "{raw}");
    for header in [
        "access-control-allow-origin: *",
        "access-control-allow-headers: *",
        "access-control-allow-methods: *",
    ] {
        assert!(raw.contains(header), "{raw}");
    }
    let time = herald.rest("/msg/get_server_time", &token("u", Platform::Web), json!({})).await;
    assert!(time["data"]["serverTime"].as_i64().unwrap() / 1000 - now_s() < 60);
}

async fn raw(herald: &Herald, request: &str) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut line = tokio::net::TcpStream::connect(herald.running.api).await.unwrap();
    line.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    line.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn clients_may_connect_on_the_port_of_the_api_too() {
    let herald = Herald::start(|_| {}).await;
    let _client = Client::login(herald.running.api, &identity("u", Platform::Web)).await.unwrap();
    assert_eq!(herald.running.online().await.unwrap(), ["u"]);
}

#[tokio::test]
async fn an_operator_sees_users_page_by_page_and_one_in_full() {
    let herald = Herald::start(|_| {}).await;
    let mut clients = Vec::new();
    for user in ["a", "b", "c/ü"] {
        clients.push(herald.login(user, Platform::Ios).await);
    }
    let (_, first) = herald.admin("GET", "/v1/users?state=online&limit=2", "").await;
    let names = |page: &Value| {
        let users = page["users"].as_array().unwrap().iter();
        users.map(|user| user["userID"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((names(&first), &first["cursor"]), (vec!["a".into(), "b".into()], &json!("b")));
    let (_, second) = herald.admin("GET", "/v1/users?state=online&limit=2&cursor=b", "").await;
    assert_eq!((names(&second), &second["cursor"]), (vec!["c/ü".into()], &Value::Null));
    let (_, user) = herald.admin("GET", "/v1/users/c%2F%C3%BC", "").await;
    assert_eq!((&user["online"], &user["platforms"]), (&json!(true), &json!(["IOS"])));
    assert_eq!(user["connections"][0]["session"], "live");
    let status = json!({ "availability": "busy", "text": "in a meeting" }).to_string();
    assert_eq!(herald.admin("PUT", "/v1/users/a/status", &status).await.0, 204);
    let (_, user) = herald.admin("GET", "/v1/users/a", "").await;
    assert_eq!(user["status"]["text"], "in a meeting");
    assert_eq!(herald.admin("DELETE", "/v1/users/a/status", "").await.0, 204);
    let (_, user) = herald.admin("GET", "/v1/users/a", "").await;
    assert_eq!(user["status"], Value::Null);
    let (_, stranger) = herald.admin("GET", "/v1/users/stranger", "").await;
    assert_eq!((&stranger["online"], &stranger["seq"]), (&json!(false), &json!(0)));
}

#[tokio::test]
async fn callbacks_are_seen_page_by_page_with_their_attempts() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| config.callbacks.url = Some(url)).await;
    let mut clients = Vec::new();
    for user in ["a", "b", "c"] {
        clients.push(herald.login(user, Platform::Ios).await);
    }
    herald.all_told().await;
    let (_, first) = herald.admin("GET", "/v1/callbacks?state=delivered&limit=2", "").await;
    let users = |page: &Value| {
        let all = page["callbacks"].as_array().unwrap().iter();
        all.map(|one| one["userID"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(users(&first), ["c", "b"]);
    let path = format!("/v1/callbacks?state=delivered&limit=2&cursor={}", first["cursor"]);
    let (_, second) = herald.admin("GET", &path, "").await;
    assert_eq!((users(&second), &second["cursor"]), (vec!["a".into()], &Value::Null));
    let id = first["callbacks"][0]["id"].as_str().unwrap();
    let (_, one) = herald.admin("GET", &format!("/v1/callbacks/{id}"), "").await;
    assert_eq!(one, first["callbacks"][0]);
    assert_eq!((&one["attempts"][0]["status"], &one["reason"]), (&json!(200), &json!("login")));
    assert_eq!(one["operationID"], "login-c");
}

#[tokio::test]
async fn health_readiness_and_metrics_need_no_token() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| config.callbacks.url = Some(url)).await;
    let _client = herald.login("u", Platform::Ios).await;
    herald.all_told().await;
    let admin = herald.running.admin;
    let get = |path| async move { http(admin, "GET", path, &[], "").await.unwrap() };
    assert_eq!(get("/healthz").await, (200, "ok\n".into()));
    assert_eq!(get("/readyz").await, (200, r#"{"ready":true,"reasons":[]}"#.into()));
    for (line, value) in [
        ("herald_connections", 1.0),
        ("herald_users_online", 1.0),
        ("herald_callbacks_owed{endpoint=\"main\"}", 0.0),
        ("herald_callbacks_oldest_owed_seconds{endpoint=\"main\"}", 0.0),
        ("herald_callbacks_dead{endpoint=\"main\"}", 0.0),
        ("herald_callback_attempts_total{endpoint=\"main\",outcome=\"delivered\"}", 1.0),
        ("herald_changes_total{kind=\"online\"}", 1.0),
    ] {
        assert_eq!(herald.metric(line).await, value, "{line}");
    }
    let (_, text) = get("/metrics").await;
    let documented = include_str!("../../../docs/operating.md");
    for name in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let name = name.split(' ').next().unwrap();
        assert!(documented.contains(name), "{name} is not in docs/operating.md");
    }
}
