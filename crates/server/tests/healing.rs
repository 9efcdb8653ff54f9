//! Everything that issue by issue was mended, at once and with the real program: an App that fails, gives up,
//! refuses to be called and is out; replays, purges and pauses; stops, `kill -9`, processes that do not run
//! for longer than a grace; settings that change from one start to the next. Whoever applies callbacks as
//! they come, and reads no snapshot, is right in the end.
//!
//! `HEALING_CYCLES` says how often the server is started; `cargo xtask crash` runs the whole.
#![allow(clippy::unwrap_used)]

mod support;

use axum::response::Response;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use support::{
    crowd::{Crowd, STAY, user},
    process::{Process, Signal},
    *,
};
use tokio::{task::JoinSet, time::sleep};

const USERS: usize = 40;
/// As an operator sets them, beside the scopes: what the Apps of the test can be right under.
const SWITCHES: [(&str, [&str; 2]); 5] = [
    ("HERALD_CALLBACKS__ONLINE__SCOPE", ["connection", "user"]),
    ("HERALD_CALLBACKS__KICK_OFF__ENABLE", ["true", "false"]),
    ("HERALD_CALLBACKS__COLLAPSE_AFTER", ["100ms", "0s"]),
    ("HERALD_CALLBACKS__CONCURRENCY_MAX", ["64", "3"]),
    ("HERALD_CALLBACKS__DIALECT", ["classic", "v3.8"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_applies_what_comes_is_right_in_the_end_whatever_happened() {
    let cycles = std::env::var("HEALING_CYCLES").map_or(3, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let apps = [App::start().await, App::start().await, App::start().await];
    let further = format!(
        "[{{ name = \"connections\", url = \"{}\", online.scope = \"connection\", offline.scope = \"connection\" }},\n\
         {{ name = \"platforms\", url = \"{}\", online.scope = \"platform\", offline.scope = \"platform\", extra_fields = true }}]",
        apps[1].url(),
        apps[2].url()
    );
    let settings = [
        ("HERALD_PRESENCE__OFFLINE_GRACE", "300ms"),
        ("HERALD_PRESENCE__RESTART_GRACE", "3s"),
        ("HERALD_PRESENCE__USER_BUDGET", "0"),
        ("HERALD_CALLBACKS__ENDPOINTS", further.as_str()),
    ];
    let mut herald = Process::new(folder.path(), &apps[0].url(), &settings);
    let crowd = Crowd::of(&herald);
    let weather = Arc::new(AtomicU64::new(0));
    for app in &apps {
        misbehaves(app, &crowd, &weather);
    }
    let mut users = JoinSet::new();
    for n in 0..USERS {
        users.spawn(Arc::clone(&crowd).live(n));
    }
    for cycle in 0..cycles {
        let (switch, values) = SWITCHES[crowd.chance(SWITCHES.len() as u64) as usize];
        herald.set(switch, values[crowd.chance(2) as usize]);
        herald.start().await;
        live_through(&herald, &crowd, &weather).await;
        if crowd.chance(3) == 0 {
            assert_eq!(herald.terminate().await, Some(0));
        } else {
            herald.kill();
        }
        let requests = apps.each_ref().map(|app| app.received().len());
        eprintln!("cycle {cycle}: {requests:?} requests");
    }
    weather.store(u64::MAX, Relaxed);
    eprintln!("{} marks", file::make_marks_due(&folder.path().join("data")));
    herald.start().await;
    crowd.stop.store(true, Relaxed);
    let stayed: Vec<_> = users.join_all().await.into_iter().flatten().collect();
    assert_eq!(stayed.len(), STAY);
    resume(&herald).await;
    let truth: Vec<String> = (0..STAY).map(user).collect();
    eventually("who left is offline", || async { herald.users_online().await == truth }).await;
    eventually("all is told, and retold", || async { is_done(&herald).await }).await;
    let mut there = BTreeSet::new();
    for user in &truth {
        let (_, view) = herald.get(&format!("/v1/users/{user}")).await;
        for connection in view["connections"].as_array().unwrap() {
            there.insert((user.clone(), connection["connID"].as_str().unwrap().to_owned()));
        }
    }
    let users: BTreeSet<_> = truth.iter().map(|user| (user.clone(), String::new())).collect();
    let ios = truth.iter().map(|user| (user.clone(), "1".to_owned())).collect();
    for (app, subject, right) in
        [(&apps[0], "", users), (&apps[1], "connID", there), (&apps[2], "platformID", ios)]
    {
        assert_eq!(view(app, subject), right, "the App that keeps: {subject}");
    }
    assert_eq!(herald.terminate().await, Some(0));
    let mut check = Command::new(env!("CARGO_BIN_EXE_herald"));
    check.args(["store", "check"]).arg(folder.path().join("data"));
    let checked = spawned::output(&mut check);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

/// Faults by the weather, and some always.
fn misbehaves(app: &App, crowd: &Arc<Crowd>, weather: &Arc<AtomicU64>) {
    let (crowd, weather) = (Arc::clone(crowd), Arc::clone(weather));
    app.answer(move |heard, _| {
        let seq = heard.json()["seq"].as_u64().unwrap_or_default();
        let status = match (weather.load(Relaxed), crowd.chance(100)) {
            (u64::MAX, _) => 200,
            (1, _) => 503,
            (2, _) => 402,
            (3, _) => 410,
            (_, 0..8) => 503,
            // Some it fails at again and again, and they are given up.
            (_, 8..98) if seq % 6 == 1 => 400,
            _ => 200,
        };
        async move { said(status) }
    });
}

fn said(status: u16) -> Response {
    if status == 200 { ok() } else { answer(status, "") }
}

/// One life of a process.
async fn live_through(herald: &Process, crowd: &Crowd, weather: &AtomicU64) {
    resume(herald).await;
    for _ in 0..2 + crowd.chance(4) {
        sleep(Duration::from_millis(100 + crowd.chance(400))).await;
        weather.store(crowd.chance(8), Relaxed);
        let whom = user(crowd.chance(USERS as u64) as usize);
        let state = ["delivered", "dead", "superseded", "expired"][crowd.chance(4) as usize];
        match crowd.chance(6) {
            0 => {
                herald.post("/v1/callbacks/replay", &json!({ "state": state, "user": whom })).await;
            }
            1 => {
                herald.post("/v1/callbacks/replay", &json!({ "state": "dead" })).await;
            }
            2 => {
                herald.post("/v1/callbacks/purge", &json!({ "state": state, "user": whom })).await;
            }
            3 => {
                resume(herald).await;
                herald.post("/v1/endpoints/main/pause", &json!({})).await;
            }
            4 => {
                resume(herald).await;
                herald.post(&format!("/v1/users/{whom}/kick"), &json!({})).await;
            }
            _ => {
                herald.signal(Signal::STOP);
                sleep(Duration::from_millis(1_200)).await;
                herald.signal(Signal::CONT);
            }
        }
    }
}

async fn resume(herald: &Process) {
    for name in ["main", "connections", "platforms"] {
        herald.post(&format!("/v1/endpoints/{name}/resume"), &json!({})).await;
    }
}

async fn is_done(herald: &Process) -> bool {
    let (_, endpoints) = herald.get("/v1/endpoints").await;
    let all = endpoints.as_array().unwrap();
    all.iter().all(|of| (&of["owed"], &of["untold"]) == (&json!(0), &json!(0)))
}

/// Who is online to an App that keeps a flag for each user and value of that field.
fn view(app: &App, subject: &str) -> BTreeSet<(String, String)> {
    let mut view = BTreeMap::new();
    for heard in app.received().into_iter().filter(Received::taken) {
        let body = heard.json();
        let of = match &body[subject] {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let key = (body["userID"].as_str().unwrap().to_owned(), of);
        let command = body["callbackCommand"].as_str().unwrap().to_lowercase();
        match () {
            () if command.contains("online") => view.insert(key, true),
            () if command.contains("offline") => view.insert(key, false),
            () => None,
        };
    }
    view.into_iter().filter(|(_, online)| *online).map(|(key, _)| key).collect()
}
