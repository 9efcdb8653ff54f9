//! The receiver's `sync_loop` against a real server: whatever spoils an App's view, it is made right.
#![allow(clippy::unwrap_used)]

mod support;

use presence::Scope;
use receiver::{
    Answer, Receiver, View,
    sync::{Ask, Bell, Correction, Held, Plan, Side, Span, SyncError, Turn, sync_loop},
};
use serde_json::json;
use server::listener::Listener;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use support::*;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wire::platform::Platform;

/// An App that keeps a view, and can be made to lose what it is told.
#[derive(Clone)]
struct Kept {
    view: Arc<Mutex<View>>,
    deaf: Arc<AtomicBool>,
    door: Arc<Mutex<Option<Door>>>,
    turns: Arc<Mutex<Vec<Turn>>>,
    bell: Bell,
}

impl Side for Kept {
    type Error = String;

    async fn ask(&mut self, request: &Ask) -> Result<Vec<u8>, String> {
        let door = self.door.lock().unwrap().clone().ok_or("no Herald yet")?;
        let (status, body) = ask_admin(&door, request.method, &request.path, &request.body).await;
        if status / 100 == 2 { Ok(body) } else { Err(format!("{status}")) }
    }

    async fn held(&mut self, span: &Span) -> Result<Vec<Held>, String> {
        Ok(self.view.lock().unwrap().held(span))
    }

    async fn correct(&mut self, corrections: &[Correction], fence: u64) -> Result<(), String> {
        self.view.lock().unwrap().correct(corrections, fence);
        Ok(())
    }

    async fn sleep(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn done(&mut self, turn: Result<Turn, &SyncError<String>>) {
        self.turns.lock().unwrap().extend(turn);
    }
}

impl Kept {
    /// Listens and runs its loop for as long as the set lives.
    async fn start(scope: Scope, every: Duration, tasks: &mut JoinSet<()>) -> (Kept, String) {
        let scope = match scope {
            Scope::User => receiver::Scope::User,
            Scope::Platform => receiver::Scope::Platform,
            Scope::Connection => receiver::Scope::Connection,
        };
        let kept = Kept {
            view: Arc::new(Mutex::new(View::new(scope))),
            deaf: Arc::default(),
            door: Arc::default(),
            turns: Arc::default(),
            bell: Bell::default(),
        };
        let app = kept.clone();
        let route = receiver::axum::callback(Receiver::new(), move |event| {
            app.bell.heard(&event);
            if !app.deaf.load(SeqCst) {
                app.view.lock().unwrap().apply(&event);
            }
            async { Answer::ok() }
        });
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), Duration::from_secs(10));
        let listener = listener.await.unwrap();
        let url = format!("http://{}/", listener.address().unwrap());
        let router = axum::Router::new().route("/", route);
        tasks.spawn(listener.serve(router, CancellationToken::new()));
        let (mut side, bell) = (kept.clone(), kept.bell.clone());
        let plan = Plan { every, ..Plan::new(scope) };
        tasks.spawn(async move { match sync_loop(&mut side, &plan, &bell).await {} });
        (kept, url)
    }

    /// `user subject` of all who are online.
    fn online(&self) -> Vec<String> {
        let view = self.view.lock().unwrap();
        view.online().map(|one| format!("{} {:?}", one.user_id, one.subject)).collect()
    }

    fn spoil(&self, user: &str, online: bool) {
        let what = if online { "Online" } else { "Offline" };
        let command = format!("callbackUser{what}Command");
        let mut view = self.view.lock().unwrap();
        let everyone = Span { after: String::new(), upto: None };
        let held = view.held(&everyone).into_iter().filter(|one| one.user_id == user);
        let places: Vec<_> = if online {
            vec![(1, json!({ "connID": "ghost", "platformID": 1 }))]
        } else {
            let place = |one: Held| match one.subject {
                receiver::Subject::User => (one.seq + 1, json!({})),
                receiver::Subject::Platform(id) => (one.seq + 1, json!({ "platformID": id })),
                receiver::Subject::Connection(id) => (one.seq + 1, json!({ "connID": id })),
            };
            held.map(place).collect()
        };
        assert!(!places.is_empty(), "nothing of {user} to spoil");
        for (seq, mut body) in places {
            let more = json!({ "userID": user, "callbackCommand": command, "seq": seq });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let query = format!("command={command}");
            view.apply(&Receiver::new().read(&query, body.to_string().as_bytes()).unwrap());
        }
    }

    async fn becomes(&self, what: &str, truth: &[String]) {
        eventually(what, || async { self.online() == truth }).await;
    }
}

/// Who is online by Herald, as [`Kept::online`] tells it.
async fn truth(herald: &Herald, scope: Scope) -> Vec<String> {
    let (_, page) = herald.admin("GET", "/v1/snapshot", "").await;
    let mut told = Vec::new();
    for user in page["users"].as_array().unwrap() {
        let name = user["userID"].as_str().unwrap();
        match scope {
            Scope::User => told.push(format!("{name} User")),
            Scope::Platform => {
                let ids = user["platformIDs"].as_array().unwrap().iter();
                told.extend(ids.map(|id| format!("{name} Platform({id})")));
            }
            Scope::Connection => {
                let ids = user["connIDs"].as_array().unwrap().iter();
                told.extend(ids.map(|id| format!("{name} Connection({id})")));
            }
        }
    }
    told
}

async fn is_made_right(scope: Scope) {
    let mut tasks = JoinSet::new();
    let (app, url) = Kept::start(scope, Duration::from_millis(50), &mut tasks).await;
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.online.scope =
            if scope == Scope::User { Scope::Connection } else { scope };
        config.callbacks.offline.scope = scope;
        config.callbacks.extra_fields = true;
    })
    .await;
    // Before its first snapshot: one is told and leaves unheard, ghosts are there, others are not.
    let leaver = herald.login("leaver", Platform::Ios).await;
    herald.all_told().await;
    app.deaf.store(true, SeqCst);
    leaver.close().await;
    let _phone = herald.login("both", Platform::Ios).await;
    let _page = herald.login("both", Platform::Web).await;
    herald.set_status("held", Platform::Web, json!({ "status": 1 })).await;
    app.spoil("ghost", true);
    eventually("the leaver is gone", || async {
        herald.admin("GET", "/v1/users/leaver", "").await.1["online"] == false
    })
    .await;
    herald.all_told().await;
    app.deaf.store(false, SeqCst);
    let right = truth(&herald, scope).await;
    assert_ne!(app.online(), right, "it must be spoiled");
    *app.door.lock().unwrap() = Some(herald.door());
    app.becomes("a snapshot makes it right", &right).await;
    // A turn is noted after what it did.
    eventually("a turn is noted", || async { !app.turns.lock().unwrap().is_empty() }).await;
    assert!(matches!(app.turns.lock().unwrap()[0], Turn::Snapshot { corrected } if corrected > 0));

    app.spoil("both", false);
    app.spoil("a ghost", true);
    app.becomes("a diff makes it right", &right).await;
    let is_diff = |turn: &Turn| matches!(turn, Turn::Diff { corrected, .. } if *corrected > 0);
    eventually("the diff is noted", || async { app.turns.lock().unwrap().iter().any(is_diff) })
        .await;
    app.deaf.store(true, SeqCst);
    let _more = herald.login("unheard", Platform::Ios).await;
    herald.all_told().await;
    app.becomes("what was lost is found", &truth(&herald, scope).await).await;
}

#[tokio::test]
async fn a_flag_per_user_is_made_right() {
    is_made_right(Scope::User).await;
}

#[tokio::test]
async fn a_state_per_platform_is_made_right() {
    is_made_right(Scope::Platform).await;
}

#[tokio::test]
async fn a_set_of_connections_is_made_right() {
    is_made_right(Scope::Connection).await;
}

#[tokio::test]
async fn a_callback_that_says_so_brings_a_snapshot() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let mut tasks = JoinSet::new();
    let (app, url) = Kept::start(Scope::User, DAY, &mut tasks).await;
    let mut herald = Herald::start(|config| config.callbacks.url = Some(url.clone())).await;
    let _ann = herald.login("ann", Platform::Ios).await;
    *app.door.lock().unwrap() = Some(herald.door());
    eventually("the first two turns", || async { app.turns.lock().unwrap().len() == 2 }).await;
    app.becomes("ann", &["ann User".into()]).await;

    // Told of other things than before, so it needs a resync. Spoiled by what is no callback's.
    herald.config.callbacks.kick_off.enable = !herald.config.callbacks.kick_off.enable;
    herald = herald.restart().await;
    *app.door.lock().unwrap() = Some(herald.door());
    let needs = async |herald: &Herald| {
        !herald.admin("GET", "/v1/endpoints", "").await.1[0]["needsResync"].is_null()
    };
    assert!(needs(&herald).await);
    app.spoil("ghost", true);
    let _bob = herald.login("bob", Platform::Ios).await;
    eventually("it is resynced", || async { !needs(&herald).await }).await;
    eventually("the ghost is gone", || async { !app.online().contains(&"ghost User".into()) })
        .await;

    // Another store.
    let other = Herald::start(|config| config.callbacks.url = Some(url)).await;
    herald.running.stop().await;
    app.spoil("ghost", true);
    *app.door.lock().unwrap() = Some(other.door());
    let _cy = other.login("cy", Platform::Ios).await;
    app.becomes("only cy is there", &["cy User".into()]).await;
}

/// While the App reads who is online, something else comes up that only another snapshot tells.
#[tokio::test]
async fn a_need_that_comes_up_while_a_snapshot_is_read_stays() {
    let app = App::start().await;
    app.answer(|_, _| async { answer(503, "") });
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.presence.offline_grace = Duration::from_millis(20);
    })
    .await;
    herald.login("u", Platform::Ios).await.close().await;
    let (_, snapshot) = herald.admin("GET", "/v1/snapshot", "").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    eventually("they are erased", || async {
        herald.admin("DELETE", "/v1/users/u/data?force=true", "").await.0 == 200
    })
    .await;
    let resynced = async |fence: &serde_json::Value| {
        let path = format!("/v1/endpoints/main/resynced?fence={fence}");
        herald.admin("POST", &path, "").await
    };
    let needs = async || herald.admin("GET", "/v1/endpoints", "").await.1[0]["needsResync"].clone();
    let (status, said) = resynced(&snapshot["fence"]).await;
    assert_eq!((status, &said["needsResync"]), (200, &needs().await));
    assert_ne!(needs().await, json!(null));
    tokio::time::sleep(Duration::from_millis(5)).await;
    let (_, snapshot) = herald.admin("GET", "/v1/snapshot", "").await;
    assert_eq!(resynced(&snapshot["fence"]).await.0, 204);
    assert_eq!(needs().await, json!(null));
    assert_eq!(resynced(&json!("x")).await.0, 400);
}
