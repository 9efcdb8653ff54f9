//! The contract, §3 and §4: each scenario ends in exactly the request the document shows, over
//! HTTP and HTTPS, whatever the callback URL looks like.
#![allow(clippy::unwrap_used)]

mod support;

use axum::http::HeaderMap;
use serde_json::json;
use server::config::Config;
use support::{tls::Tls, *};
use wire::platform::Platform;

/// The callback URL's part after the address, and what it becomes.
const URLS: [(&str, &str); 4] = [
    ("", "/?command=callbackUserOnlineCommand&contenttype=json"),
    ("/", "/?command=callbackUserOnlineCommand&contenttype=json"),
    ("/a/b", "/a/b?command=callbackUserOnlineCommand&contenttype=json"),
    ("/cb?tenant=7", "/cb?tenant=7&command=callbackUserOnlineCommand&contenttype=json"),
];

#[tokio::test]
async fn the_three_scenarios_over_http() {
    for (url, target) in URLS {
        let app = App::start().await;
        let url = format!("http://{}{url}", app.address);
        three_scenarios(&app, target, |config| config.callbacks.url = Some(url)).await;
    }
}

#[tokio::test]
async fn the_three_scenarios_over_https_with_an_own_ca() {
    for (url, target) in URLS {
        let app = App::start().await;
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls::make(folder.path().join("ca.pem"));
        let address = tls.serve(&app).await;
        let url = format!("https://localhost:{}{url}", address.port());
        three_scenarios(&app, target, |config| {
            config.callbacks.url = Some(url);
            config.callbacks.ca = Some(tls.ca);
        })
        .await;
    }
}

#[tokio::test]
async fn an_app_with_a_certificate_of_another_ca_is_told_nothing() {
    let app = App::start().await;
    let folder = tempfile::tempdir().unwrap();
    let good = Tls::make(folder.path().join("good.pem"));
    let other = Tls::make(folder.path().join("other.pem"));
    let address = good.serve(&app).await;
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(format!("https://localhost:{}", address.port()));
        config.callbacks.ca = Some(other.ca);
    })
    .await;
    let _client = herald.login("u1", Platform::Ios).await;
    eventually("the attempt is recorded with the reason", || async {
        let (_, page) = herald.admin("GET", "/v1/callbacks?user=u1", "").await;
        let error = page["callbacks"][0]["attempts"][0]["error"].as_str().map(str::to_owned);
        error.is_some_and(|error| error.contains("certificate"))
    })
    .await;
    assert!(app.received().is_empty());
}

/// Login, reconnect, and a custom status: online, and for a user without a connection.
async fn three_scenarios(app: &App, target: &str, change: impl FnOnce(&mut Config)) {
    let herald = Herald::start(|config| {
        config.presence.offline_grace = std::time::Duration::from_secs(20);
        change(config);
    })
    .await;
    let client = herald.login("user123", Platform::Ios).await;
    app.hears(&["online user123"]).await;
    client.cut();
    let _client = herald.login("user123", Platform::Ios).await;
    app.hears(&["online user123"; 2]).await;
    herald.set_status("user123", Platform::Ios, json!({ "status": 1, "text": "hello" })).await;
    let told = app.hears(&["online user123"; 3]).await;
    herald.set_status("absent", Platform::Web, json!({ "status": 1 })).await;
    app.hears(&["online user123", "online user123", "online user123", "online absent"]).await;

    let ids = ["login-user123", "login-user123", "op-rest"];
    for (received, operation_id) in told.iter().zip(ids) {
        assert_eq!((received.method.as_str(), received.target.as_str()), ("POST", target));
        assert_eq!(header(&received.headers, "operationid"), operation_id);
        assert_eq!(header(&received.headers, "content-type"), "application/json");
        // The contract's own, and what HTTP itself needs; no others.
        let mut names: Vec<_> = received.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        let http = [
            "accept",
            "accept-encoding",
            "content-length",
            "content-type",
            "herald-epoch",
            "host",
            "operationid",
            "user-agent",
        ];
        assert_eq!(names, http);
        let (seq, conn) = (&received.json()["seq"], &received.json()["connID"]);
        let exactly = format!(
            r#"{{"userID":"user123","callbackCommand":"callbackUserOnlineCommand","seq":{seq},"isAppBackground":false,"connID":{conn}}}"#
        );
        assert_eq!(received.body, exactly);
    }
    let field = |at: usize, name: &str| app.received()[at].json()[name].clone();
    assert!(field(0, "seq").as_i64() < field(1, "seq").as_i64());
    assert!(field(1, "seq").as_i64() < field(2, "seq").as_i64());
    assert_ne!(field(0, "connID"), field(1, "connID"), "a reconnect is a new connection");
    assert_eq!(field(1, "connID"), field(2, "connID"), "a status tells the newest connection");
    assert_eq!(field(3, "connID"), "", "there is no connection");
    herald.running.stop().await;
}

/// The dialects of OpenIM's own servers, for Apps that were written for those.
#[tokio::test]
async fn a_dialect_writes_as_the_openim_of_its_version_and_presets_its_scopes() {
    for (dialect, path, first) in [
        ("v3.8", "/cb/callbackAfterUserOnlineCommand?tenant=7", "callbackAfterUserOnlineCommand"),
        ("v3.5", "/cb/callbackUserOnlineCommand?tenant=7", "callbackUserOnlineCommand"),
        ("v2", "/cb?tenant=7", "callbackUserOnlineCommand"),
    ] {
        let app = App::start().await;
        let file = format!("[auth]\nsecret = '{SECRET}'\n[callbacks]\ndialect = '{dialect}'");
        let loaded = server::config::load(Some(("f", &file)), [], false, &|_| unreachable!());
        let mut callbacks = loaded.unwrap().config.callbacks;
        callbacks.url = Some(format!("{}?tenant=7", app.url()));
        let herald = Herald::start(|config| config.callbacks = callbacks).await;
        let _first = herald.login("u", Platform::Ios).await;
        let _same_platform = herald.login("u", Platform::Ios).await;
        let _other_platform = herald.login("u", Platform::Web).await;
        herald.all_told().await;
        let received = app.received();
        assert_eq!(received.len(), 2, "{dialect}: one for each platform");
        assert_eq!(received[0].target, path);
        let body = received[0].json();
        assert_eq!((&body["callbackCommand"], &body["platform"]), (&json!(first), &json!("IOS")));
        assert_eq!(received[1].json()["platformID"], 5);
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).unwrap().to_str().unwrap()
}
