//! Yesterday's callbacks under today's settings: what is owed when a server stops is told as the settings
//! of the next one say.
#![allow(clippy::unwrap_used)]

mod support;

use contract::Dialect;
use expect_test::{Expect, expect};
use presence::Scope;
use serde_json::json;
use server::{
    client::{Client, Heard, Identity},
    config::{Callbacks, Config, FurtherEndpoint, Mode, OnRefusal},
};
use std::{collections::BTreeMap, time::Duration};
use support::*;
use wire::platform::Platform;

const REFUSES: &str = r#"{"actionCode":0,"errCode":9,"errMsg":"banned","errDlt":"","nextCode":1}"#;
/// What must not happen would have happened within it.
const MOMENT: Duration = Duration::from_millis(1_500);

/// An App that is told everything and takes nothing.
async fn before() -> (App, Herald) {
    let app = App::start().await;
    app.answer(|_, _| async { answer(503, "") });
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.offline.scope = Scope::Connection;
        config.callbacks.kick_off.enable = true;
        config.callbacks.collapse_after = Duration::ZERO;
        config.presence.offline_grace = Duration::from_millis(20);
        config.presence.restart_grace = Duration::from_secs(600);
    })
    .await;
    (app, herald)
}

/// Each user and what the App took about them, in its order.
fn taken(app: &App) -> BTreeMap<String, Vec<String>> {
    let mut taken = BTreeMap::<_, Vec<_>>::new();
    for heard in app.received().into_iter().filter(Received::taken) {
        let what = heard.what();
        let (kind, user) = what.split_once(' ').unwrap();
        taken.entry(user.to_owned()).or_default().push(kind.to_owned());
    }
    taken
}

async fn lingers(herald: &Herald, user: &str) -> bool {
    let (_, view) = herald.admin("GET", &format!("/v1/users/{user}"), "").await;
    view["connections"][0]["session"] == "lingering"
}

async fn owes(herald: &Herald, callbacks: u64) {
    eventually("the backlog is complete", || async {
        herald.running.owed().await.unwrap() == callbacks
    })
    .await;
}

/// What the App takes of a backlog after a restart with another setting.
async fn check(change: impl FnOnce(&mut Config), expected: Expect) {
    let (app, herald) = before().await;
    let _web = herald.login("two-devices", Platform::Web).await;
    herald.login("two-devices", Platform::Ios).await.close().await;
    herald.login("gone", Platform::Ios).await.close().await;
    let kicked = herald.login("kicked", Platform::Ios).await;
    owes(&herald, 6).await;
    herald.admin("POST", "/v1/users/kicked/kick", "{}").await;
    owes(&herald, 8).await;
    let herald = herald.restart_with(change).await;
    app.answer(|_, _| async { ok() });
    eventually("all is told, and retold", || async {
        let of_main = herald.admin("GET", "/v1/endpoints", "").await.1[0].clone();
        (&of_main["owed"], &of_main["untold"]) == (&json!(0), &json!(0))
    })
    .await;
    let lines =
        taken(&app).into_iter().map(|(user, told)| format!("{user}: {}\n", told.join(", ")));
    expected.assert_eq(&lines.collect::<String>());
    drop(kicked);
}

#[tokio::test]
async fn without_a_change_all_of_it_is_told() {
    check(
        |_| (),
        expect![[r#"
            gone: online, offline
            kicked: online, kick_off, offline
            two-devices: online, online, offline
        "#]],
    )
    .await;
}

/// In its place the App is told how the user is.
#[tokio::test]
async fn told_of_users_the_offline_of_one_device_is_no_news() {
    check(
        |config| config.callbacks.offline.scope = Scope::User,
        expect![[r#"
            gone: online, offline
            kicked: online, kick_off, offline
            two-devices: online, online, online
        "#]],
    )
    .await;
}

#[tokio::test]
async fn told_of_users_the_second_online_is_none_either() {
    check(
        |config| {
            config.callbacks.online.scope = Scope::User;
            config.callbacks.offline.scope = Scope::User;
        },
        expect![[r#"
            gone: online, offline
            kicked: online, kick_off, offline
            two-devices: online, online
        "#]],
    )
    .await;
}

/// The online of somebody who has left would never be taken back.
#[tokio::test]
async fn without_offlines_nobody_who_left_is_told_online() {
    check(
        |config| config.callbacks.offline.enable = false,
        expect![[r#"
            kicked: kick_off
            two-devices: online, online, online
        "#]],
    )
    .await;
}

#[tokio::test]
async fn without_kick_offs_none_is_told() {
    check(
        |config| config.callbacks.kick_off.enable = false,
        expect![[r#"
            gone: online, offline
            kicked: online, offline
            two-devices: online, online, offline
        "#]],
    )
    .await;
}

#[tokio::test]
async fn without_onlines_none_is_told() {
    check(
        |config| config.callbacks.online.enable = false,
        expect![[r#"
            gone: offline
            kicked: kick_off, offline
            two-devices: offline
        "#]],
    )
    .await;
}

#[tokio::test]
async fn what_is_left_out_is_listed_as_superseded() {
    let (app, herald) = before().await;
    let _stays = herald.login("u", Platform::Web).await;
    herald.login("u", Platform::Ios).await.close().await;
    owes(&herald, 3).await;
    let herald = herald.restart_with(|config| config.callbacks.offline.scope = Scope::User).await;
    app.answer(|_, _| async { ok() });
    herald.all_told().await;
    assert!(!taken(&app)["u"].contains(&"offline".to_owned()), "{:?}", taken(&app));
    let left_out = herald.admin("GET", "/v1/callbacks?state=superseded", "").await.1;
    assert_eq!(left_out["callbacks"][0]["kind"], "offline");
}

#[tokio::test]
async fn what_is_owed_is_told_in_the_dialect_of_now() {
    let (app, herald) = before().await;
    herald.login("u", Platform::Ios).await.close().await;
    owes(&herald, 2).await;
    let herald = herald.restart_with(|config| config.callbacks.dialect = Dialect::V38).await;
    app.answer(|_, _| async { ok() });
    herald.all_told().await;
    let taken = app.received().into_iter().filter(Received::taken);
    let told = taken.map(|heard| {
        let path = heard.target.split('?').next().unwrap().to_owned();
        (path, heard.json()["callbackCommand"].as_str().unwrap().to_owned())
    });
    let of_v38 = ["callbackAfterUserOnlineCommand", "callbackAfterUserOfflineCommand"];
    let expected = of_v38.map(|command| (format!("/cb/{command}"), command.to_owned()));
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

/// A user who is there and whose online is owed; the server then restarts with another `on_refusal`, and
/// the App refuses.
async fn refused(before_it: OnRefusal, after_it: OnRefusal) -> (App, Herald, Client) {
    let (app, herald) = before().await;
    let herald = herald.restart_with(|config| config.callbacks.online.on_refusal = before_it).await;
    let identity = identity("u", Platform::Ios);
    herald.try_login(&identity).await.unwrap().cut();
    owes(&herald, 2).await;
    let herald = herald.restart_with(|config| config.callbacks.online.on_refusal = after_it).await;
    let client = herald.try_login(&identity).await.unwrap();
    owes(&herald, 3).await;
    app.answer(|_, _| async { answer(200, REFUSES) });
    (app, herald, client)
}

#[tokio::test]
async fn a_refusal_closes_if_the_settings_of_now_say_so() {
    let (_app, herald, mut client) = refused(OnRefusal::Ignore, OnRefusal::Disconnect).await;
    let told = client.hear().await;
    assert!(matches!(told, Heard::Frame(_) | Heard::Closed(_)), "{told:?}");
    herald.all_told().await;
    assert_eq!(herald.running.online().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_refusal_is_ignored_if_the_settings_of_now_say_so() {
    let (_app, herald, mut client) = refused(OnRefusal::Disconnect, OnRefusal::Ignore).await;
    herald.all_told().await;
    assert!(tokio::time::timeout(MOMENT, client.hear()).await.is_err(), "it stays");
    assert_eq!(herald.running.online().await.unwrap(), ["u"]);
}

/// Where the background is told, a switch that the settings of now do not select leaves the App wrong.
#[tokio::test]
async fn a_background_callback_of_another_scope_is_told_as_it_is_now() {
    let app = App::start().await;
    app.answer(|heard, _| {
        let fails = heard.target.contains("Background");
        async move { if fails { answer(503, "") } else { ok() } }
    });
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.background.enable = true;
        config.callbacks.online.scope = Scope::Connection;
        config.presence.restart_grace = Duration::from_secs(600);
    })
    .await;
    let identity = Identity { background: true, ..identity("u", Platform::Ios) };
    herald.try_login(&identity).await.unwrap().cut();
    eventually("its socket is gone", || async { lingers(&herald, "u").await }).await;
    let status = r#"{"availability":"online","platformID":5}"#;
    assert_eq!(herald.admin("PUT", "/v1/users/u/status", status).await.0, 204);
    app.hears(&["online u", "online u", "background u"]).await;
    let herald = herald.restart_with(|config| config.callbacks.online.scope = Scope::User).await;
    app.answer(|_, _| async { ok() });
    eventually("it is told as it is now", || async { taken(&app)["u"].len() == 3 }).await;
    let last = app.received().into_iter().rfind(Received::taken).unwrap();
    assert_eq!((last.what(), &last.json()["isAppBackground"]), ("online u".into(), &json!(true)));
    herald.all_told().await;
}

/// What is owed from before opens the gate to nobody.
#[tokio::test]
async fn a_backlog_of_notices_lets_nobody_past_a_gate() {
    let (app, herald) = before().await;
    herald.login("bad", Platform::Ios).await.close().await;
    owes(&herald, 2).await;
    let herald = herald.restart_with(|config| config.callbacks.online.mode = Mode::Gate).await;
    app.answer(|_, _| async { answer(200, REFUSES) });
    assert!(herald.try_login(&identity("bad", Platform::Web)).await.is_err());
    herald.all_told().await;
    assert_eq!(herald.running.online().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_question_that_was_not_answered_is_no_notice() {
    let (app, herald) = before().await;
    let herald = herald
        .restart_with(|config| {
            config.callbacks.online.mode = Mode::Gate;
            config.callbacks.online.failed_continue = false;
        })
        .await;
    app.answer(|_, _| async { std::future::pending().await });
    let door = herald.running.gateway;
    let asks =
        tokio::spawn(async move { Client::login(door, &identity("u", Platform::Ios)).await });
    owes(&herald, 1).await;
    let herald = herald.restart_with(|config| config.callbacks.online.mode = Mode::Notify).await;
    assert!(asks.await.unwrap().is_err());
    app.answer(|_, _| async { ok() });
    herald.all_told().await;
    let told = taken(&app).remove("u").unwrap_or_default();
    assert!(told.last().is_none_or(|last| last == "offline"), "{told:?}");
}

#[tokio::test]
async fn what_was_given_up_is_retold_once_retelling_is_switched_on() {
    let (app, herald) = before().await;
    let herald = herald.restart_with(|config| config.callbacks.retell = false).await;
    app.answer(|_, _| async { answer(400, "") });
    let _client = herald.login("u", Platform::Ios).await;
    let marks =
        async |herald: &Herald| herald.metric("herald_endpoint_marks{endpoint=\"main\"}").await;
    eventually("it is given up", || async { marks(&herald).await == 1.0 }).await;
    app.answer(|_, _| async { ok() });
    let herald =
        herald.restart_with(|config| assert_eq!(file::make_marks_due(&config.store.path), 1)).await;
    tokio::time::sleep(MOMENT).await;
    assert_eq!(taken(&app), BTreeMap::new());
    let herald = herald.restart_with(|config| config.callbacks.retell = true).await;
    eventually("it is told how things are", || async { marks(&herald).await == 0.0 }).await;
    assert_eq!(taken(&app)["u"], ["online"]);
}

#[tokio::test]
async fn an_endpoint_of_another_name_is_another_one() {
    let audit = App::start().await;
    audit.answer(|_, _| async { answer(503, "") });
    let callbacks = Callbacks { url: Some(audit.url()), ..Callbacks::default() };
    let named = |name: &str| {
        let of_name = FurtherEndpoint { name: name.to_owned(), callbacks: callbacks.clone() };
        move |config: &mut Config| config.further_endpoints = vec![of_name]
    };
    let herald = Herald::start(named("audit")).await;
    let _a = herald.login("a", Platform::Ios).await;
    eventually("it was tried", || async { !audit.received().is_empty() }).await;
    let herald = herald.restart_with(named("log")).await;
    audit.answer(|_, _| async { ok() });
    let _b = herald.login("b", Platform::Ios).await;
    eventually("news is told", || async { taken(&audit).contains_key("b") }).await;
    tokio::time::sleep(MOMENT).await;
    assert_eq!(taken(&audit).keys().collect::<Vec<_>>(), ["b"], "not what the other one is owed");
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    assert_eq!(endpoints[0]["name"], "log");
    assert_ne!(endpoints[0]["needsResync"], json!(null));
    let herald = herald.restart_with(named("audit")).await;
    eventually("what was owed is told", || async { taken(&audit).contains_key("a") }).await;
    herald.all_told().await;
}
