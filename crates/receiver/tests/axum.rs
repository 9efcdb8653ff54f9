//! The route as Herald meets it: whole requests in, whole responses out.
#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, and misses their helpers")]
#![allow(clippy::disallowed_methods, reason = "the route asks the real time, so must its test")]

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::DefaultBodyLimit,
    http::Request,
};
use contract::signature::{SigningSecret, sign};
use expect_test::{Expect, expect};
use herald_receiver::{Answer, Event, Kind, Receiver, Reply, axum::callback};
use std::{
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};
use tower::ServiceExt as _;

const URL: &str = "/cb?command=callbackUserOnlineCommand&contenttype=json";

fn online(user: &str) -> String {
    format!(r#"{{"userID":"{user}","callbackCommand":"callbackUserOnlineCommand","seq":7}}"#)
}

/// An App that refuses, fails or puts off by the name of the user, and notes what it was handed.
fn app(handed: &Arc<Mutex<Vec<Event>>>) -> Router {
    let handed = Arc::clone(handed);
    let route = callback(Receiver::new(), move |event: Event| {
        handed.lock().unwrap().push(event.clone());
        async move {
            match event.user_id.as_str() {
                "mallory" => Answer::refuse("blocked").into(),
                "nobody" => Answer::failed(1001, "no such user").into(),
                "tomorrow" => Reply::later(),
                _ => Answer::ok().into(),
            }
        }
    });
    Router::new().route("/cb", route)
}

async fn respond(app: Router, request: Request<Body>) -> String {
    let response = app.oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let content_type = head.headers.get("content-type").map_or("-", |v| v.to_str().unwrap());
    format!("{} {content_type}\n{}", head.status.as_u16(), String::from_utf8_lossy(&body))
}

async fn check(url: &str, body: impl Into<Body>, expected: Expect) -> Vec<Event> {
    let handed = Arc::default();
    let request = Request::post(url).header("operationID", "op1").body(body.into()).unwrap();
    expected.assert_eq(&respond(app(&handed), request).await);
    std::mem::take(&mut handed.lock().unwrap())
}

#[tokio::test]
async fn a_callback_reaches_the_handler_with_its_operation_id() {
    let handed = check(
        URL,
        online("ann"),
        expect![[r#"
        200 application/json
        {"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":""}"#]],
    )
    .await;
    assert_eq!(handed.len(), 1);
    assert_eq!((handed[0].kind, handed[0].user_id.as_str()), (Kind::Online, "ann"));
    assert_eq!(handed[0].operation_id.as_deref(), Some("op1"));
}

#[tokio::test]
async fn the_handler_decides_the_answer() {
    check(
        URL,
        online("mallory"),
        expect![[r#"
        200 application/json
        {"actionCode":0,"errCode":0,"errMsg":"blocked","errDlt":"","nextCode":1}"#]],
    )
    .await;
    check(
        URL,
        online("nobody"),
        expect![[r#"
        200 application/json
        {"actionCode":1,"errCode":1001,"errMsg":"no such user","errDlt":"","nextCode":""}"#]],
    )
    .await;
    check(
        URL,
        online("tomorrow"),
        expect![[r#"
        503 application/json
        {"actionCode":1,"errCode":503,"errMsg":"later","errDlt":"","nextCode":""}"#]],
    )
    .await;
}

#[tokio::test]
async fn what_is_rejected_never_reaches_the_handler() {
    let other = "/cb?command=callbackUserOfflineCommand&contenttype=json";
    for handed in [
        check("/cb", online("ann"), expect![[r#"
            400 application/json
            {"actionCode":1,"errCode":400,"errMsg":"the URL has no `command`; let proxies keep the query of the callback URL","errDlt":"","nextCode":""}"#]]).await,
        check(other, online("ann"), expect![[r#"
            400 application/json
            {"actionCode":1,"errCode":400,"errMsg":"command `callbackUserOfflineCommand` in the URL is not callbackCommand `callbackUserOnlineCommand` of the body; look at what rewrites either on the way","errDlt":"","nextCode":""}"#]]).await,
        check(URL, "{", expect![[r#"
            400 application/json
            {"actionCode":1,"errCode":400,"errMsg":"the body is not a callback; look at what rewrites it on the way","errDlt":"EOF while parsing an object at line 1 column 1","nextCode":""}"#]]).await,
        check(URL, " ".repeat(64 * 1024) + &online("ann"), expect![[r#"
            413 application/json
            {"actionCode":1,"errCode":413,"errMsg":"the body is above 64 KiB; look at who sends it, a callback has a few hundred bytes","errDlt":"","nextCode":""}"#]]).await,
    ] {
        assert!(handed.is_empty());
    }
}

#[tokio::test]
async fn a_flood_is_cut_off_at_the_limit_even_where_the_app_has_none() {
    let chunk = |n: u32| {
        assert!(n < 100, "read on after the limit");
        Ok::<_, std::io::Error>(vec![b' '; 1024])
    };
    let body = Body::from_stream(futures_util::stream::iter((0..).map(chunk)));
    let app = app(&Arc::default()).layer(DefaultBodyLimit::disable());
    let response = respond(app, Request::post(URL).body(body).unwrap()).await;
    assert!(response.starts_with("413 application/json"), "{response}");
}

#[tokio::test]
async fn a_get_is_not_a_callback() {
    let request = Request::get(URL).body(Body::empty()).unwrap();
    expect!["405 -\n"].assert_eq(&respond(app(&Arc::default()), request).await);
}

#[tokio::test]
async fn a_signed_request_is_taken_at_its_own_time_only() {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let secret: [SigningSecret; 1] = [SECRET.parse().unwrap()];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (at, status) in [(now, 200), (now - 100, 200), (now - 1000, 401), (now + 1000, 401)] {
        let body = online("ann");
        let mut request = Request::post(URL).header("operationID", "op1");
        for (name, value) in sign(&secret, "msg_1", at, body.as_bytes()) {
            request = request.header(name, value);
        }
        let receiver = Receiver::new().secrets([SECRET]).unwrap();
        let route = callback(receiver, async |event: Event| {
            assert_eq!(event.operation_id.as_deref(), Some("op1"));
            Answer::ok()
        });
        let app = Router::new().route("/cb", route);
        let response = respond(app, request.body(body.into()).unwrap()).await;
        assert!(response.starts_with(&status.to_string()), "{response}");
    }
}
