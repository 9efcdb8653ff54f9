//! A process that is stopped for a while, as a virtual machine that is moved.
#![allow(clippy::unwrap_used)]

mod support;

use server::client::Client;
use std::time::Duration;
use support::{
    process::{Process, Signal},
    *,
};
use wire::platform::Platform;

/// Longer than the grace, and than what a client may be silent.
const FROZEN: Duration = Duration::from_millis(1_700);

#[tokio::test]
async fn who_dials_again_meanwhile_was_never_gone_and_who_lives_is_not_cut() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    let settings = [
        ("HERALD_PRESENCE__OFFLINE_GRACE", "1s"),
        ("HERALD_GATEWAY__READ_TIMEOUT", "1s"),
        ("HERALD_GATEWAY__PING_INTERVAL", "300ms"),
    ];
    let mut herald = Process::new(folder.path(), &app.url(), &settings);
    herald.start().await;
    let stays = identity("stays", Platform::Ios);
    let moves = identity("moves", Platform::Ios);
    let mut lives = Client::login(herald.gateway, &stays).await.unwrap();
    let leaves = Client::login(herald.gateway, &moves).await.unwrap();
    // It answers pings.
    let living = tokio::spawn(async move { lives.hear().await });
    app.hears(&["online stays", "online moves"]).await;
    leaves.cut();
    tokio::time::sleep(Duration::from_millis(200)).await;
    herald.signal(Signal::STOP);
    let gateway = herald.gateway;
    let again = tokio::spawn(async move { Client::login(gateway, &moves).await });
    tokio::time::sleep(FROZEN).await;
    herald.signal(Signal::CONT);
    let _back = again.await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!living.is_finished(), "it answers, and was cut");
    // The departure of the line that broke is no news to a flag.
    let offline = app.heard().into_iter().filter(|heard| heard.starts_with("offline"));
    assert_eq!(offline.count(), 0);
}
