//! Many connections that vanish at once: nobody who comes back is told offline.
#![allow(clippy::unwrap_used)]

mod support;

use server::client::Client;
use std::time::Duration;
use support::*;
use wire::{identifier, platform::Platform};

async fn world(hold: Duration) -> (Herald, App, Vec<Client>) {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.presence.mass_loss.min_connections = 10;
        config.presence.mass_loss.min_age = Duration::ZERO;
        config.presence.mass_loss.hold = hold;
    })
    .await;
    let mut clients = Vec::new();
    for n in 0..12 {
        clients.push(herald.login(&format!("u{n}"), Platform::Ios).await);
    }
    herald.all_told().await;
    (herald, app, clients)
}

fn told_offline(app: &App) -> Vec<String> {
    app.heard().into_iter().filter(|what| what.starts_with("offline")).collect()
}

#[tokio::test]
async fn who_comes_back_within_the_hold_is_never_told_offline_and_the_rest_afterwards() {
    let (herald, app, mut clients) = world(Duration::from_secs(8)).await;
    clients.drain(1..).for_each(Client::cut);
    eventually("graces are held", || async { herald.metric("herald_graces_held").await == 1.0 })
        .await;
    assert_eq!(herald.metric("herald_mass_losses_total").await, 1.0);
    // Longer than the grace of 400 ms.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    // On a slow machine the grace of the first few runs out before the fourth is noticed.
    let early = told_offline(&app);
    assert!(early.len() < 5, "{early:?}");
    let back: Vec<_> = (1..6).map(|n| format!("u{n}")).collect();
    for user in &back {
        clients.push(herald.login(user, Platform::Ios).await);
    }
    // A logout is told at once all the same.
    clients[0].request("u0", identifier::LOGOUT, "").await.unwrap();
    eventually("u0 is told offline", || async { app.heard_of("u0").len() == 2 }).await;
    assert_eq!(herald.metric("herald_graces_held").await, 1.0);
    for n in 6..12 {
        let user = format!("u{n}");
        eventually("the rest is told", || async { app.heard_of(&user).len() == 2 }).await;
    }
    let late = told_offline(&app);
    for user in back {
        let told = format!("offline {user}");
        assert!(!late.contains(&told), "{told}");
    }
}

#[tokio::test]
async fn a_few_who_leave_are_told_as_ever() {
    let (herald, app, mut clients) = world(Duration::from_secs(600)).await;
    clients.drain(9..).for_each(Client::cut);
    eventually("three are told", || async { told_offline(&app).len() == 3 }).await;
    assert_eq!(herald.metric("herald_graces_held").await, 0.0);
}
