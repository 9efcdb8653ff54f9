//! An App that was away for long: what it is told when it is back, and what it need not be told.
#![allow(clippy::unwrap_used)]

mod support;

use presence::Scope;
use serde_json::json;
use std::time::Duration;
use support::*;
use wire::platform::Platform;

const GRACE: Duration = Duration::from_millis(20);

/// A user comes and goes, four times, while the App is away; then one stays. Returns what the App
/// took, each with the number of those it speaks for.
async fn told(collapse_after: Duration, scope: Scope) -> (Vec<String>, Herald) {
    let app = App::start().await;
    app.answer(|_, _| async { answer(503, "") });
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.collapse_after = collapse_after;
        config.callbacks.offline.scope = scope;
        config.callbacks.extra_fields = true;
        config.presence.offline_grace = GRACE;
    })
    .await;
    // It is tried with this one, which it may have heard of, therefore.
    let first = herald.login("u", Platform::Ios).await;
    eventually("the App was tried", || async { !app.received().is_empty() }).await;
    first.close().await;
    let owed = async || herald.running.owed().await.unwrap();
    for round in 1..4 {
        eventually("the user is gone", || async { owed().await == 2 * round }).await;
        herald.login("u", Platform::Ios).await.close().await;
    }
    eventually("the user is gone", || async { owed().await == 8 }).await;
    let _stays = herald.login("u", Platform::Web).await;
    if !collapse_after.is_zero() {
        tokio::time::sleep(2 * collapse_after).await;
    }
    app.answer(|_, _| async { ok() });
    herald.all_told().await;
    let taken = app.received().into_iter().filter(Received::taken);
    let told = taken.map(|heard| {
        let collapsed = heard.json()["collapsed"].as_u64().unwrap_or(0);
        format!("{} for {collapsed}", heard.what())
    });
    (told.collect(), herald)
}

#[tokio::test]
async fn a_flag_is_told_the_last_word_and_what_may_have_been_heard() {
    let (told, herald) = told(Duration::from_millis(50), Scope::User).await;
    assert_eq!(told, ["online u for 0", "online u for 7"]);
    let (_, superseded) = herald.admin("GET", "/v1/callbacks?state=superseded", "").await;
    assert_eq!(superseded["callbacks"].as_array().unwrap().len(), 7, "they stay readable");
    assert_eq!(herald.metric("herald_callbacks_superseded_total").await, 7.0);
    let (_, delivered) = herald.admin("GET", "/v1/callbacks?state=delivered", "").await;
    assert_eq!(delivered["callbacks"][0]["collapsed"], json!(7));
}

#[tokio::test]
async fn a_set_of_connections_is_told_the_last_word_of_each() {
    let (told, _) = told(Duration::from_millis(50), Scope::Connection).await;
    let gone = ["offline u for 0", "offline u for 1", "offline u for 1", "offline u for 1"];
    assert_eq!(told, [&["online u for 0"], &gone[..], &["online u for 0"]].concat());
}

#[tokio::test]
async fn switched_off_everything_is_told() {
    let (told, _) = told(Duration::ZERO, Scope::User).await;
    let pairs = ["online u for 0", "offline u for 0"].repeat(4);
    assert_eq!(told, [&pairs[..], &["online u for 0"]].concat());
}
