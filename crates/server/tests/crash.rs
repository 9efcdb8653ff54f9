//! `kill -9` while clients come and go and the App fails at times: nothing that a client was told
//! is lost, order is kept, and the App's view ends right (promises P1 to P4).
//!
//! `CRASH_CYCLES` says how often it is killed; `cargo xtask crash` runs the whole.
#![allow(clippy::unwrap_used)]

mod support;

use server::client::{Client, http};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use support::{process::Process, *};
use tokio::{task::JoinSet, time::sleep};
use wire::platform::Platform;

const USERS: usize = 60;
/// Those who hold a connection when it is over.
const STAY: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_told_to_a_client_is_lost_however_often_the_server_is_killed() {
    let cycles = std::env::var("CRASH_CYCLES").map_or(5, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    app.answer(|_, before| async move {
        sleep(Duration::from_millis(before as u64 % 7)).await;
        if before % 9 == 4 { answer(503, "") } else { ok() }
    });
    let settings = [
        ("HERALD_PRESENCE__OFFLINE_GRACE", "300ms"),
        ("HERALD_PRESENCE__RESTART_GRACE", "3s"),
        // Its users come and go without end.
        ("HERALD_PRESENCE__USER_BUDGET", "0"),
    ];
    let mut herald = Process::new(folder.path(), &app.url(), &settings);
    let crowd = Crowd::of(&herald);
    let mut users = JoinSet::new();
    for n in 0..USERS {
        users.spawn(Arc::clone(&crowd).live(n));
    }
    for cycle in 0..cycles {
        herald.start().await;
        sleep(Duration::from_millis(50 + crowd.chance(750))).await;
        herald.kill();
        eprintln!("cycle {cycle}: {} logins told so far", crowd.told.lock().unwrap().len());
    }
    // Of hundreds of kills much is owed, and each failure makes the endpoint wait.
    app.answer(|_, _| async { ok() });
    herald.start().await;
    crowd.stop.store(true, Relaxed);
    let stayed: Vec<Client> = users.join_all().await.into_iter().flatten().collect();
    assert_eq!(stayed.len(), STAY);

    let truth: Vec<String> = (0..STAY).map(user).collect();
    eventually("who left is offline", || async { herald.users_online().await == truth }).await;
    eventually("all is told", || async { herald.owed().await == 0 }).await;
    let report = check(&app, &crowd, &truth);
    eprintln!("{cycles} kills: {report}");
}

/// Clients that come and go, and what they were told.
struct Crowd {
    gateway: SocketAddr,
    api: SocketAddr,
    /// The operationID of each login and each status that was answered with success.
    told: Mutex<HashSet<String>>,
    operations: AtomicU64,
    random: AtomicU64,
    stop: AtomicBool,
}

impl Crowd {
    fn of(herald: &Process) -> Arc<Crowd> {
        Arc::new(Crowd {
            gateway: herald.gateway,
            api: herald.api,
            told: Mutex::default(),
            operations: AtomicU64::new(0),
            random: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        })
    }

    /// Comes and goes until told to stop; the first few then hold a connection.
    async fn live(self: Arc<Crowd>, n: usize) -> Option<Client> {
        loop {
            let client = self.login(n).await;
            if self.stop.load(Relaxed) {
                match client {
                    Some(client) if n < STAY => return Some(client),
                    None if n < STAY => {
                        sleep(Duration::from_millis(20)).await;
                        continue;
                    }
                    _ => return None,
                }
            }
            let Some(client) = client else {
                sleep(Duration::from_millis(10 + self.chance(60))).await;
                continue;
            };
            sleep(Duration::from_millis(self.chance(200))).await;
            match self.chance(4) {
                0 => client.close().await,
                1 => client.cut(),
                2 => {
                    self.set_status(n).await;
                    client.cut();
                }
                _ => {
                    let mut client = client;
                    let _ = client.request(&user(n), wire::identifier::LOGOUT, "").await;
                    client.close().await;
                }
            }
        }
    }

    async fn login(&self, n: usize) -> Option<Client> {
        let (user, operation) = (user(n), self.operation());
        let token = token(&user, Platform::Ios);
        let url = format!(
            "ws://{}/?sendID={user}&token={token}&platformID=1&operationID={operation}\
             &isBackground=false&isMsgResp=true&sdkType=js",
            self.gateway
        );
        let client = Client::dial(&url).await.ok()?;
        self.told.lock().unwrap().insert(operation);
        Some(client)
    }

    async fn set_status(&self, n: usize) {
        let (user, operation) = (user(n), self.operation());
        let token = token(&user, Platform::Ios);
        let headers = [("operationID", operation.as_str()), ("token", &token)];
        // Each text is news, so each success owes a callback: the client is connected meanwhile.
        let status = serde_json::json!({
            "userID": user, "platformID": 1, "status": 1, "text": operation,
        });
        let path = "/user/set_user_status";
        let answer = http(self.api, "POST", path, &headers, &status.to_string()).await;
        if answer.is_ok_and(|(status, body)| status == 200 && body.contains("\"errCode\":0")) {
            self.told.lock().unwrap().insert(operation.clone());
        }
        let take_back = serde_json::json!({ "userID": user, "platformID": 1, "status": 0 });
        let _ = http(self.api, "POST", path, &headers, &take_back.to_string()).await;
    }

    fn operation(&self) -> String {
        format!("op-{}", self.operations.fetch_add(1, Relaxed))
    }

    /// A number below `limit`.
    fn chance(&self, limit: u64) -> u64 {
        // SplitMix64: a counter, well mixed.
        let x = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x >> 33) % limit
    }
}

fn user(n: usize) -> String {
    format!("u{n:02}")
}

fn check(app: &App, crowd: &Crowd, truth: &[String]) -> String {
    let received = app.received();
    let mut last: HashMap<String, Received> = HashMap::new();
    let (mut naive, mut by_seq) = (BTreeMap::new(), BTreeMap::<String, (u64, bool)>::new());
    let mut operations = HashSet::new();
    let mut repeats = 0;
    for one in &received {
        let body = one.json();
        let user = body["userID"].as_str().unwrap().to_owned();
        let (seq, online) = (body["seq"].as_u64().unwrap(), one.what().starts_with("online"));
        if let Some(before) = last.insert(user.clone(), one.clone()) {
            let repeated = before.body == one.body;
            repeats += u64::from(repeated);
            let rises = seq > before.json()["seq"].as_u64().unwrap();
            assert!(rises || repeated, "order: {:?} then {:?}", before.body, one.body);
        }
        if !one.taken() {
            continue;
        }
        operations.insert(one.headers["operationid"].to_str().unwrap().to_owned());
        naive.insert(user.clone(), online);
        let newest = by_seq.entry(user).or_default();
        *newest = (*newest).max((seq, online));
    }
    let told = crowd.told.lock().unwrap();
    let lost: Vec<_> = told.difference(&operations).collect();
    assert!(lost.is_empty(), "told to a client and never to the App: {lost:?}");
    let naive: Vec<_> = naive.iter().filter(|(_, online)| **online).map(|(user, _)| user).collect();
    assert_eq!(naive, truth.iter().collect::<Vec<_>>(), "the view of a naive App");
    let by_seq: Vec<_> = by_seq.iter().filter(|(_, (_, on))| *on).map(|(user, _)| user).collect();
    assert_eq!(by_seq, truth.iter().collect::<Vec<_>>(), "the view by seq");
    format!(
        "{} logins and statuses told to clients, 0 lost; {} requests to the App, {repeats} repeats",
        told.len(),
        received.len()
    )
}
