//! Clients, and whoever connects and says nothing, use up the files that Herald may open.
#![allow(clippy::unwrap_used)]

mod support;

use axum::{Router, routing::get};
use server::{
    client::{Client, LoginError, http},
    listener::Listener,
};
use std::time::Duration;
use support::{process::Process, *};
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_util::sync::CancellationToken;
use wire::platform::Platform;

const FILES: u32 = 256;

#[tokio::test]
async fn clients_leave_files_for_the_store_the_app_and_the_operator() {
    let (folder, app) = (tempfile::tempdir().unwrap(), App::start().await);
    let settings = [
        ("HERALD_PRESENCE__OFFLINE_GRACE", "300ms"),
        ("HERALD_PRESENCE__MASS_LOSS__SHARE", "0.0"),
        ("HERALD_GATEWAY__HANDSHAKE_TIMEOUT", "5m"),
    ];
    let mut herald = Process::new(folder.path(), &app.url(), &settings);
    herald.start_with_files(FILES).await;
    let most = herald.metric("herald_connections_max").await.unwrap() as usize;
    assert!((20..200).contains(&most), "{most}");
    let log = herald.log_text();
    assert!(log.contains("too few files may be open"), "{log}");

    let mut inside = Vec::new();
    for n in 0..FILES + 50 {
        match Client::login(herald.gateway, &identity(&format!("u{n}"), Platform::Ios)).await {
            Ok(client) => inside.push(client),
            Err(LoginError::Refused { code, .. }) => assert_eq!(code, 1601),
            Err(error) => panic!("u{n}: {error}"),
        }
    }
    assert_eq!(inside.len(), most);
    // On every port, for as long as the test lasts.
    let mut silent = Vec::new();
    for address in [herald.gateway, herald.api, herald.admin] {
        for _ in 0..FILES {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
    }
    for path in ["/healthz", "/readyz", "/metrics", "/v1/users"] {
        assert_eq!(herald.get(path).await.0, 200, "{path}");
    }
    let (status, _) =
        http(herald.api, "POST", "/auth/parse_token", &[("operationID", "o")], "{}").await.unwrap();
    assert_eq!(status, 200);
    for client in inside.drain(..most / 2) {
        client.cut();
    }
    eventually("who left is told", || async {
        app.heard().iter().filter(|what| what.starts_with("offline")).count() == most / 2
    })
    .await;
    let again = Client::login(herald.gateway, &identity("again", Platform::Ios)).await;
    assert!(again.is_ok(), "{:?}", again.err());
    let log = herald.log_text();
    assert!(!log.contains("no connection can be accepted"), "{log}");
    assert!(log.lines().count() < 20, "{log}");
    assert_eq!(herald.terminate().await, Some(0));
}

#[tokio::test]
async fn with_too_few_files_it_does_not_start_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let herald = Process::new(folder.path(), "", &[]).with_files(100).output().unwrap();
    let told = String::from_utf8_lossy(&herald.stderr);
    assert_eq!(herald.status.code(), Some(1), "{told}");
    assert!(told.contains("only 100 files may be open") && told.contains("LimitNOFILE"), "{told}");
}

#[tokio::test]
async fn who_connects_and_says_nothing_loses_the_place_to_who_comes_and_asks() {
    let any_port = ([127, 0, 0, 1], 0).into();
    let listener = Listener::bind(any_port, Duration::from_secs(3600)).await.unwrap();
    let address = listener.address().unwrap();
    let stop = CancellationToken::new();
    let router = Router::new().route("/", get(async || "here"));
    let serving = tokio::spawn(listener.connections_max(2).serve(router, stop.clone()));
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(address).await.unwrap());
        let answer = http(address, "GET", "/", &[], "").await.unwrap();
        assert_eq!(answer, (200, "here".to_owned()));
    }
    let mut oldest = silent.swap_remove(0);
    assert_eq!(oldest.read(&mut [0]).await.unwrap(), 0, "it was closed");
    stop.cancel();
    drop(silent);
    serving.await.unwrap();
}
