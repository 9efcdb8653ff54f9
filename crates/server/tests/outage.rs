//! An App that was away for long: what it is told when it is back, and what it need not be told.
#![allow(clippy::unwrap_used)]

mod support;

use presence::{Author, Event, Now, Policy, Scope, Status, Subject, Timestamp, User, UserId};
use serde_json::json;
use std::{path::Path, sync::Arc, time::Duration};
use store::{Claim, Commit, EndpointName, Fate, NewCallback, Settlement, Sqlite, Store, Sync};
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

#[tokio::test]
async fn a_pause_outlives_a_restart_and_loses_nothing() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| config.callbacks.url = Some(url)).await;
    assert_eq!(herald.admin("POST", "/v1/endpoints/main/pause", "").await.0, 204);
    let _client = herald.login("u", Platform::Ios).await;
    let herald = herald.restart().await;
    let client = herald.login("v", Platform::Ios).await;
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    assert_eq!((&endpoints[0]["state"], &endpoints[0]["owed"]), (&json!("paused"), &json!(2)));
    // Longer than the net under everything that rings.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(app.heard(), [""; 0]);
    assert_eq!(herald.admin("POST", "/v1/endpoints/main/resume", "").await.0, 204);
    eventually("both are told", || async { app.heard().len() >= 2 }).await;
    drop(client);
    let herald = herald.restart().await;
    let _again = herald.login("w", Platform::Ios).await;
    herald.all_told().await;
    assert!(app.heard().contains(&"online w".to_owned()), "a resume outlives it, too");
}

#[tokio::test]
async fn what_expires_makes_an_endpoint_need_a_resync_until_its_app_has_read_who_is_online() {
    let app = App::start().await;
    app.answer(|_, _| async { answer(503, "") });
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.outbox.owed_max = 2;
    })
    .await;
    let mut clients = Vec::new();
    for user in ["a", "b", "c"] {
        clients.push(herald.login(user, Platform::Ios).await);
    }
    let resync =
        async || herald.admin("GET", "/v1/endpoints", "").await.1[0]["needsResync"].clone();
    assert_eq!(resync().await, json!(null));
    eventually("the oldest expires", || async { resync().await.is_object() }).await;
    assert!(resync().await["why"].as_str().unwrap().contains("given up"));
    assert_eq!(herald.metric("herald_callbacks_expired_total").await, 1.0);
    assert_eq!(herald.metric("herald_endpoint_needs_resync{endpoint=\"main\"}").await, 1.0);

    app.answer(|_, _| async { ok() });
    herald.all_told().await;
    let header = |heard: &Received| heard.headers.get("herald-resync").cloned();
    let last = app.received().pop().unwrap();
    assert_eq!(header(&last).unwrap(), "needed");
    assert_eq!(herald.admin("POST", "/v1/endpoints/main/resynced", "").await.0, 204);
    assert_eq!(resync().await, json!(null));
    let _more = herald.login("d", Platform::Ios).await;
    herald.all_told().await;
    let last = app.received().pop().unwrap();
    assert_eq!((last.what().as_str(), header(&last)), ("online d", None));
}

#[tokio::test]
async fn an_endpoint_that_is_told_of_other_things_needs_a_resync() {
    let app = App::start().await;
    let url = app.url();
    let mut herald = Herald::start(|config| config.callbacks.url = Some(url)).await;
    let why = async |herald: &Herald| {
        let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
        endpoints[0]["needsResync"]["why"].as_str().map(str::to_owned)
    };
    let _client = herald.login("u", Platform::Ios).await;
    herald = herald.restart().await;
    assert_eq!(why(&herald).await, None, "nothing was changed");
    herald.config.callbacks.offline.scope = Scope::Platform;
    herald = herald.restart().await;
    assert!(why(&herald).await.unwrap().contains("told of other things"));
}

#[tokio::test]
async fn dead_callbacks_are_replayed_or_purged_by_what_they_have_in_common() {
    let app = App::start().await;
    app.answer(|_, _| async { answer(400, "") });
    let url = app.url();
    let herald = Herald::start(|config| config.callbacks.url = Some(url)).await;
    let mut clients = Vec::new();
    // A third one would say that the App fails at everybody.
    for user in ["a", "b"] {
        clients.push(herald.login(user, Platform::Ios).await);
    }
    let dead = async || herald.metric("herald_callbacks_dead{endpoint=\"main\"}").await;
    eventually("all are dead", || async { dead().await == 2.0 }).await;
    app.answer(|_, _| async { ok() });
    let post = async |path: &str, body: serde_json::Value| {
        herald.admin("POST", &format!("/v1/callbacks/{path}"), &body.to_string()).await
    };
    let (_, none) = post("replay", json!({ "state": "dead", "until": 5 })).await;
    assert_eq!(none, json!({ "done": 0, "inFlight": 0, "more": false }));
    let (_, one) = post("replay", json!({ "state": "dead", "user": "b" })).await;
    assert_eq!(one["done"], 1);
    herald.all_told().await;
    let taken = app.received().into_iter().filter(Received::taken);
    assert_eq!(taken.map(|heard| heard.what()).collect::<Vec<_>>(), ["online b"]);
    let (_, rest) = post("purge", json!({ "state": "dead", "since": 5, "endpoint": "main" })).await;
    assert_eq!((&rest["done"], dead().await), (&json!(1), 0.0));
    for bad in [json!({}), json!({ "state": "pending" }), json!({ "state": "dead", "all": 1 })] {
        assert_eq!(post("purge", bad.clone()).await.0, 400, "{bad}");
        assert_eq!(post("replay", bad.clone()).await.0, 400, "{bad}");
    }
}

/// Fills the store as a server would have, with so many callbacks that were delivered.
async fn fill(folder: &Path, callbacks: u64) {
    let store = Arc::new(Sqlite::open(folder, Sync::Full).unwrap());
    let commits = (0..callbacks).map(|n| {
        let store = Arc::clone(&store);
        let policy = Policy { user_budget: 0, ..Policy::default() };
        tokio::spawn(async move {
            let status = Event::StatusSet {
                platform: presence::Platform::Ios,
                status: Status::default(),
                by: Author::Admin,
            };
            let mut state = User::default();
            let now = Now { mono: presence::Instant(n), wall: Timestamp(n + 1) };
            let effects = state.apply(status, now, &policy);
            let callbacks = effects.changes.into_iter().map(|change| NewCallback {
                endpoint: EndpointName::new("main"),
                change,
                operation_id: "op".into(),
                due_at: presence::Instant(0),
                asks: false,
                speaks_for: Vec::new(),
            });
            let commit = Commit {
                user: UserId::new(format!("u{n}")),
                based_on: 0,
                state,
                wake_at: None,
                callbacks: callbacks.collect(),
                settles: None,
                answers: None,
                at: Timestamp(n + 1),
            };
            store.commit(commit).await.unwrap();
        })
    });
    futures_util::future::join_all(commits.collect::<Vec<_>>()).await;
    let claim = Claim {
        endpoint: EndpointName::new("main"),
        now: presence::Instant(0),
        lease: Duration::from_secs(600),
        limit: usize::MAX,
    };
    let settled = store.claim(claim).await.unwrap().into_iter().map(|claimed| {
        let settlement = Settlement {
            lease: claimed.lease,
            subject: Subject::User,
            change: claimed.change,
            attempt: None,
            fate: Fate::Delivered,
            at: Timestamp(1),
        };
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.settle(settlement).await.unwrap() })
    });
    futures_util::future::join_all(settled.collect::<Vec<_>>()).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn ten_thousand_are_replayed_and_purged_with_one_answer_each() {
    const MANY: u64 = 10_000;
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), MANY).await;
    let app = App::start().await;
    app.answer(|_, _| async { answer(503, "") });
    let url = app.url();
    let path = folder.path().to_owned();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.collapse_after = Duration::ZERO;
        config.presence.restart_grace = Duration::from_secs(600);
        config.store.path = path;
    })
    .await;
    let post = async |what: &str, body: serde_json::Value| {
        herald.admin("POST", &format!("/v1/callbacks/{what}"), &body.to_string()).await
    };
    // One less, so that it is said that this was all.
    let filter = json!({ "state": "delivered", "since": 2 });
    let all = json!({ "done": MANY - 1, "inFlight": 0, "more": false });
    assert_eq!(post("replay", filter.clone()).await, (200, all.clone()));
    assert_eq!(herald.running.owed().await.unwrap(), MANY - 1);
    let left = json!({ "state": "delivered" });
    assert_eq!(post("purge", left).await.1["done"], 1);
}
