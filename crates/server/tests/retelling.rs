//! An App that applies callbacks as they come, and never reads who is online, ends right.
#![allow(clippy::unwrap_used)]

mod support;

use presence::Scope;
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};
use support::*;
use wire::platform::Platform;

/// The connections that an App holds which keeps a set of them and applies what it took, as it came.
fn connections(app: &App) -> BTreeSet<String> {
    let mut there = BTreeSet::new();
    for heard in app.received().into_iter().filter(Received::taken) {
        let conn = heard.json()["connID"].as_str().unwrap_or_default().to_owned();
        match heard.what().split(' ').next().unwrap() {
            "online" => there.insert(conn),
            _ => there.remove(&conn),
        };
    }
    there
}

async fn id_of(herald: &Herald, user: &str, kind: &str) -> String {
    let (_, page) = herald.admin("GET", &format!("/v1/callbacks?user={user}"), "").await;
    let all = page["callbacks"].as_array().unwrap().clone();
    let found = all.iter().rev().find(|callback| callback["kind"] == kind);
    found.unwrap_or_else(|| panic!("{page:#}"))["id"].as_str().unwrap().to_owned()
}

/// A user on one connection who was on another before; what the App holds after a replay of the first.
async fn after_a_replay(purge: bool) {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.online.scope = Scope::Connection;
        config.callbacks.offline.scope = Scope::Connection;
        config.presence.offline_grace = Duration::from_millis(20);
    })
    .await;
    herald.login("u", Platform::Ios).await.close().await;
    app.hears(&["online u", "offline u"]).await;
    let _there = herald.login("u", Platform::Web).await;
    app.hears(&["online u", "offline u", "online u"]).await;
    herald.all_told().await;
    let right = connections(&app);
    let first = id_of(&herald, "u", "online").await;
    if purge {
        // All but that one: what became of it is read nowhere any more.
        let filter = json!({ "state": "delivered", "since": seq_of(&first) + 1 });
        herald.admin("POST", "/v1/callbacks/purge", &filter.to_string()).await;
    }
    let path = format!("/v1/callbacks/{first}/replay");
    assert_eq!(herald.admin("POST", &path, "").await.0, 202);
    eventually("it is told how things are", || async { app.heard().len() == 5 }).await;
    assert_eq!(app.heard()[3..], ["online u", "offline u"]);
    assert_eq!(connections(&app), right);
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    assert_eq!(endpoints[0]["needsResync"], json!(null));
}

fn seq_of(id: &str) -> u64 {
    id.split(':').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn after_a_replay_a_set_of_connections_is_right() {
    after_a_replay(false).await;
}

#[tokio::test]
async fn after_a_replay_it_is_right_also_where_the_newer_rows_are_gone() {
    after_a_replay(true).await;
}

/// As a gateway in front of the App that nobody has paid for.
#[tokio::test]
async fn an_app_that_fails_at_everybody_loses_nothing() {
    for status in [402, 421, 451] {
        let app = App::start().await;
        app.answer(move |_, _| async move { answer(status, "") });
        let url = app.url();
        let herald = Herald::start(|config| config.callbacks.url = Some(url)).await;
        let users: Vec<String> = (0..8).map(|n| format!("u{n}")).collect();
        let mut clients = Vec::new();
        for user in &users {
            clients.push(herald.login(user, Platform::Ios).await);
        }
        // Each of them as often as would be enough to give it up.
        let tries = async |user: &String| app.heard_of(user).len();
        for user in &users {
            eventually("it is tried often", || async { tries(user).await > 3 }).await;
        }
        let endpoint = async || herald.admin("GET", "/v1/endpoints", "").await.1[0].clone();
        assert_eq!(
            (&endpoint().await["dead"], &endpoint().await["state"]),
            (&json!(0), &json!("probing"))
        );
        app.answer(|_, _| async { ok() });
        herald.all_told().await;
        let taken = app.received().into_iter().filter(Received::taken);
        let told: BTreeSet<String> = taken.map(|heard| heard.what()).collect();
        assert_eq!(told.len(), users.len());
        assert_eq!(endpoint().await["state"], "open");
    }
}

/// What is told again is decided in its user's turn, and that user may have to wait for long.
#[tokio::test]
async fn nobody_waits_for_the_user_who_is_told_again() {
    let (app, store) = (App::start().await, faulty::Faulty::new());
    let url = app.url();
    let herald = Herald::start_on(store.clone(), |config| config.callbacks.url = Some(url)).await;
    herald.login("slow", Platform::Ios).await.close().await;
    app.hears(&["online slow", "offline slow"]).await;
    herald.all_told().await;
    let first = id_of(&herald, "slow", "online").await;
    store.commits(|user| match user.as_str() {
        "slow" => (Duration::from_secs(600), None),
        _ => (Duration::ZERO, None),
    });
    herald.admin("POST", &format!("/v1/callbacks/{first}/replay"), "").await;
    app.hears(&["online slow", "offline slow", "online slow"]).await;
    for n in 0..3 {
        let _client = herald.login(&format!("u{n}"), Platform::Ios).await;
        let told = format!("online u{n}");
        eventually("others are told", || async { app.heard().contains(&told) }).await;
    }
}

/// Who has the turn before may change what is to be told again, or whether anything is.
#[tokio::test]
async fn what_is_told_again_is_decided_in_the_users_turn() {
    let (app, store) = (App::start().await, faulty::Faulty::new());
    let url = app.url();
    let herald = Herald::start_on(store.clone(), |config| config.callbacks.url = Some(url)).await;
    herald.login("u", Platform::Ios).await.close().await;
    app.hears(&["online u", "offline u"]).await;
    herald.all_told().await;
    let first = id_of(&herald, "u", "online").await;
    store.commits(|_| (Duration::from_secs(1), None));
    let path = format!("/v1/callbacks/{first}/replay");
    let replay = async {
        // The login has its turn by then.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(herald.admin("POST", &path, "").await.0, 202);
    };
    let (_there, ()) = tokio::join!(herald.login("u", Platform::Web), replay);
    eventually("the login is told", || async { app.heard().len() >= 4 }).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let told = ["online u", "offline u", "online u", "online u"];
    assert_eq!(app.heard(), told, "the login says how things are");
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    assert_eq!(endpoints[0]["untold"], json!(0));
}

/// Few are told again at the same time; one whom the App cannot take must not be all of them.
#[tokio::test]
async fn one_user_whom_the_app_cannot_take_stops_nobody_from_being_told_again() {
    let app = App::start().await;
    app.answer(|heard, _| {
        let json = heard.json();
        let fails = json["userID"] == "x" && json["reason"] == "resync";
        async move { if fails { answer(500, "") } else { ok() } }
    });
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.extra_fields = true;
        config.callbacks.concurrency_max = 10;
        config.presence.offline_grace = Duration::from_millis(20);
    })
    .await;
    for user in ["x", "y"] {
        herald.login(user, Platform::Ios).await.close().await;
        eventually("it is told", || async { app.heard_of(user).len() == 2 }).await;
    }
    herald.all_told().await;
    for user in ["x", "y"] {
        let first = id_of(&herald, user, "online").await;
        let path = format!("/v1/callbacks/{first}/replay");
        assert_eq!(herald.admin("POST", &path, "").await.0, 202);
        if user == "x" {
            eventually("x is told again", || async { app.heard_of("x").len() >= 4 }).await;
        }
    }
    let mut others = 0;
    while app.heard_of("y").len() < 4 {
        // What others are told succeeds.
        assert!(others < 100, "nobody else is told again");
        herald.login(&format!("n{others}"), Platform::Ios).await.close().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        others += 1;
    }
    assert!(app.heard_of("x").len() < 8, "x is left for later: {:?}", app.heard_of("x"));
}

/// The tries of a callback are stored, so what they mean must be known after a restart, too.
#[tokio::test]
async fn an_app_that_fails_at_everybody_loses_nothing_however_often_herald_starts() {
    let app = App::start().await;
    app.answer(|_, _| async { answer(402, "") });
    let url = app.url();
    let mut herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.online.scope = Scope::User;
        config.presence.offline_grace = Duration::from_secs(600);
        config.presence.restart_grace = Duration::from_secs(600);
    })
    .await;
    for n in 0..6 {
        herald.login(&format!("u{n}"), Platform::Ios).await.cut();
    }
    for _ in 0..4 {
        let heard = app.heard().len();
        eventually("it is tried", || async { app.heard().len() >= heard + 12 }).await;
        herald = herald.restart().await;
    }
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    assert_eq!((&endpoints[0]["dead"], &endpoints[0]["owed"]), (&json!(0), &json!(6)));
    app.answer(|_, _| async { ok() });
    herald.all_told().await;
    // What it fails at then is given up again.
    app.answer(|_, _| async { answer(402, "") });
    herald = herald.restart().await;
    herald.login("one", Platform::Ios).await.cut();
    eventually("it is given up", || async {
        herald.admin("GET", "/v1/endpoints", "").await.1[0]["dead"] == 1
    })
    .await;
}
