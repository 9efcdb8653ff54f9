//! What the operator adds to requests, and which connections they may use: headers, a bearer token,
//! a client certificate, public addresses only.
#![allow(clippy::unwrap_used)]

mod support;

use server::config::{Config, Secret};
use std::path::PathBuf;
use support::{tls::Tls, *};
use wire::platform::Platform;

#[tokio::test]
async fn every_request_has_the_headers_and_the_token_of_the_configuration() {
    let app = App::start().await;
    app.answer(|_, before| async move { if before == 0 { answer(503, "") } else { ok() } });
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(app.url());
        let headers =
            [("X-Tenant", "7"), ("x-api-key", "a key; with = \"all\""), ("Accept", "text/json")];
        let header = |(name, value): (&str, &str)| (name.to_owned(), Secret::new(value));
        config.callbacks.headers = headers.into_iter().map(header).collect();
        config.callbacks.bearer = Some(Secret::new("abc.def-123~+/="));
    })
    .await;
    let _client = herald.login("u", Platform::Ios).await;
    for received in app.hears(&["online u", "online u"]).await {
        let header = |name| {
            let all: Vec<_> = received.headers.get_all(name).iter().collect();
            assert_eq!(all.len(), 1, "{name}");
            all[0].to_str().unwrap().to_owned()
        };
        assert_eq!(header("x-tenant"), "7");
        assert_eq!(header("x-api-key"), "a key; with = \"all\"");
        assert_eq!(header("accept"), "text/json");
        assert_eq!(header("authorization"), "Bearer abc.def-123~+/=");
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header("operationid"), "login-u");
    }
}

#[tokio::test]
async fn an_app_that_asks_for_a_certificate_is_told_by_who_has_one_of_its_ca() {
    let app = App::start().await;
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::make(folder.path().join("ca.pem")).that_asks();
    let (cert, key) = tls.client(folder.path());
    let url = format!("https://localhost:{}", tls.serve(&app).await.port());
    let herald = herald(url, &tls.ca, Some((cert, key))).await;
    let _client = herald.login("u", Platform::Ios).await;
    app.hears(&["online u"]).await;
}

#[tokio::test]
async fn certificate_and_key_may_be_one_file() {
    let app = App::start().await;
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::make(folder.path().join("ca.pem")).that_asks();
    let (cert, key) = tls.client(folder.path());
    let both = [cert, key].map(|file| std::fs::read_to_string(file).unwrap());
    for (name, text) in [("a.pem", both.concat()), ("b.pem", format!("{}{}", both[1], both[0]))] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let url = format!("https://localhost:{}", tls.serve(&app).await.port());
        let herald = herald(url, &tls.ca, Some((file.clone(), file))).await;
        let _client = herald.login("u", Platform::Ios).await;
        herald.all_told().await;
    }
}

#[tokio::test]
async fn without_the_certificate_that_the_app_asks_for_it_is_told_nothing_and_the_attempt_says_why()
{
    let app = App::start().await;
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::make(folder.path().join("ca.pem")).that_asks();
    let other = Tls::make(folder.path().join("other.pem"));
    let url = format!("https://localhost:{}", tls.serve(&app).await.port());
    for client in [None, Some(other.client(folder.path()))] {
        let herald = herald(url.clone(), &tls.ca, client).await;
        let _client = herald.login("u", Platform::Ios).await;
        let words = herald.failure_of("u").await;
        assert!(words.contains("received fatal alert"), "{words}");
    }
    assert!(app.received().is_empty());
}

/// It may have been changed since the configuration was checked.
#[tokio::test]
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::make(folder.path().join("ca.pem"));
    let (cert, _) = tls.client(folder.path());
    for key in [folder.path().join("none.key"), tls.ca.clone()] {
        let store = tempfile::tempdir().unwrap();
        let mut config = config(store.path());
        set(&mut config, "https://localhost:1".to_owned(), &tls.ca, Some((cert.clone(), key)));
        let error = server::running::Running::start(&config).await.err().unwrap();
        let told = format!("{:#}", anyhow::Error::from(error));
        assert!(told.contains("callbacks") && told.contains("client_key"), "{told}");
    }
}

#[tokio::test]
async fn a_private_address_is_never_connected_to_where_that_is_denied() {
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"] {
        let app = App::start().await;
        let url = format!("http://{host}:{}/cb", app.address.port());
        for deny_private in [true, false] {
            let herald = Herald::start(|config| {
                config.callbacks.url = Some(url.clone());
                config.callbacks.deny_private = deny_private;
            })
            .await;
            let _client = herald.login("u", Platform::Ios).await;
            if deny_private {
                let words = herald.failure_of("u").await;
                assert!(words.contains("a loopback address"), "{host}: {words}");
                assert!(words.contains("set deny_private = false"), "{host}: {words}");
                assert!(app.received().is_empty(), "{host}");
            } else {
                app.hears(&["online u"]).await;
            }
        }
    }
}

async fn herald(url: String, ca: &std::path::Path, client: Option<(PathBuf, PathBuf)>) -> Herald {
    Herald::start(|config| set(config, url, ca, client)).await
}

fn set(config: &mut Config, url: String, ca: &std::path::Path, client: Option<(PathBuf, PathBuf)>) {
    config.callbacks.url = Some(url);
    config.callbacks.ca = Some(ca.to_owned());
    (config.callbacks.client_cert, config.callbacks.client_key) = client.unzip();
}
