//! Defects of OpenIM's own server that no other test is about, with real sockets. The whole list,
//! with the test of each, is in `docs/openim-compatibility.md`.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use std::time::Duration;
use support::*;
use wire::platform::Platform;

async fn world() -> (Herald, App) {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.offline.scope = presence::Scope::Connection;
        config.presence.offline_grace = Duration::from_millis(50);
        config.presence.virtual_lease = Duration::from_millis(300);
    })
    .await;
    (herald, app)
}

/// There a second tab tells all connections of its user again, and its end tells a user offline who
/// is there.
#[tokio::test]
async fn d2_d5_a_tab_that_comes_and_goes_tells_itself_and_nobody_else() {
    let (herald, app) = world().await;
    let _phone = herald.login("u", Platform::Ios).await;
    let _page = herald.login("u", Platform::Web).await;
    let tab = herald.login("u", Platform::Web).await;
    tab.close().await;
    let told = app.hears(&["online u", "online u", "online u", "offline u"]).await;
    let conns: Vec<_> = told.iter().map(|told| told.json()["connID"].clone()).collect();
    assert_eq!(conns[3], conns[2], "offline is the tab");
    assert!(conns[0] != conns[1] && conns[1] != conns[2] && conns[0] != conns[2]);
    let status = herald
        .rest("/user/get_users_status", &token("u", Platform::Web), json!({ "userIDs": ["u"] }))
        .await;
    assert_eq!(status["data"]["statusList"][0]["platformIDs"], json!([1, 5]));
}

/// There a connection that dies at once may be unregistered before it is registered, and then is
/// online for ever.
#[tokio::test]
async fn d9_who_dies_at_once_leaves_no_ghost() {
    let (herald, app) = world().await;
    const CLIENTS: usize = 60;
    for n in 0..CLIENTS {
        let client = herald.login(&format!("u{n}"), Platform::Web).await;
        client.cut();
    }
    // And those who hang up before they are let in.
    for n in 0..CLIENTS {
        let identity = identity(&format!("h{n}"), Platform::Web);
        let dial = herald.try_login(&identity);
        let _ = tokio::time::timeout(Duration::from_micros(200 * n as u64), dial).await;
    }
    eventually("everybody is offline", || async {
        herald.running.online().await.unwrap().is_empty()
            && herald.metric("herald_connections").await == 0.0
    })
    .await;
    herald.all_told().await;
    for user in (0..CLIENTS).flat_map(|n| [format!("u{n}"), format!("h{n}")]) {
        let heard = app.heard_of(&user);
        let both = [format!("online {user}"), format!("offline {user}")];
        assert!(heard.is_empty() && user.starts_with('h') || heard == both, "{heard:?}");
    }
}

/// There a kick of the last connection leaves its user in the count.
#[tokio::test]
async fn d26_a_kick_of_the_last_connection_leaves_the_count() {
    let (herald, _app) = world().await;
    let _client = herald.login("u", Platform::Web).await;
    assert_eq!(herald.metric("herald_users_online").await, 1.0);
    herald.admin("POST", "/v1/users/u/kick", "").await;
    assert_eq!(herald.metric("herald_users_online").await, 0.0);
    eventually("the socket is gone", || async { herald.metric("herald_connections").await == 0.0 })
        .await;
}

/// There the list of who is online holds those whose lease has ended.
#[tokio::test]
async fn d32_whose_lease_has_ended_is_not_among_those_online() {
    let (herald, app) = world().await;
    herald.set_status("u", Platform::Web, json!({ "status": 1 })).await;
    let online =
        async || herald.admin("GET", "/v1/users?state=online", "").await.1["users"].clone();
    assert_eq!(online().await[0]["userID"], "u");
    app.hears(&["online u", "offline u"]).await;
    assert_eq!(online().await, json!([]));
}
