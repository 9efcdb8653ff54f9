//! Figures of the whole, with the real program on loopback, server, clients and App sharing the
//! machine: durable logins per second, callback latency at 500 logins per second, memory for each idle
//! connection. `cargo xtask bench` runs it; latency beside an endpoint in trouble is in `isolation.rs`.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a stopwatch is what this is")]

#[path = "../tests/support/mod.rs"]
mod support;

use server::client::Client;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use support::{process::Process, *};
use tokio::task::JoinSet;
use wire::platform::Platform;

const LOGINS: usize = 10_000;
const AT_ONCE: usize = 256;
const PACED: usize = 5_000;
const PER_SECOND: u64 = 500;
const IDLE: usize = 4_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    runtime_of(runtime).block_on(async {
        logins_per_second().await;
        callback_latency().await;
        memory_per_connection().await;
    });
}

fn runtime_of(mut builder: tokio::runtime::Builder) -> tokio::runtime::Runtime {
    builder.worker_threads(2).enable_all().build().unwrap()
}

async fn herald(app: &App) -> (Process, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut herald = Process::new(folder.path(), &app.url(), &[]);
    herald.start().await;
    (herald, folder)
}

/// As fast as it goes; each is let in after its commit is synced.
async fn logins_per_second() {
    let app = App::start().await;
    let (herald, _folder) = herald(&app).await;
    let gateway = herald.gateway;
    let began = Instant::now();
    let mut running = JoinSet::new();
    let mut clients = Vec::new();
    for n in 0..LOGINS {
        if running.len() >= AT_ONCE {
            clients.extend(running.join_next().await.unwrap());
        }
        running.spawn(login(gateway, n));
    }
    clients.extend(running.join_all().await);
    let took = began.elapsed().as_secs_f64();
    println!("durable logins: {:.0} per second ({AT_ONCE} at once)", LOGINS as f64 / took);
    eventually("all is told", || async { herald.owed().await == 0 }).await;
    let drained = began.elapsed().as_secs_f64();
    println!("their callbacks: {:.0} per second until all were told", LOGINS as f64 / drained);
}

/// From the client's dial to the App's receipt.
async fn callback_latency() {
    let app = App::start().await;
    let (herald, _folder) = herald(&app).await;
    let (p50, p99, _clients) = latency(&app, &herald).await;
    println!(
        "callback latency at {PER_SECOND} logins per second, from dial to the App: \
         p50 {p50:.1} ms, p99 {p99:.1} ms"
    );
}

/// p50 and p99 in milliseconds of that many logins, from the client's dial to the App's receipt; and
/// the clients, whose going would be told as well.
async fn latency(app: &App, herald: &Process) -> (f64, f64, Vec<Client>) {
    let heard: Arc<Mutex<HashMap<String, Instant>>> = Arc::default();
    let hears = Arc::clone(&heard);
    app.answer(move |received, _| {
        let operation = received.headers["operationid"].to_str().unwrap().to_owned();
        hears.lock().unwrap().insert(operation, Instant::now());
        async { ok() }
    });
    let gateway = herald.gateway;
    let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 / PER_SECOND));
    let mut running = JoinSet::new();
    for n in 0..PACED {
        pace.tick().await;
        running.spawn(async move {
            let began = Instant::now();
            (n, began, login(gateway, n).await)
        });
    }
    let logins = running.join_all().await;
    eventually("all is told", || async { heard.lock().unwrap().len() >= PACED }).await;
    let heard = heard.lock().unwrap();
    let mut took: Vec<f64> = logins
        .iter()
        .map(|(n, began, _)| (heard[&operation(*n)] - *began).as_secs_f64() * 1000.0)
        .collect();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[(took.len() as f64 * share) as usize];
    let clients = logins.into_iter().map(|(_, _, client)| client).collect();
    (at(0.5), at(0.99), clients)
}

async fn memory_per_connection() {
    let app = App::start().await;
    let (herald, _folder) = herald(&app).await;
    let gateway = herald.gateway;
    let mut clients = Vec::new();
    let mut sizes = Vec::new();
    for half in 0..2 {
        for n in 0..IDLE {
            clients.push(login(gateway, half * IDLE + n).await);
        }
        eventually("all is told", || async { herald.owed().await == 0 }).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        sizes.push(herald.resident_bytes());
    }
    let each = (sizes[1] - sizes[0]) / IDLE as u64;
    println!("memory: {each} bytes for each further idle connection (from {IDLE} to {})", 2 * IDLE);
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
