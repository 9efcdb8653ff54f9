//! `callbacks.online.mode = "gate"`: the App is asked before a client is let in (`docs/callback.md`, *The answer*).
#![allow(clippy::unwrap_used)]

mod support;

use axum::response::Response;
use contract::Dialect;
use presence::LoginPolicy;
use serde_json::json;
use server::{
    client::{Client, Heard, Identity, LoginError},
    config::{Config, Mode, OnRefusal, Online},
};
use std::{sync::Arc, time::Duration};
use support::*;
use tokio::{sync::Semaphore, task::JoinHandle};
use wire::{identifier, platform::Platform};

const REFUSES: &str =
    r#"{"actionCode":0,"errCode":9,"errMsg":"banned","errDlt":"until Monday","nextCode":1}"#;
/// Longer than any test waits.
const FOR_EVER: Duration = Duration::from_secs(300);

async fn world(app: &App, change: impl FnOnce(&mut Online)) -> Herald {
    world_of(app, |config| change(&mut config.callbacks.online)).await
}

async fn world_of(app: &App, change: impl FnOnce(&mut Config)) -> Herald {
    let url = app.url();
    Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.online.mode = Mode::Gate;
        config.login.policy = LoginPolicy::SamePlatformKicks;
        change(config);
    })
    .await
}

/// Refuses everybody whose name begins with `bad`.
async fn choosy() -> App {
    let app = App::start().await;
    app.answer(|received, _| {
        let refuses = received.what().starts_with("online bad");
        async move { answer(200, if refuses { REFUSES } else { "{}" }) }
    });
    app
}

/// Answers with one of these for each permit.
fn thinks(app: &App, turns: &Arc<Semaphore>, what: fn() -> Response) {
    let turns = Arc::clone(turns);
    app.answer(move |_, _| {
        let turns = Arc::clone(&turns);
        async move {
            turns.acquire().await.unwrap().forget();
            what()
        }
    });
}

async fn refused(herald: &Herald, user: &str) -> (i64, String, String) {
    match herald.try_login(&identity(user, Platform::Web)).await {
        Err(LoginError::Refused { code, message, detail }) => (code, message, detail),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("{user} was let in"),
    }
}

/// A login that may take its time.
fn dials(herald: &Herald, user: &'static str) -> JoinHandle<Result<Client, LoginError>> {
    dials_as(herald, identity(user, Platform::Ios))
}

fn dials_as(herald: &Herald, identity: Identity) -> JoinHandle<Result<Client, LoginError>> {
    let gateway = herald.running.gateway;
    tokio::spawn(async move { Client::login(gateway, &identity).await })
}

/// The code that a login was refused with; 0: it was let in.
async fn code(login: JoinHandle<Result<Client, LoginError>>) -> i64 {
    match login.await.unwrap() {
        Ok(_) => 0,
        Err(LoginError::Refused { code, .. }) => code,
        Err(error) => panic!("{error}"),
    }
}

async fn seen(herald: &Herald, user: &str) -> bool {
    let (_, said) = herald.admin("GET", &format!("/v1/users/{user}"), "").await;
    !said["platforms"].as_array().unwrap_or(&Vec::new()).is_empty()
}

#[tokio::test]
async fn nobody_sees_who_is_not_yet_let_in() {
    let (app, turns) = (App::start().await, Arc::new(Semaphore::new(0)));
    thinks(&app, &turns, ok);
    let herald = world(&app, |online| online.timeout = FOR_EVER).await;
    let login = dials(&herald, "u");
    let told = app.hears(&["online u"]).await;
    assert!(!seen(&herald, "u").await);
    // To the App, which has been told, it counts.
    let (_, snapshot) = herald.admin("GET", "/v1/snapshot", "").await;
    assert_eq!(snapshot["users"][0]["platformIDs"], json!([1]));
    assert_eq!(herald.metric("herald_gate_waiting").await, 1.0);
    turns.add_permits(1);
    let mut client = login.await.unwrap().unwrap();
    assert!(seen(&herald, "u").await);
    client.request("u", identifier::GET_NEWEST_SEQ, "").await.unwrap();
    assert!(matches!(client.hear().await, Heard::Frame(_)));
    herald.all_told().await;
    app.hears(&["online u"]).await;
    let (_, user) = herald.admin("GET", "/v1/users/u", "").await;
    assert_eq!(user["connections"][0]["connID"], told[0].json()["connID"]);
    assert_eq!(herald.metric("herald_gate_waiting").await, 0.0);
    assert_eq!(herald.metric(r#"herald_gate_logins_total{outcome="agreed"}"#).await, 1.0);
}

#[tokio::test]
async fn who_is_refused_reads_why_and_the_app_is_not_asked_again_for_a_while() {
    let app = choosy().await;
    let herald = world(&app, |_| {}).await;
    let bad = identity("bad", Platform::Web);
    for _ in 0..3 {
        match herald.try_login(&bad).await {
            Err(LoginError::Refused { code, message, detail }) => {
                assert_eq!((code, &message[..], &detail[..]), (1506, "banned", "until Monday"));
            }
            other => panic!("{:?}", other.err()),
        }
    }
    herald.all_told().await;
    app.hears(&["online bad", "offline bad"]).await;
    assert!(herald.running.online().await.unwrap().is_empty());
}

/// A JS client that is not told that it is kicked dials again for ever.
#[tokio::test]
async fn a_browser_is_told_that_it_is_kicked() {
    let app = choosy().await;
    let herald = world(&app, |_| {}).await;
    let token = token("bad", Platform::Web);
    let url = format!(
        "ws://{}/?sendID=bad&token={token}&platformID=5&operationID=o\
         &isBackground=false&isMsgResp=true&sdkType=js",
        herald.running.gateway
    );
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let mut frames = Vec::new();
    while let Some(Ok(frame)) = futures_util::StreamExt::next(&mut socket).await {
        frames.push(frame);
    }
    let said = frames[0].to_text().unwrap();
    assert_eq!(said, r#"{"errCode":1506,"errMsg":"banned","errDlt":"until Monday"}"#);
    let kick: serde_json::Value = serde_json::from_slice(&frames[1].clone().into_data()).unwrap();
    assert_eq!(kick["reqIdentifier"], identifier::KICK_ONLINE);
}

#[tokio::test]
async fn who_is_refused_pushes_nobody_out() {
    let app = App::start().await;
    let herald = world(&app, |_| {}).await;
    let mut first = herald.login("u", Platform::Web).await;
    app.answer(|_, _| async { answer(200, REFUSES) });
    // A new token of the same platform, which would kick the first.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(refused(&herald, "u").await.0, 1506);
    first.request("u", identifier::GET_NEWEST_SEQ, "").await.unwrap();
    let Heard::Frame(answer) = first.hear().await else { panic!("the first was cut") };
    assert_eq!(answer["errCode"], 0);
    herald.all_told().await;
    app.hears(&["online u", "online u"]).await;
}

#[tokio::test]
async fn without_an_answer_the_client_is_let_in_and_the_app_is_told_later() {
    let (app, turns) = (App::start().await, Arc::new(Semaphore::new(0)));
    thinks(&app, &turns, ok);
    let herald = world(&app, |online| online.timeout = Duration::from_millis(300)).await;
    let _client = herald.login("u", Platform::Ios).await;
    assert!(seen(&herald, "u").await);
    turns.add_permits(Semaphore::MAX_PERMITS);
    herald.all_told().await;
    assert!(app.heard().len() >= 2, "asked once, and told again: {:?}", app.heard());
    assert!(app.heard().iter().all(|what| what == "online u"));
}

#[tokio::test]
async fn without_an_answer_the_client_is_turned_away_if_so_configured() {
    let app = App::start().await;
    app.answer(|_, _| async { answer(503, "") });
    let herald = world(&app, |online| {
        online.failed_continue = false;
        online.timeout = Duration::from_millis(500);
    })
    .await;
    assert_eq!(refused(&herald, "u").await.0, 500);
    // The App has been away for longer than it may take to answer: it is not even asked.
    herald.admin("POST", "/v1/endpoints/main/pause", "").await;
    assert_eq!(refused(&herald, "v").await.0, 500);
    app.answer(|_, _| async { ok() });
    herald.admin("POST", "/v1/endpoints/main/resume", "").await;
    herald.all_told().await;
    let taken: Vec<_> = app.received().iter().filter(|r| r.taken()).map(|r| r.what()).collect();
    assert_eq!(taken, ["online u", "offline u"]);
    assert!(!app.heard().contains(&"online v".to_owned()));
    assert!(herald.running.online().await.unwrap().is_empty());
}

/// Where the App fails for one user, or for a moment, others are asked about all the same.
#[tokio::test]
async fn what_another_user_meets_opens_no_gate() {
    let app = App::start().await;
    app.answer(|received, _| {
        let what = received.what();
        async move {
            match &what[..] {
                "online other" => answer(404, ""),
                "online bad" => answer(200, REFUSES),
                _ => ok(),
            }
        }
    });
    let herald = world(&app, |online| online.timeout = Duration::from_secs(9)).await;
    let _other = herald.login("other", Platform::Ios).await;
    assert_eq!(refused(&herald, "bad").await.0, 1506);
}

/// A second dial is not let in because the first one is still being asked about.
#[tokio::test]
async fn dials_of_one_token_share_the_question_and_its_answer() {
    for (on_refusal, refuses) in
        [(OnRefusal::Disconnect, true), (OnRefusal::Ignore, true), (OnRefusal::Disconnect, false)]
    {
        let (app, turns) = (App::start().await, Arc::new(Semaphore::new(0)));
        thinks(&app, &turns, if refuses { || answer(200, REFUSES) } else { ok });
        let herald = world(&app, |online| {
            online.on_refusal = on_refusal;
            online.timeout = FOR_EVER;
        })
        .await;
        let same = identity("u", Platform::Ios);
        let first = dials_as(&herald, same.clone());
        app.hears(&["online u"]).await;
        let second = dials_as(&herald, same.clone());
        eventually("two wait", || async { herald.metric("herald_gate_waiting").await == 2.0 })
            .await;
        turns.add_permits(Semaphore::MAX_PERMITS);
        let expected = if refuses { 1506 } else { 0 };
        assert_eq!((code(first).await, code(second).await), (expected, expected), "{on_refusal:?}");
        herald.all_told().await;
        if refuses {
            app.hears(&["online u", "offline u"]).await;
        }
    }
}

/// The user's own callbacks that wait, whatever they tell, let nobody in unasked.
#[tokio::test]
async fn what_waits_to_be_told_about_the_user_opens_no_gate() {
    let app = App::start().await;
    app.answer(|received, before| {
        let refuses = received.what() == "online bad" && before > 1;
        async move {
            match before {
                // The status is retried after a second.
                0 => answer(200, r#"{"actionCode":1}"#),
                _ if refuses => answer(200, REFUSES),
                _ => ok(),
            }
        }
    });
    let herald = world(&app, |_| {}).await;
    herald.set_status("bad", Platform::Web, json!({ "status": 1 })).await;
    app.hears(&["online bad"]).await;
    assert_eq!(refused(&herald, "bad").await.0, 1506);
}

#[tokio::test]
async fn the_app_is_asked_about_four_logins_of_a_user_at_once() {
    let (app, turns) = (App::start().await, Arc::new(Semaphore::new(0)));
    thinks(&app, &turns, ok);
    let herald = world(&app, |online| online.timeout = FOR_EVER).await;
    let platforms = [Platform::Ios, Platform::Web, Platform::Android, Platform::Linux];
    let waiting = platforms.map(|platform| dials_as(&herald, identity("u", platform)));
    eventually("four wait", || async { herald.metric("herald_gate_waiting").await == 4.0 }).await;
    assert_eq!(code(dials_as(&herald, identity("u", Platform::IPad))).await, 1601);
    turns.add_permits(Semaphore::MAX_PERMITS);
    for login in waiting {
        assert_eq!(code(login).await, 0);
    }
}

/// The client is back within its grace: what goes wrong at the gate is not its fault.
#[tokio::test]
async fn a_return_that_the_app_cannot_answer_keeps_the_session() {
    let app = App::start().await;
    let herald = world_of(&app, |config| {
        config.callbacks.online.failed_continue = false;
        config.presence.offline_grace = Duration::from_secs(600);
    })
    .await;
    let same = identity("u", Platform::Ios);
    herald.try_login(&same).await.unwrap().cut();
    lingers(&herald, "u").await;
    app.answer(|_, _| async { answer(500, "") });
    assert_eq!(code(dials_as(&herald, same.clone())).await, 500);
    app.answer(|_, _| async { ok() });
    herald.all_told().await;
    assert_eq!(herald.running.online().await.unwrap(), ["u"]);
    let _back = herald.try_login(&same).await.unwrap();
    herald.all_told().await;
    assert!(!app.heard().contains(&"offline u".to_owned()), "{:?}", app.heard());
}

#[tokio::test]
async fn a_restart_while_the_app_is_asked_about_a_return_keeps_the_session() {
    let (app, turns) = (App::start().await, Arc::new(Semaphore::new(0)));
    let herald = world_of(&app, |config| {
        config.presence.offline_grace = Duration::from_secs(600);
        config.presence.restart_grace = Duration::from_secs(600);
    })
    .await;
    let same = identity("u", Platform::Ios);
    herald.try_login(&same).await.unwrap().cut();
    lingers(&herald, "u").await;
    thinks(&app, &turns, ok);
    let back = dials_as(&herald, same.clone());
    eventually("it waits", || async { herald.metric("herald_gate_waiting").await == 1.0 }).await;
    back.abort();
    turns.add_permits(Semaphore::MAX_PERMITS);
    let herald = herald.restart().await;
    herald.all_told().await;
    assert_eq!(herald.running.online().await.unwrap(), ["u"]);
    let _back = herald.try_login(&same).await.unwrap();
    herald.all_told().await;
    assert!(!app.heard().contains(&"offline u".to_owned()), "{:?}", app.heard());
}

async fn lingers(herald: &Herald, user: &str) {
    let path = format!("/v1/users/{user}");
    eventually("its line is broken", || async {
        let (_, said) = herald.admin("GET", &path, "").await;
        said["connections"][0]["session"] == "lingering"
    })
    .await;
}

#[tokio::test]
async fn who_is_kicked_at_the_gate_is_sent_away_at_once() {
    let (app, turns) = (App::start().await, Arc::new(Semaphore::new(0)));
    thinks(&app, &turns, ok);
    let herald = world(&app, |online| online.timeout = FOR_EVER).await;
    let same = identity("u", Platform::Ios);
    let first = dials_as(&herald, same.clone());
    app.hears(&["online u"]).await;
    let second = dials_as(&herald, same);
    eventually("two wait", || async { herald.metric("herald_gate_waiting").await == 2.0 }).await;
    assert_eq!(herald.admin("POST", "/v1/users/u/kick", "{}").await.0 / 100, 2);
    assert_eq!((code(first).await, code(second).await), (1506, 1506));
    turns.add_permits(Semaphore::MAX_PERMITS);
}

/// A page of a proxy in front of the App is no consent.
#[tokio::test]
async fn only_an_empty_answer_or_the_json_of_the_contract_lets_in() {
    for (body, expected) in [("", 0), ("{}", 0), ("<html>welcome</html>", 500), ("[]", 500)] {
        let app = App::start().await;
        app.answer(move |_, _| async move { answer(200, body) });
        let herald = world(&app, |online| online.failed_continue = false).await;
        assert_eq!(code(dials(&herald, "u")).await, expected, "{body}");
    }
}

/// In these dialects a code refuses, also at the gate of an App whose refusals are ignored otherwise.
#[tokio::test]
async fn a_code_that_refuses_is_a_refusal_at_the_gate_and_a_failure_after_it() {
    for dialect in [Dialect::V35, Dialect::V2] {
        let app = App::start().await;
        app.answer(|_, _| async { answer(200, r#"{"actionCode":1,"errMsg":"banned"}"#) });
        let herald = world_of(&app, |config| {
            config.callbacks.dialect = dialect;
            config.callbacks.online.on_refusal = OnRefusal::Ignore;
        })
        .await;
        assert_eq!(refused(&herald, "u").await.0, 1506);
        let callbacks = async || herald.admin("GET", "/v1/callbacks?user=u", "").await.1;
        eventually("the offline is dead", || async {
            callbacks().await["callbacks"][0]["state"] == "dead"
        })
        .await;
        let attempts = callbacks().await["callbacks"][0]["attempts"].as_array().unwrap().len();
        assert_eq!(attempts, 3);
    }
}

#[tokio::test]
async fn who_waits_behind_older_callbacks_for_too_long_tries_again_and_is_not_let_in() {
    let app = App::start().await;
    app.answer(|_, before| async move {
        match before {
            0 => answer(200, r#"{"actionCode":1}"#),
            _ => std::future::pending().await,
        }
    });
    let herald = world_of(&app, |config| {
        config.callbacks.online.timeout = FOR_EVER;
        config.gateway.handshake_timeout = Duration::from_millis(1_500);
    })
    .await;
    let _first = herald.login("u", Platform::Ios).await;
    assert_eq!(refused(&herald, "u").await.0, 500);
}

#[tokio::test]
async fn only_so_many_wait() {
    let (app, turns) = (App::start().await, Arc::new(Semaphore::new(0)));
    thinks(&app, &turns, ok);
    let herald = world(&app, |online| {
        online.timeout = FOR_EVER;
        online.gate_waiting_max = 1;
    })
    .await;
    let waits = dials(&herald, "a");
    app.hears(&["online a"]).await;
    let _unasked = herald.login("b", Platform::Ios).await;
    assert!(!waits.is_finished());
    turns.add_permits(2);
    waits.await.unwrap().unwrap();
    let _asked = tokio::join!(herald.login("c", Platform::Ios), async { turns.add_permits(1) });
    assert_eq!(herald.metric(r#"herald_gate_logins_total{outcome="agreed"}"#).await, 2.0);
}

/// Sharing a question takes no place, and one user cannot take up the places of all.
#[tokio::test]
async fn a_double_dial_and_a_flood_of_one_user_let_nobody_in_unasked() {
    let (app, turns) = (App::start().await, Arc::new(Semaphore::new(0)));
    let asked = Arc::clone(&turns);
    app.answer(move |received, _| {
        let (asked, refuses) = (Arc::clone(&asked), received.what() == "online bad");
        async move {
            asked.acquire().await.unwrap().forget();
            if refuses { answer(200, REFUSES) } else { ok() }
        }
    });
    let herald = world(&app, |online| {
        online.timeout = FOR_EVER;
        online.gate_waiting_max = 6;
    })
    .await;
    let bad = identity("bad", Platform::Ios);
    let flood: Vec<_> = (0..40).map(|_| dials_as(&herald, bad.clone())).collect();
    eventually("they wait", || async { herald.metric("herald_gate_waiting").await >= 2.0 }).await;
    let good = dials(&herald, "good");
    eventually("good is asked about", || async { app.heard_of("good").len() == 1 }).await;
    turns.add_permits(Semaphore::MAX_PERMITS);
    assert_eq!(code(good).await, 0);
    for login in flood {
        assert_eq!(code(login).await, 1506);
    }
    let unasked = herald.admin_text("/metrics").await;
    assert!(!unasked.contains("let_in_unasked"), "{unasked}");
}

/// Whoever dials and hangs up, again and again, holds no places.
#[tokio::test]
async fn a_client_that_hangs_up_at_the_gate_gives_its_place_back() {
    let (app, turns) = (App::start().await, Arc::new(Semaphore::new(0)));
    thinks(&app, &turns, ok);
    let herald = world(&app, |online| online.timeout = FOR_EVER).await;
    let login = dials(&herald, "u");
    app.hears(&["online u"]).await;
    login.abort();
    eventually("nobody waits", || async { herald.metric("herald_gate_waiting").await == 0.0 })
        .await;
    eventually("it is gone", || async { herald.metric("herald_connections").await == 0.0 }).await;
    turns.add_permits(Semaphore::MAX_PERMITS);
    app.hears(&["online u", "offline u"]).await;
}

#[tokio::test]
async fn what_is_no_news_to_the_app_is_not_asked() {
    let app = App::start().await;
    let herald = world(&app, |online| online.scope = presence::Scope::User).await;
    let _phone = herald.login("u", Platform::Ios).await;
    herald.all_told().await;
    app.answer(|_, _| std::future::pending());
    let _browser = herald.login("u", Platform::Web).await;
    app.hears(&["online u"]).await;
}

#[tokio::test]
async fn who_waited_when_the_server_stopped_was_never_there() {
    let (app, turns) = (App::start().await, Arc::new(Semaphore::new(0)));
    thinks(&app, &turns, ok);
    let herald = world(&app, |online| online.timeout = Duration::from_secs(3)).await;
    let login = dials(&herald, "u");
    app.hears(&["online u"]).await;
    login.abort();
    let herald = herald.restart().await;
    turns.add_permits(Semaphore::MAX_PERMITS);
    herald.all_told().await;
    eventually("u is told offline", || async {
        app.heard().last().is_some_and(|what| what == "offline u")
    })
    .await;
    assert!(herald.running.online().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_status_is_told_afterwards_as_ever() {
    let app = choosy().await;
    let herald = world(&app, |_| {}).await;
    herald.set_status("bad", Platform::Web, json!({ "status": 1 })).await;
    app.hears(&["online bad", "offline bad"]).await;
}
