//! The contract, §6: an App that answers `nextCode` 1 refuses the going online.
#![allow(clippy::unwrap_used)]

mod support;

use contract::Dialect;
use presence::{Scope, Timestamp};
use serde_json::json;
use server::{
    client::{Heard, LoginError},
    config::OnRefusal,
};
use std::{sync::Arc, time::Duration};
use support::*;
use tokio::sync::Semaphore;
use wire::{identifier, platform::Platform};

const REFUSES: &str = r#"{"actionCode":0,"errCode":9,"errMsg":"no","nextCode":1}"#;

async fn world(on_refusal: OnRefusal) -> (Herald, App) {
    let app = App::start().await;
    app.answer(|received, _| {
        let refuses = received.what().starts_with("online bad");
        async move { answer(200, if refuses { REFUSES } else { r#"{"nextCode":0}"# }) }
    });
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.online.on_refusal = on_refusal;
        config.presence.offline_grace = Duration::from_secs(600);
        config.presence.refused_for = Duration::ZERO;
    })
    .await;
    (herald, app)
}

#[tokio::test]
async fn a_refused_login_is_kicked_and_told_offline_at_once() {
    let (herald, app) = world(OnRefusal::Disconnect).await;
    let mut client = herald.login("bad", Platform::Ios).await;
    let Heard::Frame(kick) = client.hear().await else { panic!("no frame before the end") };
    assert_eq!(kick["reqIdentifier"], identifier::KICK_ONLINE);
    assert_eq!(client.hear().await, Heard::Closed(Some(1008)));
    let told = app.hears(&["online bad", "offline bad"]).await;
    assert_eq!(told[0].json()["connID"], told[1].json()["connID"]);
    assert!(herald.running.online().await.unwrap().is_empty());
    herald.all_told().await;
    let (_, page) = herald.admin("GET", "/v1/callbacks?user=bad", "").await;
    let refused = &page["callbacks"][1]["attempts"][0];
    assert_eq!(refused["verdict"], "refused");
    assert_eq!(refused["answer"], REFUSES);
}

#[tokio::test]
async fn others_are_not_touched() {
    let (herald, app) = world(OnRefusal::Disconnect).await;
    let mut good = herald.login("good", Platform::Ios).await;
    let _bad = herald.login("bad", Platform::Ios).await;
    eventually("bad is told offline", || async { app.heard_of("bad").len() == 2 }).await;
    good.request("good", identifier::GET_NEWEST_SEQ, "").await.unwrap();
    let Heard::Frame(answer) = good.hear().await else { panic!("good was cut") };
    assert_eq!(answer["errCode"], 0);
}

#[tokio::test]
async fn a_replayed_refusal_does_nothing() {
    let (herald, app) = world(OnRefusal::Disconnect).await;
    let _client = herald.login("bad", Platform::Ios).await;
    app.hears(&["online bad", "offline bad"]).await;
    herald.all_told().await;
    app.answer(|_, _| async { ok() });
    let mut client = herald.login("bad", Platform::Ios).await;
    app.hears(&["online bad", "offline bad", "online bad"]).await;
    herald.all_told().await;
    app.answer(|_, _| async { answer(200, REFUSES) });
    let (_, page) = herald.admin("GET", "/v1/callbacks?user=bad", "").await;
    let newest = page["callbacks"][0]["id"].as_str().unwrap();
    assert_eq!(herald.admin("POST", &format!("/v1/callbacks/{newest}/replay"), "").await.0, 202);
    app.hears(&["online bad", "offline bad", "online bad", "online bad"]).await;
    herald.all_told().await;
    client.request("bad", identifier::GET_NEWEST_SEQ, "").await.unwrap();
    assert!(matches!(client.hear().await, Heard::Frame(_)), "still connected");
    assert_eq!(herald.running.online().await.unwrap(), ["bad"]);
}

#[tokio::test]
async fn a_refused_status_is_undone_and_nothing_is_closed() {
    let (herald, app) = world(OnRefusal::Disconnect).await;
    let mut client = herald.login("u", Platform::Ios).await;
    app.hears(&["online u"]).await;
    herald.set_status("u", Platform::Ios, json!({ "status": 1, "availability": "away" })).await;
    app.hears(&["online u", "online u"]).await;
    herald.all_told().await;
    app.answer(|_, _| async { answer(200, REFUSES) });
    let later = Timestamp((now_s() as u64 + 600) * 1000).0;
    let busy = json!({ "status": 1, "availability": "busy", "expireAt": later });
    herald.set_status("u", Platform::Ios, busy).await;
    eventually("the status before is back", || async {
        herald.admin("GET", "/v1/users/u", "").await.1["status"]["availability"] == "away"
    })
    .await;
    herald.all_told().await;
    client.request("u", identifier::GET_NEWEST_SEQ, "").await.unwrap();
    assert!(matches!(client.hear().await, Heard::Frame(_)), "nothing is closed");
    app.hears(&["online u"; 3]).await;
}

#[tokio::test]
async fn a_refused_status_of_a_user_without_a_connection_takes_them_offline() {
    let (herald, app) = world(OnRefusal::Disconnect).await;
    herald.set_status("bad", Platform::Web, json!({ "status": 1 })).await;
    app.hears(&["online bad", "offline bad"]).await;
    let (_, user) = herald.admin("GET", "/v1/users/bad", "").await;
    assert_eq!((&user["online"], &user["status"]), (&json!(false), &json!(null)));
}

#[tokio::test]
async fn an_offline_cannot_be_refused() {
    let (herald, app) = world(OnRefusal::Disconnect).await;
    app.answer(|received, _| {
        let refuses = received.what().starts_with("offline");
        async move { answer(200, if refuses { REFUSES } else { "{}" }) }
    });
    let mut client = herald.login("u", Platform::Ios).await;
    client.request("u", identifier::LOGOUT, "").await.unwrap();
    app.hears(&["online u", "offline u"]).await;
    herald.all_told().await;
    let (_, page) = herald.admin("GET", "/v1/callbacks?user=u", "").await;
    assert_eq!(page["callbacks"][0]["attempts"][0]["verdict"], "delivered");
}

#[tokio::test]
async fn where_a_refusal_is_ignored_it_is_only_recorded() {
    let (herald, app) = world(OnRefusal::Ignore).await;
    let mut client = herald.login("bad", Platform::Ios).await;
    app.hears(&["online bad"]).await;
    herald.all_told().await;
    client.request("bad", identifier::GET_NEWEST_SEQ, "").await.unwrap();
    assert!(matches!(client.hear().await, Heard::Frame(_)), "nothing is closed");
    let (_, page) = herald.admin("GET", "/v1/callbacks?user=bad", "").await;
    assert_eq!(page["callbacks"][0]["attempts"][0]["verdict"], "refused");
    assert_eq!(page["callbacks"][0]["state"], "delivered");
}

/// A client that logs in again and again after its user was refused is an expense to nobody.
#[tokio::test]
async fn who_was_refused_and_dials_again_costs_the_app_nothing() {
    let app = App::start().await;
    app.answer(|_, _| async { answer(200, REFUSES) });
    let url = app.url();
    let herald = Herald::start(|config| config.callbacks.url = Some(url)).await;
    let bad = identity("bad", Platform::Ios);
    let _client = herald.try_login(&bad).await.unwrap();
    app.hears(&["online bad", "offline bad"]).await;
    for _ in 0..5 {
        match herald.try_login(&bad).await {
            Err(LoginError::Refused { code, message, .. }) => {
                assert_eq!((code, message.as_str()), (1506, "no"));
            }
            other => panic!("{:?}", other.err()),
        }
    }
    herald.all_told().await;
    app.hears(&["online bad", "offline bad"]).await;
    let herald = herald.restart().await;
    assert!(herald.try_login(&bad).await.is_err(), "also after a restart");
}

/// The App was away, and what waited for it was collapsed: a refusal is one of all it spoke for.
#[tokio::test]
async fn a_refusal_closes_every_connection_that_its_callback_spoke_for() {
    let app = App::start().await;
    app.answer(|_, _| async { answer(200, REFUSES) });
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.collapse_after = Duration::from_millis(1);
        config.presence.offline_grace = Duration::from_secs(600);
    })
    .await;
    herald.admin("POST", "/v1/endpoints/main/pause", "").await;
    let mut two =
        [herald.login("two", Platform::Ios).await, herald.login("two", Platform::Web).await];
    let mut with_status = herald.login("status", Platform::Ios).await;
    herald.admin("PUT", "/v1/users/status/status", r#"{"availability":"busy"}"#).await;
    herald.admin("POST", "/v1/endpoints/main/resume", "").await;
    for client in two.iter_mut().chain([&mut with_status]) {
        assert!(matches!(client.hear().await, Heard::Frame(_)), "2002");
        assert_eq!(client.hear().await, Heard::Closed(Some(1008)));
    }
    herald.all_told().await;
    app.hears(&["online two", "offline two", "online status", "offline status"]).await;
    assert!(herald.running.online().await.unwrap().is_empty());
    let (_, user) = herald.admin("GET", "/v1/users/status", "").await;
    assert_eq!(user["status"], json!(null), "the status is undone as well");
}

/// Where the App is told of users only, its answer is about all their devices.
#[tokio::test]
async fn a_refusal_of_the_user_closes_devices_that_came_later() {
    let app = App::start().await;
    let refuses = Arc::new(Semaphore::new(0));
    let turns = Arc::clone(&refuses);
    app.answer(move |_, _| {
        let turns = Arc::clone(&turns);
        async move {
            turns.acquire().await.unwrap().forget();
            answer(200, REFUSES)
        }
    });
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.online.scope = Scope::User;
        config.presence.offline_grace = Duration::from_secs(600);
    })
    .await;
    let mut phone = herald.login("u", Platform::Ios).await;
    let mut browser = herald.login("u", Platform::Web).await;
    refuses.add_permits(Semaphore::MAX_PERMITS);
    for client in [&mut phone, &mut browser] {
        assert!(matches!(client.hear().await, Heard::Frame(_)), "2002");
        assert_eq!(client.hear().await, Heard::Closed(Some(1008)));
    }
    herald.all_told().await;
    app.hears(&["online u", "offline u"]).await;
}

/// The App accepted the phone; that it refuses the browser is no reason to send the phone away.
#[tokio::test]
async fn a_refused_browser_does_not_keep_the_phone_from_coming_back() {
    let app = App::start().await;
    app.answer(|_, before| async move { answer(200, if before == 1 { REFUSES } else { "{}" }) });
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.presence.offline_grace = Duration::from_secs(600);
    })
    .await;
    let same = identity("u", Platform::Ios);
    let phone = herald.try_login(&same).await.unwrap();
    herald.all_told().await;
    let refused = identity("u", Platform::Web);
    let mut browser = herald.try_login(&refused).await.unwrap();
    while !matches!(browser.hear().await, Heard::Closed(_)) {}
    phone.cut();
    let _back = herald.try_login(&same).await.unwrap();
    assert!(herald.try_login(&refused).await.is_err(), "the browser stays refused");
    herald.all_told().await;
    // What is told offline is the browser's connection, not the user.
    assert!(!app.heard().contains(&"offline u".to_owned()), "{:?}", app.heard());
    assert_eq!(herald.running.online().await.unwrap(), ["u"]);
}

/// In these dialects a code refuses an online callback; of an offline one it says that the App failed.
#[tokio::test]
async fn a_code_that_refuses_is_a_failure_where_nothing_can_be_refused() {
    let cases = [
        (Dialect::V35, OnRefusal::Ignore, ("dead", 3)),
        (Dialect::V2, OnRefusal::Ignore, ("dead", 3)),
        (Dialect::V35, OnRefusal::Disconnect, ("delivered", 1)),
        (Dialect::V2, OnRefusal::Disconnect, ("delivered", 1)),
    ];
    // Each waits for its retries.
    let played = cases.map(async |(dialect, on_refusal, online)| {
        let app = App::start().await;
        app.answer(|_, _| async { answer(200, r#"{"actionCode":1,"errCode":500}"#) });
        let url = app.url();
        let herald = Herald::start(|config| {
            config.callbacks.url = Some(url);
            config.callbacks.dialect = dialect;
            config.callbacks.online.on_refusal = on_refusal;
            config.presence.offline_grace = Duration::from_millis(10);
        })
        .await;
        herald.login("u", Platform::Ios).await.cut();
        let settled = async || {
            let (_, page) = herald.admin("GET", "/v1/callbacks?user=u", "").await;
            let callbacks = page["callbacks"].as_array().unwrap().clone();
            let of = |at: usize| {
                let attempts = callbacks[at]["attempts"].as_array().unwrap().len();
                (callbacks[at]["state"].as_str().unwrap().to_owned(), attempts)
            };
            (callbacks.len() == 2).then(|| (of(1), of(0)))
        };
        let expected = ((online.0.to_owned(), online.1), ("dead".to_owned(), 3));
        eventually("both are settled", || async {
            settled().await.is_some_and(|both| both.0.0 != "pending" && both.1.0 != "pending")
        })
        .await;
        assert_eq!(settled().await.unwrap(), expected, "{dialect:?} {on_refusal:?}");
    });
    futures_util::future::join_all(played).await;
}

#[tokio::test]
async fn where_refusals_are_ignored_none_is_too_many() {
    let (herald, app) = world(OnRefusal::Ignore).await;
    app.answer(|_, _| async { answer(200, REFUSES) });
    for n in 0..30 {
        herald.set_status(&format!("u{n}"), Platform::Web, json!({ "status": 1 })).await;
    }
    herald.all_told().await;
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    assert_eq!(endpoints[0]["refusalsHeld"], false);
}

/// A broken App must not log everybody out.
#[tokio::test]
async fn an_app_that_refuses_everybody_is_not_obeyed() {
    let app = App::start().await;
    app.answer(|_, _| async { answer(200, REFUSES) });
    let url = app.url();
    let herald = Herald::start(|config| config.callbacks.url = Some(url)).await;
    let mut clients = Vec::new();
    for n in 0..30 {
        clients.push(herald.login(&format!("u{n}"), Platform::Ios).await);
        // One after another, so that it is known which are the first.
        herald.all_told().await;
    }
    assert_eq!(herald.running.online().await.unwrap().len(), 10, "twenty are always carried out");
    let (_, page) = herald.admin("GET", "/v1/callbacks?user=u29", "").await;
    assert_eq!(page["callbacks"][0]["attempts"][0]["verdict"], "refusal_held");
    assert_eq!(page["callbacks"][0]["state"], "delivered");
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    assert_eq!(endpoints[0]["refusalsHeld"], true);
    assert_eq!(herald.metric(r#"herald_refusals_held{endpoint="main"}"#).await, 1.0);
}
