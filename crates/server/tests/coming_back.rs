//! An endpoint, or a kind of callbacks, that was switched off for a while: an App that applies what comes, as
//! it comes, is right once it is told again.
#![allow(clippy::unwrap_used)]

mod support;

use presence::Scope;
use serde_json::{Value, json};
use server::{
    client::Identity,
    config::{Callbacks, Config, FurtherEndpoint},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use support::*;
use wire::platform::Platform;

const SCOPES: [(Scope, &str); 3] =
    [(Scope::User, ""), (Scope::Platform, "platformID"), (Scope::Connection, "connID")];

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What an App holds that keeps a flag for each user and value of that field.
fn view(app: &App, field: &str) -> BTreeSet<(String, String)> {
    let mut view = BTreeMap::new();
    for heard in app.received().into_iter().filter(Received::taken) {
        let body = heard.json();
        let key = (text(&body["userID"]), text(body.get(field).unwrap_or(&json!(""))));
        match heard.what().split(' ').next().unwrap() {
            "online" => drop(view.insert(key, true)),
            "offline" => drop(view.insert(key, false)),
            _ => {}
        }
    }
    view.into_iter().filter(|(_, online)| *online).map(|(key, _)| key).collect()
}

async fn truth(herald: &Herald, field: &str) -> BTreeSet<(String, String)> {
    let mut truth = BTreeSet::new();
    for user in herald.running.online().await.unwrap() {
        let (_, seen) = herald.admin("GET", &format!("/v1/users/{user}"), "").await;
        for connection in seen["connections"].as_array().unwrap() {
            truth.insert((user.clone(), text(connection.get(field).unwrap_or(&json!("")))));
        }
    }
    truth
}

async fn is_settled(herald: &Herald) -> bool {
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    let all = endpoints.as_array().unwrap();
    all.iter().all(|of| (&of["owed"], &of["untold"]) == (&json!(0), &json!(0)))
}

/// Users come and go before, while and after the endpoint is told less.
async fn check(scope: Scope, field: &str, without: fn(&mut Config), with: fn(&mut Config, &App)) {
    let app = App::start().await;
    let herald = Herald::start(|config| {
        with(config, &app);
        for callbacks in callbacks(config) {
            callbacks.extra_fields = true;
            callbacks.online.scope = scope;
            callbacks.offline.scope = scope;
        }
        config.presence.offline_grace = Duration::from_millis(20);
        config.presence.restart_grace = Duration::from_millis(300);
    })
    .await;
    let _left = herald.login("left", Platform::Ios).await;
    let _stays = herald.login("stays", Platform::Ios).await;
    herald.all_told().await;
    app.answer(|_, _| async { answer(503, "") });
    let _owed = herald.login("owed", Platform::Ios).await;
    herald.login("back", Platform::Ios).await.close().await;
    let herald = herald.restart_with(without).await;
    eventually("who left is offline", || async {
        herald.running.online().await.unwrap().is_empty()
    })
    .await;
    app.answer(|_, _| async { ok() });
    for user in ["stays", "back", "came"] {
        herald.login(user, Platform::Web).await.cut();
        herald.login(user, Platform::Android).await.cut();
    }
    herald.login("passed", Platform::Web).await.close().await;
    let herald = herald
        .restart_with(|config| {
            with(config, &app);
            config.presence.restart_grace = Duration::from_secs(600);
        })
        .await;
    eventually("all is told, and retold", || async { is_settled(&herald).await }).await;
    assert_eq!(view(&app, field), truth(&herald, field).await, "{scope:?}");
    assert!(!view(&app, field).is_empty());
}

fn callbacks(config: &mut Config) -> impl Iterator<Item = &mut Callbacks> {
    let further = config.further_endpoints.iter_mut().map(|further| &mut further.callbacks);
    further.chain([&mut config.callbacks])
}

fn with_url(config: &mut Config, app: &App) {
    config.callbacks.url = Some(app.url());
}

#[tokio::test]
async fn an_endpoint_that_was_taken_out_and_comes_back_is_right() {
    for (scope, field) in SCOPES {
        check(scope, field, |config| config.callbacks.url = None, with_url).await;
    }
}

#[tokio::test]
async fn offlines_that_are_switched_on_again_are_made_up_for() {
    for (scope, field) in SCOPES {
        check(
            scope,
            field,
            |config| config.callbacks.offline.enable = false,
            |config, app| {
                with_url(config, app);
                config.callbacks.offline.enable = true;
            },
        )
        .await;
    }
}

#[tokio::test]
async fn onlines_that_are_switched_on_again_are_made_up_for() {
    for (scope, field) in SCOPES {
        check(
            scope,
            field,
            |config| config.callbacks.online.enable = false,
            |config, app| {
                with_url(config, app);
                config.callbacks.online.enable = true;
            },
        )
        .await;
    }
}

#[tokio::test]
async fn who_is_in_the_background_is_told_once_that_is_switched_on() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.online.scope = Scope::User;
        config.presence.restart_grace = Duration::from_secs(600);
    })
    .await;
    let _front = herald.login("u", Platform::Ios).await;
    app.hears(&["online u"]).await;
    let identity = Identity { background: true, ..identity("u", Platform::Web) };
    let _behind = herald.try_login(&identity).await.unwrap();
    let herald = herald.restart_with(|config| config.callbacks.background.enable = true).await;
    eventually("it is told", || async { is_settled(&herald).await && app.heard().len() > 1 }).await;
    let last = app.received().pop().unwrap();
    assert_eq!(last.json()["isAppBackground"], json!(true), "{:?}", app.heard());
}

/// Whoever reads the feed and kept a cursor must learn that it does not tell all that follows.
#[tokio::test]
async fn a_cursor_from_before_a_time_without_the_endpoint_is_gone() {
    let app = App::start().await;
    let (url, audit) = (
        app.url(),
        FurtherEndpoint {
            name: "audit".to_owned(),
            callbacks: Callbacks { url: Some(app.url()), ..Callbacks::default() },
        },
    );
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.further_endpoints = vec![audit.clone()];
    })
    .await;
    herald.login("u", Platform::Ios).await.cut();
    herald.all_told().await;
    let (_, page) = herald.admin("GET", "/v1/events?endpoint=audit", "").await;
    let after = format!("/v1/events?endpoint=audit&after={}", text(&page["cursor"]));
    let herald = herald.restart().await;
    assert_eq!(herald.admin("GET", &after, "").await.0, 200, "nothing is missing");
    let herald = herald.restart_with(|config| config.further_endpoints.clear()).await;
    let herald = herald.restart_with(|config| config.further_endpoints = vec![audit]).await;
    assert_eq!(herald.admin("GET", &after, "").await.0, 410);
    let (status, page) = herald.admin("GET", "/v1/events?endpoint=audit", "").await;
    assert_eq!(status, 200);
    let after = format!("/v1/events?endpoint=audit&after={}", text(&page["cursor"]));
    assert_eq!(herald.admin("GET", &after, "").await.0, 200, "a new one");
}
