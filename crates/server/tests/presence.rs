//! Promise P4, with real sockets: no offline for a user who is there; and what else must hold of
//! one user's life. OpenIM's defects D2, D5, D6 and D12 are among these by name.
#![allow(clippy::unwrap_used)]

mod support;

use presence::Timestamp;
use serde_json::json;
use server::{
    client::{Client, Heard, Identity},
    config::Config,
};
use std::time::Duration;
use support::*;
use wire::{identifier, platform::Platform};

async fn world() -> (Herald, App) {
    let app = App::start().await;
    let url = app.url();
    (Herald::start(|config| config.callbacks.url = Some(url)).await, app)
}

/// Longer than the grace of [`config`], for what must not come.
async fn past_the_grace() {
    tokio::time::sleep(Duration::from_millis(1200)).await;
}

#[tokio::test]
async fn two_tabs_one_closed_is_no_offline() {
    let (herald, app) = world().await;
    let _first = herald.login("u", Platform::Web).await;
    let second = herald.login("u", Platform::Web).await;
    second.close().await;
    past_the_grace().await;
    app.hears(&["online u", "online u"]).await;
    assert_eq!(herald.running.online().await.unwrap(), ["u"]);
}

#[tokio::test]
async fn the_kick_of_one_of_two_is_no_offline_and_is_heard_by_the_kicked() {
    let (herald, app) = world().await;
    let mut phone = herald.login("u", Platform::Ios).await;
    let _page = herald.login("u", Platform::Web).await;
    let (status, answer) = herald.admin("POST", "/v1/users/u/kick", r#"{"platformID":1}"#).await;
    assert_eq!((status, answer), (200, json!({ "kicked": 1 })));
    let Heard::Frame(kick) = phone.hear().await else { panic!("no frame before the end") };
    assert_eq!(kick["reqIdentifier"], identifier::KICK_ONLINE);
    assert_eq!(phone.hear().await, Heard::Closed(Some(1008)));
    past_the_grace().await;
    app.hears(&["online u", "online u"]).await;
}

#[tokio::test]
async fn a_kick_of_everything_is_told_at_once() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.kick_off.enable = true;
        config.presence.offline_grace = Duration::from_secs(600);
    })
    .await;
    let _phone = herald.login("u", Platform::Ios).await;
    app.hears(&["online u"]).await;
    herald.admin("POST", "/v1/users/u/kick", "").await;
    let told = app.hears(&["online u", "kick_off u", "offline u"]).await;
    let kick_off = told[1].json();
    assert_eq!(told[1].target, "/cb?command=callbackUserKickOffCommand&contenttype=json");
    let exactly = json!({
        "userID": "u", "callbackCommand": "callbackUserKickOffCommand", "seq": kick_off["seq"],
    });
    assert_eq!(kick_off, exactly);
    assert_eq!(told[2].json()["connID"], told[0].json()["connID"]);
}

#[tokio::test]
async fn a_reconnect_inside_the_grace_is_no_offline() {
    let (herald, app) = world().await;
    for _ in 0..4 {
        herald.login("u", Platform::Ios).await.cut();
    }
    let _back = herald.login("u", Platform::Ios).await;
    past_the_grace().await;
    app.hears(&["online u"; 5]).await;
}

#[tokio::test]
async fn a_lost_line_is_told_offline_after_the_grace_with_its_connection() {
    let (herald, app) = world().await;
    herald.login("u", Platform::Ios).await.cut();
    let told = app.hears(&["online u", "offline u"]).await;
    assert_eq!(told[0].json()["connID"], told[1].json()["connID"]);
    let conn = &told[1].json()["connID"];
    let seq = &told[1].json()["seq"];
    let exactly = format!(
        r#"{{"userID":"u","callbackCommand":"callbackUserOfflineCommand","seq":{seq},"connID":{conn}}}"#
    );
    assert_eq!(told[1].body, exactly);
}

#[tokio::test]
async fn a_logout_is_answered_and_told_without_a_grace() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.presence.offline_grace = Duration::from_secs(600);
    })
    .await;
    let mut client = herald.login("u", Platform::Ios).await;
    client.request("u", identifier::LOGOUT, "").await.unwrap();
    let Heard::Frame(answer) = client.hear().await else { panic!("no answer") };
    assert_eq!((&answer["reqIdentifier"], &answer["errCode"]), (&json!(2003), &json!(0)));
    assert_eq!(client.hear().await, Heard::Closed(Some(1000)));
    app.hears(&["online u", "offline u"]).await;
}

/// Silence: no frame, no pong. The line is there and nobody is at its other end.
#[tokio::test]
async fn silent_loss_is_noticed_by_the_read_timeout() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.gateway.read_timeout = Duration::from_millis(900);
        config.gateway.ping_interval = Duration::from_millis(300);
    })
    .await;
    let silent = herald.login("silent", Platform::Ios).await;
    let mut answering = herald.login("answering", Platform::Ios).await;
    let answers_pings = tokio::spawn(async move { answering.hear().await });
    app.hears(&["online silent", "online answering", "offline silent"]).await;
    assert!(!answers_pings.is_finished(), "who answers pings stays, however idle");
    drop(silent);
}

/// OpenIM D12, with clients that redial as real SDKs do, at 0, 1, 3, 7, 15 and 31 s, all of it 15
/// times as fast.
#[tokio::test]
async fn a_restart_with_clients_that_redial_is_no_offline() {
    restart_while_clients_redial(15).await;
}

#[tokio::test]
#[ignore = "waits a minute: `cargo xtask waits`"]
async fn a_restart_with_clients_that_redial_is_no_offline_in_real_time() {
    restart_while_clients_redial(1).await;
}

/// With the default grace and the waits of real SDKs, divided by `faster`.
async fn restart_while_clients_redial(faster: u32) {
    let app = App::start().await;
    let url = app.url();
    let mut herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.presence.restart_grace = Config::default().presence.restart_grace / faster;
    })
    .await;
    let redials_s = [0, 1, 3, 7, 15, 31];
    let users: Vec<String> = redials_s.iter().map(|s| format!("back-after-{s}")).collect();
    let mut clients = Vec::new();
    for user in &users {
        clients.push(herald.login(user, Platform::Ios).await);
    }
    let gone = herald.login("gone-for-good", Platform::Ios).await;
    let told = Box::pin(async move {
        let mut gone = gone;
        gone.hear().await
    });
    let (restarted, told) = tokio::join!(herald.restart(), told);
    herald = restarted;
    assert_eq!(told, Heard::Closed(Some(1012)), "clients are told to come back");
    let before = app.heard().len();
    let redial = |(user, s): (&String, u64)| {
        let (user, herald) = (user.clone(), &herald);
        async move {
            tokio::time::sleep(Duration::from_secs(s) / faster).await;
            let mut client = herald.login(&user, Platform::Ios).await;
            // Whoever does not listen does not answer pings, and is cut as lost.
            let listening = tokio::spawn(async move { client.hear().await });
            listening.abort_handle()
        }
    };
    let redials = users.iter().zip(redials_s).map(redial);
    let back = futures_util::future::join_all(redials).await;
    let gone = || async { app.heard().contains(&"offline gone-for-good".to_owned()) };
    eventually("the one who does not come back is told", gone).await;
    past_the_grace().await;
    let offline: Vec<_> = app.heard().into_iter().filter(|what| what.starts_with("off")).collect();
    assert_eq!(offline, ["offline gone-for-good"]);
    assert!(back.iter().all(|client| !client.is_finished()), "nobody was cut");
    assert_eq!(app.heard().len(), before + users.len() + 1);
    assert_eq!(herald.running.online().await.unwrap().len(), users.len());
}

#[tokio::test]
async fn the_background_is_told_as_the_client_said_it() {
    let (herald, app) = world().await;
    let identity = Identity { background: true, ..identity("u", Platform::Ios) };
    let mut client = herald.try_login(&identity).await.unwrap();
    let told = app.hears(&["online u"]).await;
    assert_eq!(told[0].json()["isAppBackground"], true);
    // {2: false} is an empty message: back in the foreground.
    client.request("u", identifier::SET_BACKGROUND_STATUS, "").await.unwrap();
    let Heard::Frame(answer) = client.hear().await else { panic!("no answer") };
    assert_eq!(answer["errCode"], 0);
    herald.set_status("u", Platform::Ios, json!({ "status": 1, "availability": "away" })).await;
    let told = app.hears(&["online u", "online u"]).await;
    assert_eq!(told[1].json()["isAppBackground"], false);
}

/// Whether to send a push depends on it. Two switches within a second are told as one, after that second.
#[tokio::test]
async fn going_to_the_background_and_coming_back_are_told_where_that_is_switched_on() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.background.enable = true;
    })
    .await;
    let mut client = herald.login("u", Platform::Ios).await;
    for background in [true, false, true, false] {
        switch(&mut client, background).await;
    }
    let told = app.hears(&["online u", "background u", "background u"]).await;
    let conn = &told[0].json()["connID"];
    let seqs: Vec<u64> = told.iter().map(|told| told.json()["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted() && seqs[2] >= seqs[1] + 1_000, "{seqs:?}");
    let command = "callbackUserBackgroundCommand";
    assert_eq!(told[1].target, format!("/cb?command={command}&contenttype=json"));
    for (told, background) in told[1..].iter().zip([true, false]) {
        let exactly = format!(
            r#"{{"userID":"u","callbackCommand":"{command}","seq":{},"isAppBackground":{background},"connID":{conn}}}"#,
            told.json()["seq"]
        );
        assert_eq!(told.body, exactly);
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    switch(&mut client, true).await;
    app.hears(&["online u", "background u", "background u", "background u"]).await;
    let (_, snapshot) = herald.admin("GET", "/v1/snapshot", "").await;
    let user = &snapshot["users"][0];
    assert_eq!(
        (&user["isAppBackground"], &user["backgroundPlatformIDs"]),
        (&json!(true), &json!([1]))
    );
    assert_eq!(user["backgroundConnIDs"], json!([conn]));
    switch(&mut client, true).await;
    client.close().await;
    let all = ["online u", "background u", "background u", "background u", "offline u"];
    app.hears(&all).await;
}

async fn switch(client: &mut Client, background: bool) {
    // {2: true}; false is left out.
    let data = if background { "EAE=" } else { "" };
    client.request("u", identifier::SET_BACKGROUND_STATUS, data).await.unwrap();
    let Heard::Frame(answer) = client.hear().await else { panic!("no answer") };
    assert_eq!(answer["errCode"], 0);
}

#[tokio::test]
async fn a_status_is_told_when_it_is_set_and_not_when_it_ends() {
    let (herald, app) = world().await;
    let now_ms = now_s() as u64 * 1000;
    let soon = Timestamp(now_ms + 2_000).0;
    let status = json!({ "status": 1, "availability": "busy" });
    herald.set_status("absent", Platform::Web, status.clone()).await;
    let _client = herald.login("u", Platform::Ios).await;
    herald.set_status("u", Platform::Ios, status.clone()).await;
    herald.set_status("u", Platform::Ios, status).await;
    let until = json!({ "status": 1, "availability": "away", "expireAt": soon });
    herald.set_status("u", Platform::Ios, until).await;
    eventually("the status ends by itself", || async {
        herald.admin("GET", "/v1/users/u", "").await.1["status"].is_null()
    })
    .await;
    herald.set_status("u", Platform::Ios, json!({ "status": 0 })).await;
    past_the_grace().await;
    app.hears(&["online u"; 3]).await;
}

#[tokio::test]
async fn online_is_set_and_taken_back_for_a_user_without_a_connection() {
    let (herald, app) = world().await;
    herald.set_status("u", Platform::Web, json!({ "status": 1 })).await;
    app.hears(&["online u"]).await;
    assert_eq!(herald.running.online().await.unwrap(), ["u"]);
    herald.set_status("u", Platform::Web, json!({ "status": 0 })).await;
    let told = app.hears(&["online u", "offline u"]).await;
    assert_eq!(told[1].json()["connID"], "");
}

#[tokio::test]
async fn a_text_ping_is_answered_with_its_body() {
    let (herald, _app) = world().await;
    let mut client = herald.login("u", Platform::Web).await;
    for (ping, pong) in [
        (r#"{"type":"ping"}"#, r#"{"type":"pong","body":null}"#),
        (r#"{"type":"ping","body":"x1"}"#, r#"{"type":"pong","body":"x1"}"#),
    ] {
        client.send(tokio_tungstenite::tungstenite::Message::text(ping)).await.unwrap();
        assert_eq!(client.hear().await, Heard::Text(pong.to_owned()));
    }
}

/// A backend that set one for two platforms takes one of them back.
#[tokio::test]
async fn a_status_is_taken_back_everywhere_or_on_one_platform() {
    let herald = Herald::start(|_| {}).await;
    let platforms = async || {
        let (_, view) = herald.admin("GET", "/v1/users/u", "").await;
        assert!(view["sinceTime"].as_str().unwrap().ends_with('Z'), "{view}");
        view["platforms"].clone()
    };
    for platform in [1, 5] {
        let body = format!(r#"{{"platformID":{platform}}}"#);
        assert_eq!(herald.admin("PUT", "/v1/users/u/status", &body).await.0, 204);
    }
    let both = platforms().await;
    let (status, _) = herald.admin("DELETE", "/v1/users/u/status?platformID=5", "").await;
    assert_eq!((status, platforms().await), (204, serde_json::json!(["IOS"])), "of {both}");
    for wrong in ["platformID=12", "platform=5"] {
        let path = format!("/v1/users/u/status?{wrong}");
        assert_eq!(herald.admin("DELETE", &path, "").await.0, 400, "{wrong}");
    }
    assert_eq!(herald.admin("DELETE", "/v1/users/u/status", "").await.0, 204);
    assert_eq!(platforms().await, serde_json::json!([]));
}

/// Only who asks for it is told, and only then it stands in the store.
#[tokio::test]
async fn an_app_that_asks_for_it_is_told_where_the_client_is() {
    for wanted in [true, false] {
        let app = App::start().await;
        let url = app.url();
        let herald = Herald::start(|config| {
            config.callbacks.url = Some(url);
            config.callbacks.client_address = wanted;
        })
        .await;
        herald.login("u", Platform::Ios).await.close().await;
        let told = app.hears(&["online u", "offline u"]).await;
        let expected = if wanted { json!("127.0.0.1") } else { json!(null) };
        assert!(told.iter().all(|told| told.json()["clientAddress"] == expected), "{told:?}");
    }
}

/// What a law may ask for: nothing of a person stays, and it is said what went.
#[tokio::test]
async fn a_person_is_logged_out_and_erased() {
    let (herald, app) = world().await;
    let account = json!({ "users": [{ "userID": "u", "nickname": "U", "faceURL": "" }] });
    let admin = token("imAdmin", Platform::Admin);
    assert_eq!(herald.rest("/user/user_register", &admin, account).await["errCode"], 0);
    let _client = herald.login("u", Platform::Ios).await;
    herald.set_status("u", Platform::Ios, json!({ "status": 1, "availability": "busy" })).await;
    app.hears(&["online u", "online u"]).await;
    let (status, erased) = herald.admin("DELETE", "/v1/users/u/data", "").await;
    let expected = json!({ "kicked": 1, "state": true, "account": true, "callbacks": 3, "owed": 0, "setAside": 0 });
    assert_eq!((status, erased), (200, expected));
    app.hears(&["online u", "online u", "offline u"]).await;
    let (_, why) = herald.admin("GET", "/v1/users/u/why", "").await;
    assert_eq!((&why["callbacks"], &why["user"]["online"]), (&json!([]), &json!(false)));
    assert_eq!(why["user"]["status"], json!(null));
    let (_, nothing) = herald.admin("DELETE", "/v1/users/u/data", "").await;
    assert_eq!(nothing["state"], false);
}

/// While an App does not know that somebody is offline, it must still be told.
#[tokio::test]
async fn nobody_is_erased_before_the_app_knows_that_they_are_offline() {
    let (herald, app) = world().await;
    let _client = herald.login("u", Platform::Ios).await;
    app.hears(&["online u"]).await;
    app.stop();
    let (status, problem) = herald.admin("DELETE", "/v1/users/u/data", "").await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("?force=true"), "{problem}");
    let (_, user) = herald.admin("GET", "/v1/users/u", "").await;
    assert_eq!(user["online"], false);
    assert_ne!(user["seq"], 0, "it is known still");
    let (status, erased) = herald.admin("DELETE", "/v1/users/u/data?force=true", "").await;
    assert_eq!((status, &erased["owed"], &erased["state"]), (200, &json!(1), &json!(true)));
    let (_, why) = herald.admin("GET", "/v1/users/u/why", "").await;
    assert_eq!(why["callbacks"], json!([]));
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    let why = endpoints[0]["needsResync"].to_string();
    assert!(why.contains("erased"), "{endpoints}");
}

/// With `extra_fields`: what the user, or a backend for them, has set.
#[tokio::test]
async fn an_online_callback_says_the_custom_status() {
    let app = App::start().await;
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(app.url());
        config.callbacks.extra_fields = true;
    })
    .await;
    let _phone = herald.login("u", Platform::Ios).await;
    let status = serde_json::json!({
        "status": 1, "availability": "busy", "text": "in a meeting", "emoji": "🙂",
    });
    herald.set_status("u", Platform::Ios, status).await;
    let _page = herald.login("u", Platform::Web).await;
    herald.admin("DELETE", "/v1/users/u/status", "").await;
    let _pad = herald.login("u", Platform::IPad).await;
    let told = app.hears(&["online u"; 4]).await;
    let said: Vec<_> = told
        .iter()
        .map(|one| {
            let body = one.json();
            ["availability", "text", "emoji"].map(|field| body[field].clone())
        })
        .collect();
    let nothing = [(); 3].map(|()| serde_json::Value::Null);
    let busy = ["busy", "in a meeting", "🙂"].map(serde_json::Value::from);
    assert_eq!(said, [nothing.clone(), busy.clone(), busy, nothing]);
}
