//! One purpose for one resource: what one kind of event uses up is there for another.
#![allow(clippy::unwrap_used)]

mod support;

use presence::Scope;
use serde_json::json;
use server::client::LoginError;
use std::time::Duration;
use support::*;
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
