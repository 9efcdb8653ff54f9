//! One purpose for one resource: what one kind of event uses up is there for another.
#![allow(clippy::unwrap_used)]

mod support;

use presence::{Scope, UserId};
use serde_json::json;
use server::client::{Client, LoginError, http};
use std::{sync::Arc, time::Duration};
use store::StoreError;
use support::{faulty::Faulty, *};
use tokio::task::JoinHandle;
use wire::platform::Platform;

const DEVICES: [Platform; 4] = [Platform::Ios, Platform::Web, Platform::Linux, Platform::IPad];

#[tokio::test]
async fn a_user_who_logs_in_too_often_is_held_off_and_nobody_else() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.presence.user_budget = 3;
    })
    .await;
    let mut clients = Vec::new();
    for platform in &DEVICES[..3] {
        clients.push(herald.login("u", *platform).await);
    }
    let refused = herald.try_login(&identity("u", DEVICES[3])).await;
    let Err(LoginError::Refused { code, .. }) = refused else { panic!("let in") };
    assert_eq!(code, 1601);
    let _other = herald.login("v", Platform::Ios).await;
    herald.all_told().await;
    assert_eq!(app.heard_of("u"), ["online u"; 3]);
}

/// A backend that sets a status for each track that is played must not lock the user out.
#[tokio::test]
async fn statuses_use_up_no_logins() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.presence.user_budget = 3;
    })
    .await;
    let phone = herald.try_login(&identity("u", Platform::Ios)).await.unwrap();
    let own = token("u", Platform::Ios);
    let mut codes = Vec::new();
    for n in 0..5 {
        let status = json!({ "userID": "u", "platformID": 1, "status": 1, "text": n.to_string() });
        codes.push(herald.rest("/user/set_user_status", &own, status).await["errCode"].clone());
    }
    assert_eq!(codes, [0, 0, 0, 1002, 1002].map(|code| json!(code)), "the user's own");
    let mut statuses = Vec::new();
    for n in 0..40 {
        let body = json!({ "text": format!("track {n}") }).to_string();
        statuses.push(herald.admin("PUT", "/v1/users/u/status", &body).await.0);
    }
    assert!(statuses[..30].iter().all(|status| *status == 204), "a backend's: {statuses:?}");
    assert!(statuses.contains(&429), "they have a limit, too");
    phone.cut();
    let _back = herald.login("u", Platform::Ios).await;
    let _browser = herald.login("u", Platform::Web).await;
}

/// All sockets of a user come back at once after a restart, more than a user may log in.
#[tokio::test]
async fn all_sockets_of_a_user_return_after_a_restart() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.online.scope = Scope::Connection;
        config.callbacks.offline.scope = Scope::Connection;
        config.presence.restart_grace = Duration::from_secs(600);
    })
    .await;
    let same = identity("u", Platform::Web);
    let mut tabs = Vec::new();
    for _ in 0..60 {
        tabs.push(herald.try_login(&same).await.unwrap());
    }
    herald.all_told().await;
    let herald = {
        let mut herald = herald;
        herald.config.presence.user_budget = 30;
        herald.restart().await
    };
    let told = app.received().len();
    let mut back = Vec::new();
    for _ in 0..60 {
        back.push(herald.try_login(&same).await.expect("each comes back"));
    }
    herald.all_told().await;
    let (_, user) = herald.admin("GET", "/v1/users/u", "").await;
    assert_eq!(user["connections"].as_array().unwrap().len(), 60);
    let later: Vec<String> = app.received()[told..].iter().map(Received::what).collect();
    let offline = later.iter().filter(|what| *what == "offline u").count();
    assert_eq!((later.len(), offline), (120, 60), "each return replaces one, and no more are gone");
}

async fn on(app: &App, store: &Arc<Faulty>) -> Herald {
    let url = app.url();
    Herald::start_on(store.clone(), |config| {
        config.callbacks.url = Some(url);
        config.presence.restart_grace = Duration::from_secs(600);
    })
    .await
}

/// A hold by itself: a balancer must not take everybody away.
async fn graces_held(herald: &Herald) -> Option<String> {
    let (status, held) = ready_and_held(herald).await;
    assert_eq!(status, 200, "a balancer must not take everybody away");
    held
}

async fn ready_and_held(herald: &Herald) -> (u16, Option<String>) {
    let (status, body) = http(herald.running.admin, "GET", "/readyz", &[], "").await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    (status, body["gracesHeld"].as_str().map(str::to_owned))
}

/// One user's logins fail, another's are slow, for as long as you like: others go offline in time.
#[tokio::test]
async fn one_user_whose_login_fails_or_is_slow_holds_nobodys_grace() {
    let (app, store) = (App::start().await, Faulty::new());
    let herald = on(&app, &store).await;
    let good = herald.login("good", Platform::Ios).await;
    store.commits(|user: &UserId| match user.as_str() {
        "broken" => {
            let why = "on purpose".to_owned();
            let error = StoreError::Corrupt { what: "presence", of: user.to_string(), why };
            (Duration::ZERO, Some(error))
        }
        "slow" => (Duration::from_millis(1_100), None),
        _ => (Duration::ZERO, None),
    });
    let mut slow = Vec::new();
    for _ in 0..64 {
        slow.push(dials(&herald, "slow"));
    }
    for _ in 0..3 {
        assert!(herald.try_login(&identity("broken", Platform::Ios)).await.is_err());
    }
    eventually("one of them is in", || async { slow.iter().any(|login| login.is_finished()) })
        .await;
    good.cut();
    eventually("good is told offline", || async {
        app.heard_of("good") == ["online good", "offline good"]
    })
    .await;
    assert!(slow.iter().any(|login| !login.is_finished()), "while it goes on");
    assert_eq!(graces_held(&herald).await, None);
    slow.iter().for_each(|login| login.abort());
}

/// A commit that panicked is over, not slow.
#[tokio::test]
async fn commits_that_panic_hold_no_grace() {
    let (app, store) = (App::start().await, Faulty::new());
    let herald = on(&app, &store).await;
    for n in 0..25 {
        let user = format!("u{n}");
        store.panic_at(&format!("commit {user}"));
        assert!(herald.try_login(&identity(&user, Platform::Ios)).await.is_err());
    }
    // Longer than what makes a commit slow, and than it takes to look again.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(graces_held(&herald).await, None);
}

/// The probe works, and so do all others' logins: what fails is what a client needs.
#[tokio::test]
async fn a_commit_or_a_load_that_fails_makes_it_not_ready_at_once_and_ready_when_none_does() {
    let (app, store) = (App::start().await, Faulty::new());
    let herald = on(&app, &store).await;
    let unavailable = || Some(StoreError::Unavailable("a page is damaged".into()));
    let ready = async || herald.admin("GET", "/readyz", "").await;
    assert_eq!(ready().await.0, 200);
    store.commits(move |_: &UserId| (Duration::ZERO, unavailable()));
    assert!(herald.try_login(&identity("a", Platform::Ios)).await.is_err());
    let (status, body) = ready().await;
    assert_eq!(status, 503, "{body}");
    let reason = body["reasons"][0].as_str().unwrap();
    assert!(reason.starts_with("the store: ") && reason.contains("a page is damaged"), "{body}");
    assert_eq!(herald.metric("herald_store_unavailable").await, 1.0);
    store.commits(|_: &UserId| (Duration::ZERO, None));
    eventually("it is ready again", || async { ready().await.0 == 200 }).await;

    store.loads(move |_: &UserId| unavailable());
    assert!(herald.try_login(&identity("b", Platform::Ios)).await.is_err());
    assert_eq!(ready().await.0, 503);
    store.loads(|_: &UserId| None);
    eventually("it is ready again", || async { ready().await.0 == 200 }).await;
    let _in = herald.login("b", Platform::Ios).await;

    // One user's fault is not the store's.
    let of_one = |user: &UserId| StoreError::Corrupt {
        what: "presence",
        of: user.to_string(),
        why: "on purpose".into(),
    };
    store.commits(move |user: &UserId| (Duration::ZERO, Some(of_one(user))));
    assert!(herald.try_login(&identity("c", Platform::Ios)).await.is_err());
    assert_eq!(ready().await.0, 200);
}

/// Nobody dials, so that no commit fails; those who would are kept away all the same.
#[tokio::test]
async fn a_store_that_does_not_answer_holds_graces_though_nobody_dials() {
    let (app, store) = (App::start().await, Faulty::new());
    store.probe_fails.store(true, std::sync::atomic::Ordering::Relaxed);
    let herald = on(&app, &store).await;
    eventually("graces are held", || async { herald.metric("herald_graces_held").await == 1.0 })
        .await;
}

/// Whoever cannot be let in because of the store must not be told offline meanwhile.
#[tokio::test]
async fn a_store_that_fails_holds_graces_and_so_does_one_that_is_slow_for_many() {
    let (app, store) = (App::start().await, Faulty::new());
    let herald = on(&app, &store).await;
    store.commits(|_: &UserId| (Duration::ZERO, Some(StoreError::Unavailable("disk".into()))));
    assert!(herald.try_login(&identity("u", Platform::Ios)).await.is_err());
    let (status, held) = ready_and_held(&herald).await;
    assert_eq!((status, held.as_deref()), (503, Some("nothing can be stored")));
    store.commits(|_: &UserId| (Duration::ZERO, None));
    eventually("it is ready", || async { ready_and_held(&herald).await.0 == 200 }).await;
    assert_eq!(graces_held(&herald).await.unwrap(), "nothing can be stored");
    eventually("a metric says so", || async { herald.metric("herald_graces_held").await == 1.0 })
        .await;

    let (app, store) = (App::start().await, Faulty::new());
    let herald = on(&app, &store).await;
    store.commits(|_: &UserId| (Duration::from_secs(600), None));
    let users = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
    let mut waiting: Vec<_> = users.iter().map(|user| dials(&herald, user)).collect();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(graces_held(&herald).await, None, "sixteen are few");
    waiting.extend(["q", "r", "s", "t"].map(|user| dials(&herald, user)));
    eventually("graces are held", || async { graces_held(&herald).await.is_some() }).await;
    assert_eq!(graces_held(&herald).await.unwrap(), "the store is slow for many users");
    waiting.iter().for_each(|login| login.abort());
}

fn dials(herald: &Herald, user: &'static str) -> JoinHandle<Result<Client, LoginError>> {
    let gateway = herald.running.gateway;
    tokio::spawn(async move { Client::login(gateway, &identity(user, Platform::Ios)).await })
}
