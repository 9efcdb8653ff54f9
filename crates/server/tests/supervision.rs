//! A panic ends what it is in and nothing else; a core loop that ends is noticed.
#![allow(clippy::unwrap_used)]

mod support;

use server::client::{Heard, LoginError, http};
use std::sync::Arc;
use support::{faulty::Faulty, *};
use wire::{identifier, platform::Platform};

async fn herald(app: &App, store: &Arc<Faulty>) -> Herald {
    let url = app.url();
    Herald::start_on(store.clone(), |config| config.callbacks.url = Some(url)).await
}

async fn panics(herald: &Herald, work: &str) -> f64 {
    herald.metric(&format!("herald_panics_total{{where=\"{work}\"}}")).await
}

#[tokio::test]
async fn a_users_step_that_panics_is_an_error_to_that_user_alone() {
    let (app, store) = (App::start().await, Faulty::new());
    let herald = herald(&app, &store).await;
    store.panic_at("load broken");
    let refused = herald.try_login(&identity("broken", Platform::Ios)).await;
    let Err(LoginError::Refused { code, .. }) = refused else { panic!("let in") };
    assert_eq!(code, 500);
    let _other = herald.login("other", Platform::Ios).await;
    app.hears(&["online other"]).await;
    assert!(panics(&herald, "step").await >= 1.0);
    store.work_at("load broken");
    let _mended = herald.login("broken", Platform::Ios).await;
    app.hears(&["online other", "online broken"]).await;
}

#[tokio::test]
async fn a_deadline_that_panics_holds_up_no_other_users_and_is_tried_again() {
    let (app, store) = (App::start().await, Faulty::new());
    let herald = herald(&app, &store).await;
    let broken = herald.login("broken", Platform::Ios).await;
    let other = herald.login("other", Platform::Ios).await;
    app.hears(&["online broken", "online other"]).await;
    broken.cut();
    eventually("the loss is noted", || async {
        let (_, user) = herald.admin("GET", "/v1/users/broken", "").await;
        user.to_string().contains("lingering")
    })
    .await;
    store.panic_at("load broken");
    eventually("its deadline has come", || async { store.panics_at("load broken") > 0 }).await;
    other.cut();
    app.hears(&["online broken", "online other", "offline other"]).await;
    store.work_at("load broken");
    app.hears(&["online broken", "offline broken", "online other", "offline other"]).await;
}

/// The user would stay online for ever: nobody else knows that the socket is gone.
#[tokio::test]
async fn a_connection_that_panics_ends_as_lost() {
    let (app, store) = (App::start().await, Faulty::new());
    let herald = herald(&app, &store).await;
    let mut broken = herald.login("broken", Platform::Ios).await;
    let mut other = herald.login("other", Platform::Ios).await;
    app.hears(&["online broken", "online other"]).await;
    store.panic_at("load watched");
    // A SubUserOnlineStatus that names "watched".
    let request = "Cgd3YXRjaGVk";
    broken.request("broken", identifier::SUB_USER_ONLINE_STATUS, request).await.unwrap();
    assert_eq!(broken.hear().await, Heard::Lost);
    app.hears(&["online broken", "offline broken", "online other"]).await;
    assert_eq!(herald.metric("herald_connections").await, 1.0);
    assert!(panics(&herald, "connection").await >= 1.0);
    other.request("other", identifier::GET_NEWEST_SEQ, "").await.unwrap();
    assert!(matches!(other.hear().await, Heard::Frame(_)));
}

#[tokio::test]
async fn a_request_that_panics_is_answered() {
    let (app, store) = (App::start().await, Faulty::new());
    let herald = herald(&app, &store).await;
    store.panic_at("callbacks");
    assert_eq!(herald.admin("GET", "/v1/callbacks", "").await.0, 500);
    assert!(panics(&herald, "request").await >= 1.0);
}

#[tokio::test]
async fn an_attempt_that_panics_is_not_made_again_at_once_and_holds_up_no_other_user() {
    let (app, store) = (App::start().await, Faulty::new());
    let herald = herald(&app, &store).await;
    store.panic_at("settle broken");
    let _broken = herald.login("broken", Platform::Ios).await;
    eventually("it panicked", || async { store.panics_at("settle broken") > 0 }).await;
    let users: Vec<_> = (0..100).map(|n| format!("u{n}")).collect();
    let mut clients = Vec::new();
    for user in &users {
        clients.push(herald.login(user, Platform::Ios).await);
    }
    eventually("all others are told", || async {
        users.iter().all(|user| app.heard_of(user).len() == 1)
    })
    .await;
    eventually("and that is noted", || async { herald.running.owed().await.unwrap() == 1 }).await;
    assert_eq!((app.heard_of("broken").len(), store.panics_at("settle broken")), (1, 1));
    assert!(panics(&herald, "attempt").await >= 1.0);
}

#[tokio::test]
async fn a_core_loop_that_ends_is_named_and_healthz_says_so() {
    let (app, store) = (App::start().await, Faulty::new());
    let herald = herald(&app, &store).await;
    let healthz = async || http(herald.running.admin, "GET", "/healthz", &[], "").await.unwrap();
    assert_eq!(healthz().await, (200, "ok\n".to_owned()));
    store.ended.cancel();
    assert_eq!(herald.running.broken().await.name, "writer of the store");
    let (status, why) = healthz().await;
    assert_eq!((status, why.contains("writer of the store")), (503, true), "{why}");
}

#[tokio::test]
async fn each_loop_over_the_store_is_a_core_loop() {
    for (call, name) in [
        ("due_wakeups", "deadlines"),
        ("claim", "callbacks of main"),
        ("probe", "watch of the store"),
        ("prune", "prune"),
    ] {
        let (app, store) = (App::start().await, Faulty::new());
        store.panic_at(call);
        let herald = herald(&app, &store).await;
        assert_eq!(herald.running.broken().await.name, name);
    }
}

#[tokio::test]
async fn what_is_stopped_is_not_broken() {
    let (app, store) = (App::start().await, Faulty::new());
    let Herald { running, .. } = herald(&app, &store).await;
    let loops = running.loops();
    running.stop().await;
    assert_eq!(loops.ended(), None);
}
