//! Latency beside an endpoint in trouble, as a ratio to that beside a healthy one (promise P6): one that
//! hangs, one that backs off, one that drains a backlog. Two servers with the same users, each with two
//! endpoints, are measured by turns in one run, so that whatever else the machine does meets both.
//! `cargo xtask bench` runs it.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a stopwatch is what this is")]

#[path = "../tests/support/mod.rs"]
mod support;

use axum::response::Response;
use server::client::{Client, http};
use std::{
    collections::HashMap,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use support::{process::Process, *};
use tokio::{sync::Semaphore, task::JoinSet};
use wire::platform::Platform;

/// Users about whom the endpoint in trouble is told nothing yet.
const PENDING: usize = 10_000;
const PER_SECOND: u64 = 500;
/// Logins of one turn, and turns of each side.
const LOGINS: usize = 500;
const TURNS: usize = 20;

fn main() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    let turns = std::env::var("TURNS").ok().and_then(|turns| turns.parse().ok()).unwrap_or(TURNS);
    runtime.block_on(async {
        compare("none", turns, PENDING, async || ok()).await;
        compare("hangs", turns, PENDING, async || std::future::pending().await).await;
        compare("backs off", turns, PENDING, async || answer(503, "")).await;
        // 64 at a time, 50 ms each, never all at once: 1,280 a second.
        let told = AtomicU64::new(0);
        let drains = move || {
            let spread = told.fetch_add(1, Ordering::Relaxed) * 37 % 61;
            async move {
                tokio::time::sleep(Duration::from_millis(20 + spread)).await;
                ok()
            }
        };
        compare("drains", turns, 2_000 * turns, drains).await;
    });
}

/// A server with two endpoints.
struct Side {
    herald: Process,
    app: App,
    other: App,
    _folder: tempfile::TempDir,
    /// Of each turn, as are the next.
    login_ms: Vec<Vec<f64>>,
    told_ms: Vec<Vec<f64>>,
}

impl Side {
    async fn start(pending: usize) -> Side {
        let (app, other) = (App::start().await, App::start().await);
        let folder = tempfile::tempdir().unwrap();
        let endpoints = format!("[{{ name = \"other\", url = \"{}\" }}]", other.url());
        let settings = [
            ("HERALD_CALLBACKS__ENDPOINTS", endpoints.as_str()),
            ("HERALD_PRESENCE__OFFLINE_GRACE", "1h"),
            ("HERALD_PRESENCE__MASS_LOSS__SHARE", "0.0"),
        ];
        let mut herald = Process::new(folder.path(), &app.url(), &settings);
        herald.start().await;
        call(herald.admin, "/v1/endpoints/other/pause").await;
        let side =
            Side { herald, app, other, _folder: folder, login_ms: Vec::new(), told_ms: Vec::new() };
        side.bring_online(pending).await;
        side
    }

    /// Users without a connection, so that both endpoints are told of each.
    async fn bring_online(&self, users: usize) {
        let (admin, turns) = (self.herald.admin, Arc::new(Semaphore::new(32)));
        let mut running = JoinSet::new();
        for n in 0..users {
            let turn = Arc::clone(&turns).acquire_owned().await.unwrap();
            running.spawn(async move {
                let path = format!("/v1/users/virtual-{n}/status");
                let authorization = format!("Bearer {SECRET}");
                let headers = [("Authorization", authorization.as_str())];
                let (status, _) = http(admin, "PUT", &path, &headers, "{}").await.unwrap();
                assert_eq!(status, 204);
                drop(turn);
            });
        }
        running.join_all().await;
        eventually("the App is told", || async { self.app.received().len() >= users }).await;
    }

    /// How much the other endpoint is owed.
    async fn owed(&self) -> u64 {
        self.herald.get("/v1/endpoints").await.1[1]["owed"].as_u64().unwrap()
    }

    /// Logins at a steady rate; notes from dial to 101, and from dial to the App.
    async fn turn(&mut self, turn: usize) {
        let heard: Arc<Mutex<HashMap<String, Instant>>> = Arc::default();
        let hears = Arc::clone(&heard);
        self.app.answer(move |received, _| {
            let operation = received.headers["operationid"].to_str().unwrap().to_owned();
            hears.lock().unwrap().insert(operation, Instant::now());
            async { ok() }
        });
        let gateway = self.herald.gateway;
        let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 / PER_SECOND));
        let mut running = JoinSet::new();
        for n in turn * LOGINS..(turn + 1) * LOGINS {
            pace.tick().await;
            running.spawn(async move {
                let began = Instant::now();
                let client = login(gateway, n).await;
                (n, began, began.elapsed(), client)
            });
        }
        let logins = running.join_all().await;
        let is_told = |n: usize| heard.lock().unwrap().contains_key(&operation(n));
        eventually("all is told", || async { logins.iter().all(|(n, ..)| is_told(*n)) }).await;
        let heard = std::mem::take(&mut *heard.lock().unwrap());
        let ms = |took: Duration| took.as_secs_f64() * 1000.0;
        let told = logins.iter().map(|(n, began, ..)| ms(heard[&operation(*n)] - *began));
        self.told_ms.push(told.collect());
        self.login_ms.push(logins.iter().map(|(_, _, took, _)| ms(*took)).collect());
        // The grace outlasts the run, so nobody is told; what it costs is not the next turn's.
        drop(logins);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// One side's other endpoint is well, the other's is in trouble.
async fn compare<F: Future<Output = Response> + Send + 'static>(
    trouble: &str,
    turns: usize,
    pending: usize,
    script: impl Fn() -> F + Send + Sync + 'static,
) {
    let (mut well, mut beside) = (Side::start(pending).await, Side::start(pending).await);
    call(well.herald.admin, "/v1/endpoints/other/resume").await;
    eventually("the healthy one is told", || async { well.owed().await == 0 }).await;
    beside.other.answer(move |_, _| script());
    for turn in 0..turns {
        // By turns the first, so that neither gains by it.
        for is_well in [turn % 2 == 0, turn % 2 != 0] {
            if is_well {
                well.turn(turn).await;
            } else {
                // The trouble rests while the other side is measured: they share the machine.
                call(beside.herald.admin, "/v1/endpoints/other/resume").await;
                beside.turn(turn).await;
                call(beside.herald.admin, "/v1/endpoints/other/pause").await;
            }
        }
    }
    let left = beside.owed().await;
    row(trouble, "login", &well.login_ms, &beside.login_ms);
    row(trouble, "told", &well.told_ms, &beside.told_ms);
    println!("{trouble:<10} {left} callbacks are left there");
}

fn row(trouble: &str, name: &str, well: &[Vec<f64>], beside: &[Vec<f64>]) {
    let [p50, p99] = [0.5, 0.99].map(|share| {
        let (well, beside) = (typical(well, share), typical(beside, share));
        format!("{well:.2} -> {beside:.2} ms ({:.2})", beside / well)
    });
    println!("{trouble:<10} {name:<7} p50 {p50}, p99 {p99}");
}

/// The median of the turns, so that one stall of the machine does not speak for a whole side.
fn typical(turns: &[Vec<f64>], share: f64) -> f64 {
    let at = |mut all: Vec<f64>, share: f64| {
        all.sort_by(f64::total_cmp);
        all[(all.len() as f64 * share) as usize]
    };
    at(turns.iter().map(|turn| at(turn.clone(), share)).collect(), 0.5)
}

/// A `POST` to the management API.
async fn call(admin: SocketAddr, path: &str) {
    let authorization = format!("Bearer {SECRET}");
    let headers = [("Authorization", authorization.as_str())];
    assert_eq!(http(admin, "POST", path, &headers, "").await.unwrap().0 / 100, 2);
}

async fn login(gateway: SocketAddr, n: usize) -> Client {
    let user = format!("user-{n}");
    let token = token(&user, Platform::Ios);
    let operation = operation(n);
    let url = format!(
        "ws://{gateway}/?sendID={user}&token={token}&platformID=1&operationID={operation}\
         &isBackground=false&isMsgResp=true&sdkType=js"
    );
    Client::dial(&url).await.unwrap()
}

fn operation(n: usize) -> String {
    format!("login-{n}")
}
