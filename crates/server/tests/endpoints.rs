//! Several Apps, each told what it asked for in its own way, none of them bothered by another.
#![allow(clippy::unwrap_used)]

mod support;

use contract::{Dialect, signature::SigningSecret};
use presence::Scope;
use serde_json::json;
use server::config::{Callbacks, Config, FurtherEndpoint, Secret};
use std::{collections::BTreeMap, future::pending, time::Duration};
use support::*;
use wire::platform::Platform;

const OF_MAIN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OF_AUDIT: &str = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXIh";

#[tokio::test]
async fn each_endpoint_is_told_what_it_asked_for_and_in_its_own_way() {
    let (app, audit, kicks) = (App::start().await, App::start().await, App::start().await);
    let herald = Herald::start(|config| {
        of_main(config, &app, |callbacks| {
            callbacks.secrets = vec![Secret::new(OF_MAIN)];
            callbacks.headers = header("main");
        });
        further(config, "audit", &audit, |callbacks| {
            callbacks.secrets = vec![Secret::new(OF_AUDIT)];
            callbacks.headers = header("audit");
            callbacks.bearer = Some(Secret::new("abc"));
            callbacks.dialect = Dialect::V38;
            callbacks.online.scope = Scope::User;
        });
        further(config, "kicks", &kicks, |callbacks| {
            callbacks.online.enable = false;
            callbacks.offline.enable = false;
            callbacks.kick_off.enable = true;
            callbacks.sdk_name = "kicks".to_owned();
        });
    })
    .await;
    let _first = herald.login("u", Platform::Ios).await;
    let _second = herald.login("u", Platform::Web).await;
    let (status, _) = herald.admin("POST", "/v1/users/u/kick", "{}").await;
    assert_eq!(status, 200);
    herald.all_told().await;

    let told = |app: &App, dialect| told(app, dialect).remove("u").unwrap_or_default();
    assert_eq!(told(&app, Dialect::Classic), ["Online", "Online", "Offline"]);
    assert_eq!(told(&audit, Dialect::V38), ["Online", "Offline"]);
    assert_eq!(told(&kicks, Dialect::Classic), ["KickOff", "KickOff"]);

    assert_eq!(values(&app, "x-to"), ["main"; 3]);
    assert_eq!(values(&audit, "x-to"), ["audit"; 2]);
    assert_eq!(values(&kicks, "x-to"), [""; 2]);
    assert_eq!(values(&app, "authorization"), [""; 3]);
    assert_eq!(values(&audit, "authorization"), ["Bearer abc"; 2]);
    assert!(kicks.received().iter().all(|received| received.target.contains("sdkName=kicks")));
    assert!(!app.received().iter().any(|received| received.target.contains("sdkName")));

    assert!(is_signed(&app, OF_MAIN) && !is_signed(&app, OF_AUDIT));
    assert!(is_signed(&audit, OF_AUDIT) && !is_signed(&audit, OF_MAIN));
    assert_eq!(values(&kicks, "webhook-signature"), [""; 2]);
    let ids = [values(&app, "webhook-id"), values(&audit, "webhook-id")].concat();
    let mut different = ids.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), ids.len(), "one change has another id for each endpoint");
}

/// If one waited for the other, this would not end before the test gave up: nothing is ever answered.
#[tokio::test]
async fn an_endpoint_that_hangs_with_many_users_owed_holds_up_no_other() {
    const USERS: usize = 500;
    let (hangs, well) = (App::start().await, App::start().await);
    hangs.answer(|_, _| pending());
    let herald = Herald::start(|config| {
        of_main(config, &hangs, |callbacks| {
            callbacks.online.timeout = Duration::from_secs(300);
            callbacks.offline.timeout = Duration::from_secs(300);
        });
        further(config, "well", &well, |_| {});
    })
    .await;
    for n in 0..USERS {
        let user = format!("u{n}");
        for status in [1, 0] {
            herald.set_status(&user, Platform::Ios, json!({ "status": status })).await;
        }
    }
    eventually("the other is told of everybody", || async { well.received().len() >= 2 * USERS })
        .await;
    let told = told(&well, Dialect::Classic);
    assert_eq!(told.len(), USERS);
    for (user, told) in told {
        assert_eq!(told, ["Online", "Offline"], "{user}");
    }
    assert!(!hangs.received().is_empty());
    assert!(hangs.received().iter().all(|received| received.answered.is_none()));
    assert_eq!(owed(&herald, "main").await, 2.0 * USERS as f64);
    eventually("the other is owed nothing", || async { owed(&herald, "well").await == 0.0 }).await;
}

#[tokio::test]
async fn what_is_done_to_one_endpoint_is_not_done_to_another() {
    let (app, audit) = (App::start().await, App::start().await);
    let herald = Herald::start(|config| {
        of_main(config, &app, |_| {});
        further(config, "audit", &audit, |_| {});
    })
    .await;
    for refusing in [&app, &audit] {
        refusing.answer(|_, _| async { answer(400, "") });
    }
    let _a = herald.login("a", Platform::Ios).await;
    let dead = async |name: &str| metric(&herald, "callbacks_dead", name).await;
    eventually("both gave up", || async {
        (dead("main").await, dead("audit").await) == (1.0, 1.0)
    })
    .await;
    for well in [&app, &audit] {
        well.answer(|_, _| async { ok() });
    }
    let heard_before = app.received().len();
    let post = async |path: &str, body: serde_json::Value| {
        herald.admin("POST", &format!("/v1/{path}"), &body.to_string()).await
    };
    let of_audit = |state: &str| json!({ "state": state, "endpoint": "audit" });
    assert_eq!(post("callbacks/replay", of_audit("dead")).await.1["done"], 1);
    herald.all_told().await;
    assert!(audit.received().last().unwrap().taken());
    assert_eq!((dead("main").await, dead("audit").await), (1.0, 0.0));
    assert_eq!(post("callbacks/purge", of_audit("delivered")).await.1["done"], 1);
    assert_eq!(post("callbacks/purge", of_audit("dead")).await.1["done"], 0);
    assert_eq!(dead("main").await, 1.0);

    assert_eq!(post("endpoints/main/pause", json!({})).await.0, 204);
    let _b = herald.login("b", Platform::Ios).await;
    eventually("the one that is not paused hears of it", || async {
        audit.heard_of("b") == ["online b"]
    })
    .await;
    assert_eq!(post("endpoints/audit/resume", json!({})).await.0, 204);
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    let states = [&endpoints[0], &endpoints[1]].map(|of| (of["name"].clone(), of["state"].clone()));
    assert_eq!(json!(states), json!([["main", "paused"], ["audit", "open"]]));
    assert_eq!((app.received().len(), owed(&herald, "main").await), (heard_before, 1.0));
    assert_eq!(post("endpoints/main/resume", json!({})).await.0, 204);
    herald.all_told().await;
    assert_eq!(app.heard_of("b"), ["online b"]);
}

#[tokio::test]
async fn an_endpoint_that_was_away_from_the_configuration_is_told_what_it_was_owed_and_to_resync() {
    let audit = App::start().await;
    audit.answer(|_, _| async { answer(503, "") });
    let mut herald = Herald::start(|config| further(config, "audit", &audit, |_| {})).await;
    let _a = herald.login("a", Platform::Ios).await;
    eventually("it was tried", || async { !audit.received().is_empty() }).await;
    let of_audit = herald.config.further_endpoints.clone();

    herald.config.further_endpoints.clear();
    herald = herald.restart().await;
    assert_eq!(endpoints(&herald).await, json!([]));
    let _b = herald.login("b", Platform::Ios).await;

    audit.answer(|_, _| async { ok() });
    herald.config.further_endpoints = of_audit;
    herald = herald.restart().await;
    let why = "it is new, or told of other things than before";
    assert_eq!(endpoints(&herald).await, json!([["audit", why]]));
    let taken = || audit.received().into_iter().filter(Received::taken);
    eventually("what was owed is told", || async { taken().any(|it| it.what() == "online a") })
        .await;
    let first = taken().next().unwrap();
    assert_eq!(first.headers["herald-resync"], "needed");
}

/// Name and why it needs a resync, of each.
async fn endpoints(herald: &Herald) -> serde_json::Value {
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    let pair = |of: &serde_json::Value| json!([of["name"], of["needsResync"]["why"]]);
    endpoints.as_array().unwrap().iter().map(pair).collect()
}

fn of_main(config: &mut Config, app: &App, change: impl FnOnce(&mut Callbacks)) {
    config.callbacks.url = Some(app.url());
    change(&mut config.callbacks);
}

fn further(config: &mut Config, name: &str, app: &App, change: impl FnOnce(&mut Callbacks)) {
    let mut callbacks = Callbacks { url: Some(app.url()), ..Callbacks::default() };
    change(&mut callbacks);
    config.further_endpoints.push(FurtherEndpoint { name: name.to_owned(), callbacks });
}

fn header(value: &str) -> server::config::Headers {
    [("X-To".to_owned(), Secret::new(value))].into_iter().collect()
}

/// What an App was told of each user, in the order of arrival.
fn told(app: &App, dialect: Dialect) -> BTreeMap<String, Vec<String>> {
    let mut told = BTreeMap::<_, Vec<_>>::new();
    for received in app.received() {
        let body = received.json();
        let kind = dialect.kind(body["callbackCommand"].as_str().unwrap()).unwrap();
        let user = body["userID"].as_str().unwrap().to_owned();
        told.entry(user).or_default().push(format!("{kind:?}"));
    }
    told
}

/// A header of each request.
fn values(app: &App, name: &str) -> Vec<String> {
    let value = |received: Received| {
        received.headers.get(name).map_or_else(String::new, |it| it.to_str().unwrap().to_owned())
    };
    app.received().into_iter().map(value).collect()
}

fn is_signed(app: &App, secret: &str) -> bool {
    let secret: SigningSecret = secret.parse().unwrap();
    app.received().iter().all(|received| {
        let header = |name: &str| received.headers[name].to_str().unwrap();
        let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
        secret.signed(header("webhook-signature"), id, at, &received.body)
    })
}

async fn owed(herald: &Herald, endpoint: &str) -> f64 {
    metric(herald, "callbacks_owed", endpoint).await
}

async fn metric(herald: &Herald, name: &str, endpoint: &str) -> f64 {
    herald.metric(&format!("herald_{name}{{endpoint=\"{endpoint}\"}}")).await
}
