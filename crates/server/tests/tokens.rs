//! Which tokens are good, over REST and at the gateway.
#![allow(clippy::unwrap_used)]

mod support;

use presence::LoginPolicy;
use serde_json::json;
use server::{
    client::{Identity, LoginError},
    config::{Config, Secret},
};
use support::*;
use wire::{identifier, platform::Platform, token::Keys};

/// With "u" registered, and the token of an administrator.
async fn world(change: impl FnOnce(&mut Config)) -> (Herald, String) {
    let herald = Herald::start(change).await;
    let asked = json!({ "secret": SECRET, "userID": "imAdmin" });
    let answer = herald.rest("/auth/get_admin_token", "", asked).await;
    let admin = answer["data"]["token"].as_str().unwrap().to_owned();
    let users = json!({ "users": [{ "userID": "u", "nickname": "U" }] });
    assert_eq!(herald.rest("/user/user_register", &admin, users).await["errCode"], 0);
    (herald, admin)
}

/// A token of "u" that Herald makes.
async fn issued(herald: &Herald, admin: &str, platform: Platform) -> Identity {
    let asked = json!({ "userID": "u", "platformID": platform.id() });
    let answer = herald.rest("/auth/get_user_token", admin, asked).await;
    let token = answer["data"]["token"].as_str().unwrap().to_owned();
    Identity { token, ..identity("u", platform) }
}

/// A token that somebody else made with the same secret, that many seconds ago.
fn foreign(platform: Platform, seconds: i64) -> Identity {
    let token = Keys::new(SECRET.as_bytes()).issue("u", platform, now_s() - seconds, 3600);
    Identity { token, ..identity("u", platform) }
}

/// The code of a call with this token, and of a login; 0 when it is good.
async fn codes(herald: &Herald, identity: &Identity) -> (i64, i64) {
    let answer = herald.rest("/msg/get_server_time", &identity.token, json!({})).await;
    let parsed = herald.rest("/auth/parse_token", "", json!({ "token": identity.token })).await;
    assert_eq!(answer["errCode"], parsed["errCode"]);
    let login = match herald.try_login(identity).await {
        Ok(_) => 0,
        Err(LoginError::Refused { code, .. }) => code,
        Err(error) => panic!("{error}"),
    };
    (answer["errCode"].as_i64().unwrap(), login)
}

/// OpenIM D25: there the tokens of other platforms are kicked too, but for one of each.
#[tokio::test]
async fn a_token_that_is_issued_denies_the_older_ones_of_its_platform() {
    let (herald, admin) =
        world(|config| config.login.policy = LoginPolicy::SamePlatformKicks).await;
    let (older, elsewhere) = (foreign(Platform::Ios, 60), foreign(Platform::Web, 60));
    assert_eq!(codes(&herald, &older).await, (0, 0), "minted elsewhere, and good");
    let newer = issued(&herald, &admin, Platform::Ios).await;
    assert_eq!(codes(&herald, &older).await, (1506, 1506));
    assert_eq!(codes(&herald, &newer).await, (0, 0));
    assert_eq!(codes(&herald, &elsewhere).await, (0, 0));
    let herald = herald.restart().await;
    assert_eq!(codes(&herald, &older).await, (1506, 1506), "after a restart too");
    assert_eq!(codes(&herald, &newer).await, (0, 0));
}

#[tokio::test]
async fn administrators_tokens_live_side_by_side() {
    let (herald, admin) =
        world(|config| config.login.policy = LoginPolicy::SamePlatformKicks).await;
    let older = Keys::new(SECRET.as_bytes()).issue("imAdmin", Platform::Admin, now_s() - 9, 60);
    for token in [&admin, &older] {
        let answer = herald.rest("/msg/get_server_time", token, json!({})).await;
        assert_eq!(answer["errCode"], 0);
    }
}

#[tokio::test]
async fn a_token_issued_right_after_a_forced_logout_is_good_and_can_be_logged_out_again() {
    let (herald, admin) = world(|_| {}).await;
    let out = json!({ "userID": "u", "platformID": 1 });
    let mut tokens = vec![issued(&herald, &admin, Platform::Ios).await];
    for _ in 0..3 {
        assert_eq!(codes(&herald, tokens.last().unwrap()).await, (0, 0));
        assert_eq!(herald.rest("/auth/force_logout", &admin, out.clone()).await["errCode"], 0);
        for denied in &tokens {
            assert_eq!(codes(&herald, denied).await, (1506, 1506));
        }
        tokens.push(issued(&herald, &admin, Platform::Ios).await);
    }
}

#[tokio::test]
async fn with_known_tokens_only_others_are_refused() {
    let (herald, admin) = world(|config| config.auth.known_tokens_only = true).await;
    assert_eq!(codes(&herald, &foreign(Platform::Ios, 60)).await, (1507, 1507));
    let known = issued(&herald, &admin, Platform::Ios).await;
    assert_eq!(codes(&herald, &known).await, (0, 0));
    let herald = herald.restart().await;
    assert_eq!(codes(&herald, &known).await, (0, 0), "after a restart too");
}

/// OpenIM D30: there a logout leaves the token as it was.
#[tokio::test]
async fn a_logout_ends_its_token_when_the_operator_wishes() {
    for (denies, after) in [(false, (0, 0)), (true, (1506, 1506))] {
        let (herald, admin) = world(|config| config.auth.logout_denies_token = denies).await;
        let identity = issued(&herald, &admin, Platform::Ios).await;
        let mut client = herald.try_login(&identity).await.unwrap();
        client.request("u", identifier::LOGOUT, "").await.unwrap();
        client.hear().await;
        assert_eq!(codes(&herald, &identity).await, after);
    }
}

/// Clients that hold a token of the secret before are not logged out, and forged ones are not let in.
#[tokio::test]
async fn a_secret_is_changed_without_logging_anybody_out() {
    let herald = Herald::start(|_| {}).await;
    let old = identity("u", Platform::Ios);
    herald.try_login(&old).await.unwrap().close().await;
    let next = herald
        .restart_with(|config| {
            config.auth.previous_secret =
                Some(std::mem::replace(&mut config.auth.secret, Secret::new("the next secret")));
        })
        .await;
    next.try_login(&old).await.unwrap();
    let made = |secret: &str| {
        let token = Keys::new(secret.as_bytes()).issue("u", Platform::Ios, now_s(), 3600);
        Identity { token, ..old.clone() }
    };
    next.try_login(&made("the next secret")).await.unwrap();
    assert!(next.try_login(&made("somebody else's")).await.is_err());
    // It says of one of the secret before, too, that it has expired.
    let token = Keys::new(SECRET.as_bytes()).issue("u", Platform::Ios, now_s() - 99, 9);
    let refused = next.try_login(&Identity { token, ..old.clone() }).await;
    assert!(matches!(refused, Err(LoginError::Refused { code: 1501, .. })), "{:?}", refused.err());
    let last = next.restart_with(|config| config.auth.previous_secret = None).await;
    assert!(last.try_login(&old).await.is_err());
}
