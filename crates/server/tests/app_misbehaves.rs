//! An App that hangs, fails, redirects, sends garbage or is not there delays nothing but its own
//! callbacks; after it returns every user's state is right, in order (promises P2, P3, P6).
#![allow(clippy::unwrap_used)]

mod support;

use axum::body::{Body, Bytes};
use futures_util::stream;
use serde_json::{Value, json};
use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};
use support::*;
use tokio::sync::Semaphore;
use wire::platform::Platform;

async fn world() -> (Herald, App) {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.online.timeout = Duration::from_secs(1);
        config.callbacks.offline.timeout = Duration::from_secs(1);
    })
    .await;
    (herald, app)
}

impl Herald {
    async fn callback_of(&self, user: &str) -> Value {
        let (status, page) = self.admin("GET", &format!("/v1/callbacks?user={user}"), "").await;
        assert_eq!(status, 200, "{page}");
        page["callbacks"][0].clone()
    }

    /// Waits for the first attempt of the user's newest callback.
    async fn attempt_of(&self, user: &str) -> Value {
        eventually("an attempt is recorded", || async {
            !self.callback_of(user).await["attempts"][0].is_null()
        })
        .await;
        self.callback_of(user).await["attempts"][0].clone()
    }
}

/// What the App does, how the attempt is recorded, and what it means.
#[tokio::test]
async fn each_way_to_fail_is_recorded_in_words_and_means_what_the_contract_says() {
    let bytes = |text: &'static str| Body::from(text);
    type Row = (&'static str, u16, Body, Option<&'static str>, &'static str);
    #[rustfmt::skip]
    let rows: Vec<Row> = vec![
        // who            status body                         error in words                 verdict
        ("fine",          200, bytes("{\"actionCode\":0}"),   None,                          "delivered"),
        ("empty",         200, bytes(""),                     Some("the answer is empty"),   "delivered"),
        ("no-content",    204, bytes(""),                     Some("the answer is empty"),   "delivered"),
        ("html",          200, bytes("<html>hello</html>"),   Some("not the JSON"),          "delivered"),
        ("binary",        200, Body::from(vec![0xff; 300]),   Some("not the JSON"),          "delivered"),
        ("deep",          200, Body::from("[".repeat(60_000)), Some("not the JSON"),         "delivered"),
        ("endless",       200, endless(),                     Some("longer than 1 MiB"),     "again"),
        ("failed",        200, bytes("{\"actionCode\":7,\"errMsg\":\"full\"}"), Some("actionCode 7 \"full\""), "again"),
        ("bad-request",   400, bytes(""),                     Some("400 Bad Request"),       "again"),
        ("conflict",      409, bytes(""),                     Some("409 Conflict"),          "again"),
        ("unauthorized",  401, bytes(""),                     Some("401 Unauthorized"),      "back_off"),
        ("not-found",     404, bytes(""),                     Some("404 Not Found"),         "back_off"),
        ("too-many",      429, bytes(""),                     Some("429 Too Many Requests"), "back_off"),
        ("broken",        500, bytes("{\"actionCode\":0}"),   Some("500 Internal"),          "back_off"),
        ("away",          503, bytes(""),                     Some("503 Service"),           "back_off"),
    ];
    let checks = rows.into_iter().map(|(user, status, body, error, verdict)| async move {
        let (herald, app) = world().await;
        let body = Arc::new(std::sync::Mutex::new(Some(body)));
        app.answer(move |_, _| {
            let body = body.lock().unwrap().take().unwrap_or(Body::empty());
            async move { answer(status, body) }
        });
        let _client = herald.login(user, Platform::Ios).await;
        let attempt = herald.attempt_of(user).await;
        assert_eq!(attempt["verdict"], verdict, "{user}: {attempt}");
        assert_eq!(attempt["status"], status, "{user}: {attempt}");
        match error {
            None => assert!(attempt["error"].is_null(), "{user}: {attempt}"),
            Some(words) => assert!(attempt["error"].as_str().unwrap().contains(words), "{attempt}"),
        }
        assert!(attempt["answer"].as_str().unwrap().len() <= 8 * 1024, "kept in part only");
        assert!(attempt["tookMs"].is_number() && attempt["at"].is_number());
    });
    futures_util::future::join_all(checks).await;
}

/// 10 GB, if anybody read it.
fn endless() -> Body {
    let chunk = Bytes::from(vec![b'x'; 1 << 20]);
    Body::from_stream(stream::iter((0..10_240).map(move |_| Ok::<_, Infallible>(chunk.clone()))))
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_says_where_it_would_go() {
    let (herald, app) = world().await;
    let trap = App::start().await;
    let to = trap.url();
    app.answer(move |received, _| {
        let mut response = answer(307, "");
        let (_, query) = received.target.split_once('?').unwrap();
        response.headers_mut().insert("location", format!("{to}?{query}").parse().unwrap());
        async { response }
    });
    let _client = herald.login("u", Platform::Ios).await;
    let attempt = herald.attempt_of("u").await;
    let error = attempt["error"].as_str().unwrap();
    // Without the parameters that Herald adds, which an App's framework repeats.
    let words = format!("redirects are not followed; set the URL to {}", trap.url());
    assert_eq!(error, words);
    assert!(trap.received().is_empty());
}

#[tokio::test]
async fn an_app_that_is_not_there_is_told_when_it_comes() {
    let [address] = places::of_our_own();
    let herald =
        Herald::start(|config| config.callbacks.url = Some(format!("http://{address}"))).await;
    let _client = herald.login("u", Platform::Ios).await;
    let attempt = herald.attempt_of("u").await;
    assert!(attempt["error"].as_str().unwrap().starts_with("no connection"), "{attempt}");
    assert!(attempt["status"].is_null());
    let app = App::start().await;
    let listener = server::listener::Listener::bind(address, Duration::from_secs(5)).await.unwrap();
    tokio::spawn(listener.serve(router_of(&app), Default::default()));
    app.hears(&["online u"]).await;
}

/// If a login waited for its callback, the first would not return before the test gave up.
#[tokio::test]
async fn no_login_and_no_frame_waits_for_an_app_that_never_answers() {
    let app = App::start().await;
    app.answer(|_, _| std::future::pending());
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.online.timeout = Duration::from_secs(600);
        config.callbacks.concurrency_max = 4;
    })
    .await;
    let mut clients = Vec::new();
    for n in 0..50 {
        clients.push(herald.login(&format!("u{n}"), Platform::Ios).await);
    }
    for (n, client) in clients.iter_mut().enumerate() {
        let user = format!("u{n}");
        client.request(&user, wire::identifier::GET_NEWEST_SEQ, "").await.unwrap();
        assert!(matches!(client.hear().await, server::client::Heard::Frame(_)));
        herald.set_status(&user, Platform::Ios, json!({ "status": 1, "text": "hi" })).await;
    }
    assert!(app.received().iter().all(|received| received.answered.is_none()));
    assert_eq!(herald.running.owed().await.unwrap(), 100);
}

#[tokio::test]
async fn an_app_that_hangs_slows_no_login_and_is_right_after_it_wakes() {
    let (herald, app) = world().await;
    let awake = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&awake);
    app.answer(move |_, _| {
        let waits = Arc::clone(&waits);
        async move {
            let _ = waits.acquire().await;
            ok()
        }
    });
    let mut clients = HashMap::new();
    for n in 0..100 {
        let user = format!("u{n}");
        clients.insert(n, herald.login(&user, Platform::Ios).await);
    }
    for n in 50..100 {
        clients.remove(&n).unwrap().close().await;
    }
    // The first to come; not all are tried at the same time.
    let attempt = herald.attempt_of("u0").await;
    assert_eq!(attempt["verdict"], "back_off", "{attempt}");
    assert!(attempt["error"].as_str().unwrap().starts_with("no answer in time"), "{attempt}");
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    assert_ne!(endpoints[0]["state"], "open", "{endpoints}");
    assert!(herald.metric("herald_callbacks_owed{endpoint=\"main\"}").await >= 100.0);
    awake.add_permits(1 << 20);
    herald.all_told().await;
    assert_right(&herald, &app).await;
}

#[tokio::test]
async fn an_app_that_fails_every_third_time_is_right_in_the_end_and_told_in_order() {
    let (herald, app) = world().await;
    app.answer(|_, before| async move { if before % 3 == 0 { answer(503, "") } else { ok() } });
    for _ in 0..3 {
        for n in 0..10 {
            herald.login(&format!("u{n}"), Platform::Ios).await.cut();
        }
    }
    let _stays = herald.login("u0", Platform::Ios).await;
    eventually("the rest is offline", || async {
        herald.running.online().await.unwrap() == ["u0"]
    })
    .await;
    herald.all_told().await;
    assert_right(&herald, &app).await;
}

/// The App's view, naive in arrival order and by highest seq, is who is online; and per user the
/// seq never goes back except for exact repeats.
async fn assert_right(herald: &Herald, app: &App) {
    let mut naive = HashMap::new();
    let mut by_seq: HashMap<String, (u64, bool)> = HashMap::new();
    let mut last: HashMap<String, Received> = HashMap::new();
    for received in app.received() {
        let body = received.json();
        let user = body["userID"].as_str().unwrap().to_owned();
        let seq = body["seq"].as_u64().unwrap();
        let online = received.what().starts_with("online");
        if let Some(before) = last.insert(user.clone(), received.clone()) {
            let before_seq = before.json()["seq"].as_u64().unwrap();
            let repeat = before.body == received.body;
            assert!(seq > before_seq || repeat, "{} then {}", before.what(), received.what());
        }
        if !received.taken() {
            continue;
        }
        naive.insert(user.clone(), online);
        let newest = by_seq.entry(user).or_default();
        *newest = (*newest).max((seq, online));
    }
    let online = |(user, online): (&String, bool)| online.then(|| user.clone());
    let mut naive: Vec<_> = naive.iter().filter_map(|(u, on)| online((u, *on))).collect();
    let mut by_seq: Vec<_> = by_seq.iter().filter_map(|(u, (_, on))| online((u, *on))).collect();
    naive.sort();
    by_seq.sort();
    let truth = herald.running.online().await.unwrap();
    assert_eq!(naive, truth);
    assert_eq!(by_seq, truth);
}

#[tokio::test]
async fn a_callback_that_the_app_fails_at_is_dead_after_three_tries_and_delays_nobody_else() {
    let (herald, app) = world().await;
    app.answer(|received, _| {
        let fails = received.what() == "online poison";
        async move { if fails { answer(200, r#"{"actionCode":1}"#) } else { ok() } }
    });
    let poison = herald.login("poison", Platform::Ios).await;
    for n in 0..20 {
        herald.login(&format!("u{n}"), Platform::Ios).await.cut();
    }
    eventually("others are told while it waits", || async {
        let others = app.heard().into_iter().filter(|what| what.starts_with("online u")).count();
        others == 20
    })
    .await;
    assert_ne!(herald.callback_of("poison").await["state"], "dead");
    poison.close().await;
    eventually("the user's next one goes", || async {
        app.heard_of("poison").contains(&"offline poison".to_owned())
    })
    .await;
    assert_eq!(
        app.heard_of("poison"),
        ["online poison"; 3]
            .iter()
            .chain(&["offline poison"])
            .map(|s| s.to_string())
            .collect::<Vec<_>>()
    );
    let (_, dead) = herald.admin("GET", "/v1/callbacks?state=dead", "").await;
    assert_eq!(dead["callbacks"][0]["attempts"].as_array().unwrap().len(), 3);
    assert_eq!(herald.metric("herald_callbacks_dead{endpoint=\"main\"}").await, 1.0);
}

#[tokio::test]
async fn a_dead_callback_can_be_replayed_and_the_newest_follows() {
    let (herald, app) = world().await;
    app.answer(|_, before| async move { if before < 3 { answer(422, "") } else { ok() } });
    herald.login("u", Platform::Ios).await.cut();
    app.hears(&["online u", "online u", "online u", "offline u"]).await;
    herald.all_told().await;
    let (_, dead) = herald.admin("GET", "/v1/callbacks?state=dead", "").await;
    let id = dead["callbacks"][0]["id"].as_str().unwrap().to_owned();
    let (status, _) = herald.admin("POST", &format!("/v1/callbacks/{id}/replay"), "").await;
    assert_eq!(status, 202);
    app.hears(&["online u", "online u", "online u", "offline u", "online u", "offline u"]).await;
    herald.all_told().await;
    let (_, replayed) = herald.admin("GET", &format!("/v1/callbacks/{id}"), "").await;
    assert_eq!((&replayed["state"], &replayed["replayed"]), (&json!("delivered"), &json!(true)));
    let (status, problem) = herald.admin("POST", "/v1/callbacks/main:1:u/replay", "").await;
    assert_eq!((status, &problem["status"]), (404, &json!(404)));
}

#[tokio::test]
async fn a_410_pauses_the_endpoint_until_an_operator_resumes_it() {
    let (herald, app) = world().await;
    app.answer(|_, before| async move { if before == 0 { answer(410, "") } else { ok() } });
    let _first = herald.login("u", Platform::Ios).await;
    assert_eq!(herald.attempt_of("u").await["verdict"], "pause");
    let _second = herald.login("v", Platform::Ios).await;
    tokio::time::sleep(Duration::from_millis(1900)).await;
    assert_eq!(app.heard(), ["online u"], "nothing is sent while it is paused");
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    assert_eq!((&endpoints[0]["state"], &endpoints[0]["owed"]), (&json!("paused"), &json!(2)));
    assert_eq!(herald.admin("POST", "/v1/endpoints/main/resume", "").await.0, 204);
    herald.all_told().await;
    assert_eq!(app.heard().len(), 3);
}

#[tokio::test]
async fn what_is_owed_at_a_restart_is_sent() {
    let (herald, app) = world().await;
    app.answer(|_, _| async { answer(503, "") });
    let _client = herald.login("u", Platform::Ios).await;
    herald.attempt_of("u").await;
    app.answer(|_, _| async { ok() });
    let herald = herald.restart().await;
    herald.all_told().await;
    let heard = app.received();
    assert!(heard.len() >= 2 && heard.iter().all(|one| one.body == heard[0].body));
    let id = &herald.callback_of("u").await["operationID"];
    assert_eq!(heard[1].headers["operationid"], id.as_str().unwrap(), "the same at every attempt");
}

/// What an operator looks at when an App shows somebody as it should not.
#[tokio::test]
async fn why_says_what_the_app_was_last_told_beside_what_is_true() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.presence.offline_grace = Duration::from_millis(20);
    })
    .await;
    let client = herald.login("u", Platform::Ios).await;
    herald.all_told().await;
    app.answer(|_, _| async { answer(400, "") });
    client.close().await;
    let why = async || herald.admin("GET", "/v1/users/u/why", "").await.1;
    eventually("the offline is dead", || async { why().await["endpoints"][0]["untold"] == true })
        .await;
    let why = why().await;
    assert_eq!((&why["user"]["online"], &why["endpoints"][0]["owed"]), (&json!(false), &json!(0)));
    assert_eq!(why["endpoints"][0]["lastTold"]["kind"], "online");
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    assert_eq!((&endpoints[0]["untold"], &endpoints[0]["dead"]), (&json!(1), &json!(1)));
    assert!(endpoints[0]["needsResync"].is_object());
}
