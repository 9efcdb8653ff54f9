//! Requests signed as Standard Webhooks 1.0.0, over real HTTP, as the App's side verifies them.
#![allow(clippy::unwrap_used)]

mod support;

use contract::signature::{SigningSecret, webhook_id};
use presence::{
    Change, Edges, Instant, Interest, Kind, Now, Reason, RefusalLimit, Scope, Timestamp, UserId,
};
use receiver::{Receiver, Reject, Reply};
use server::{
    callbacks::{
        Endpoint, EndpointSettings, Sender, Timeouts,
        http::{HttpSender, HttpSettings},
    },
    clock::Clock,
    config::{OnRefusal, Secret},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{Claim, Claimed, Commit, EndpointName, Memory, NewCallback, Store};
use support::*;
use wire::platform::Platform;

const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXIh";

/// A clock that stands until it is set; in unix milliseconds.
struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> Now {
        let now = self.0.load(Relaxed);
        Now { mono: Instant(now), wall: Timestamp(now) }
    }
}

#[tokio::test]
async fn a_second_attempt_has_the_same_id_a_new_time_and_a_good_signature() {
    let app = App::start().await;
    let endpoint = endpoint(&app, &[NEW, OLD]);
    let clock = Arc::new(SetClock(AtomicU64::new(0)));
    let sender = HttpSender::new(&endpoint, &HttpSettings::default(), clock.clone()).unwrap();
    let callback = callback("user123", 123456).await;
    let times = [1_764_000_000_000, 1_764_000_031_999];
    for time in times {
        clock.0.store(time, Relaxed);
        sender.send(&endpoint, &callback).await;
    }
    let received = app.received();
    assert_eq!(received.len(), 2);
    let header = |at: usize, name: &str| received[at].headers[name].to_str().unwrap().to_owned();
    for (at, time) in times.into_iter().enumerate() {
        assert_eq!(header(at, "webhook-id"), webhook_id("main", "user123", 123456));
        assert_eq!(header(at, "webhook-timestamp"), (time / 1000).to_string());
        for secret in [NEW, OLD] {
            assert!(verified(&received[at], &[secret], time / 1000).is_ok());
        }
        assert!(matches!(
            verified(&received[at], &[OTHER], time / 1000),
            Err(Reject::BadSignature)
        ));
    }
    assert_ne!(header(0, "webhook-signature"), header(1, "webhook-signature"));
    let newest: SigningSecret = NEW.parse().unwrap();
    let first = header(0, "webhook-signature").split(' ').next().unwrap().to_owned();
    let (id, at) = (header(0, "webhook-id"), header(0, "webhook-timestamp"));
    assert!(newest.signed(&first, &id, &at, &received[0].body), "the newest secret signs first");
}

#[tokio::test]
async fn what_a_running_herald_sends_is_signed_now_and_each_callback_has_its_own_id() {
    let app = App::start().await;
    app.answer(|_, before| async move { if before == 0 { answer(503, "") } else { ok() } });
    let herald = herald(&app, &[NEW, OLD]).await;
    let _one = herald.login("u", Platform::Ios).await;
    app.hears(&["online u", "online u"]).await;
    let _other = herald.login("v", Platform::Ios).await;
    let received = app.hears(&["online u", "online u", "online v"]).await;
    for one in &received {
        for secret in [NEW, OLD] {
            verified(one, &[secret], now_s() as u64).unwrap();
        }
    }
    let ids: Vec<_> = received.iter().map(|one| &one.headers["webhook-id"]).collect();
    assert_eq!(ids[0], ids[1], "the same at every attempt");
    assert_ne!(ids[1], ids[2]);
}

/// A slip with secrets must not cost a callback: the App's 401 holds them back.
#[tokio::test]
async fn an_app_with_another_secret_loses_nothing() {
    let app = App::start().await;
    app.answer(|received, _| {
        let reply = verified(received, &[OTHER], now_s() as u64).map_err(Reply::from).unwrap_err();
        async move { answer(reply.status(), reply.body()) }
    });
    let herald = herald(&app, &[NEW]).await;
    let _client = herald.login("u", Platform::Ios).await;
    eventually("it is tried more often than a dead callback", || async {
        app.received().len() > 3
    })
    .await;
    let (_, page) = herald.admin("GET", "/v1/callbacks?user=u", "").await;
    let callback = &page["callbacks"][0];
    assert_eq!(
        (&callback["state"], &callback["attempts"][0]["verdict"]),
        (&"pending".into(), &"back_off".into())
    );
    let answer = callback["attempts"][0]["answer"].as_str().unwrap();
    assert!(answer.contains("not signed with a secret of this App"), "{answer}");
    app.answer(|_, _| async { ok() });
    herald.all_told().await;
}

/// What the App's side says to a request.
fn verified(received: &Received, secrets: &[&str], now_unix_s: u64) -> Result<(), Reject> {
    let receiver = Receiver::new().secrets(secrets).unwrap();
    let query = received.target.split_once('?').unwrap().1;
    let header = |name: &str| received.headers.get(name).and_then(|value| value.to_str().ok());
    receiver.read_request(query, header, &received.body, now_unix_s).map(|_| ())
}

async fn herald(app: &App, secrets: &[&str]) -> Herald {
    Herald::start(|config| {
        config.callbacks.url = Some(app.url());
        config.callbacks.secrets = secrets.iter().copied().map(Secret::new).collect();
    })
    .await
}

fn endpoint(app: &App, secrets: &[&str]) -> Endpoint {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let timeout = Duration::from_secs(60);
    Endpoint::new(EndpointSettings {
        name: EndpointName::new("main"),
        target: contract::Target { url: app.url(), ..Default::default() },
        dialect: contract::Dialect::Classic,
        interest: Interest {
            online: Some(Scope::Connection),
            offline: None,
            kick_off: false,
            background: false,
        },
        timeouts: Timeouts::all(timeout),
        on_refusal: OnRefusal::Ignore,
        gate: None,
        refusal_limit: RefusalLimit { share_max: 1.0, window: Duration::from_secs(60) },
        concurrency_max: 1,
        retell: true,
        collapse_after: None,
        secrets: secrets.iter().map(|text| text.parse().unwrap()).collect(),
    })
}

/// One that a store handed out.
async fn callback(user: &str, seq: u64) -> Claimed {
    let change = Change {
        seq,
        kind: Kind::Online,
        reason: Reason::Login,
        edges: Edges::all(),
        online_scopes: Edges::all(),
        platform: presence::Platform::Ios,
        conn: None,
        background: false,
        at: Timestamp(seq),
        status: None,
        address: None,
    };
    let endpoint = EndpointName::new("main");
    let told = NewCallback {
        endpoint: endpoint.clone(),
        change,
        operation_id: "op".into(),
        due_at: Instant(0),
        asks: false,
        speaks_for: Vec::new(),
    };
    let commit = Commit {
        user: UserId::new(user),
        based_on: 0,
        state: Default::default(),
        wake_at: None,
        callbacks: vec![told],
        settles: None,
        answers: None,
        at: Timestamp(seq),
    };
    let store = Memory::default();
    store.commit(commit).await.unwrap();
    let lease = Duration::from_secs(60);
    let claim = Claim { endpoint, now: Instant(seq), lease, limit: 1 };
    store.claim(claim).await.unwrap().remove(0)
}
