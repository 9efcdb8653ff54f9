//! Second logins, kicks and denied tokens, with real sockets.
#![allow(clippy::unwrap_used)]

mod support;

use presence::LoginPolicy;
use serde_json::json;
use server::client::{Client, Heard, Identity, LoginError};
use std::time::Duration;
use support::*;
use wire::{identifier, platform::Platform, token::Keys};

async fn world() -> (Herald, App) {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.kick_off.enable = true;
        config.login.policy = LoginPolicy::SamePlatformKicks;
    })
    .await;
    (herald, app)
}

/// Another token of the same user and platform: issued that many seconds ago.
fn older(user: &str, platform: Platform, seconds: i64) -> Identity {
    let token = Keys::new(SECRET.as_bytes()).issue(user, platform, now_s() - seconds, 3600);
    Identity { token, ..identity(user, platform) }
}

async fn is_kicked(client: &mut Client) {
    let Heard::Frame(kick) = client.hear().await else { panic!("no frame before the end") };
    assert_eq!(kick["reqIdentifier"], identifier::KICK_ONLINE);
    assert_eq!(client.hear().await, Heard::Closed(Some(1008)));
}

async fn refused(herald: &Herald, identity: &Identity) -> i64 {
    match herald.try_login(identity).await {
        Err(LoginError::Refused { code, .. }) => code,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("let in"),
    }
}

#[tokio::test]
async fn a_second_login_kicks_the_first_which_stays_away() {
    let (herald, app) = world().await;
    let (first, second) = (older("u", Platform::Ios, 60), older("u", Platform::Ios, 30));
    let mut kicked = herald.try_login(&first).await.unwrap();
    let mut stays = herald.try_login(&second).await.unwrap();
    is_kicked(&mut kicked).await;
    assert_eq!(refused(&herald, &first).await, 1506);
    app.hears(&["online u", "kick_off u", "online u"]).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    app.hears(&["online u", "kick_off u", "online u"]).await;
    stays.request("u", identifier::GET_NEWEST_SEQ, "").await.unwrap();
    assert!(matches!(stays.hear().await, Heard::Frame(_)));
}

#[tokio::test]
async fn a_denied_token_is_denied_after_a_restart_too() {
    let (herald, _app) = world().await;
    let (first, second) = (older("u", Platform::Ios, 60), older("u", Platform::Ios, 30));
    let _kicked = herald.try_login(&first).await.unwrap();
    let _stays = herald.try_login(&second).await.unwrap();
    let herald = herald.restart().await;
    assert_eq!(refused(&herald, &first).await, 1506);
    let _back = herald.try_login(&second).await.unwrap();
}

#[tokio::test]
async fn the_same_token_never_kicks() {
    let (herald, app) = world().await;
    let identity = older("u", Platform::Web, 60);
    let _first = herald.try_login(&identity).await.unwrap();
    let _second = herald.try_login(&identity).await.unwrap();
    app.hears(&["online u", "online u"]).await;
    let (_, user) = herald.admin("GET", "/v1/users/u", "").await;
    assert_eq!(user["connections"].as_array().unwrap().len(), 2);
}

/// OpenIM D20: there HarmonyOS cannot be kicked.
#[tokio::test]
async fn a_forced_logout_reaches_every_platform_and_tokens_that_are_not_connected() {
    let (herald, app) = world().await;
    let (connected, elsewhere) =
        (older("u", Platform::HarmonyOs, 60), older("u", Platform::HarmonyOs, 30));
    let mut client = herald.try_login(&connected).await.unwrap();
    let phone = older("u", Platform::Ios, 60);
    let _phone = herald.try_login(&phone).await.unwrap();
    let admin = token("imAdmin", Platform::Admin);
    let out = json!({ "userID": "u", "platformID": 11 });
    assert_eq!(herald.rest("/auth/force_logout", &admin, out.clone()).await["errCode"], 0);
    is_kicked(&mut client).await;
    assert_eq!(refused(&herald, &connected).await, 1506);
    assert_eq!(refused(&herald, &elsewhere).await, 1506);
    app.hears(&["online u", "online u", "kick_off u"]).await;
    let not_admin = token("u", Platform::Ios);
    assert_eq!(herald.rest("/auth/force_logout", &not_admin, out).await["errCode"], 1002);
}
