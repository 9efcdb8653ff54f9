//! Hours of churn with the real program and an App that fails in turns of every kind: what the
//! program holds of the machine must not grow, and the App's view must be right at the end.
//!
//! `cargo xtask soak` runs it for two hours, `cargo xtask soak 24m` for 24 minutes. All troubles come round
//! twice, whatever the length. The outbox, the history and what is known of users are kept for minutes here,
//! so that everything is pruned in one run, and in two hours callbacks expire in the longest trouble. Compared
//! are the ends of both halves, which is the same time after that trouble in both; less than two hours are
//! not judged by that, but the App's view is.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a stopwatch is what this is")]

#[path = "../tests/support/mod.rs"]
mod support;

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    response::Response,
};
use server::{client::Heard, listener::Listener};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use support::{
    crowd::{Crowd, Random},
    process::Process,
    *,
};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

/// People; each has another name every few sessions, so that names are forgotten too.
const PEOPLE: usize = 2_000;
const SESSIONS_OF_A_NAME: u64 = 8;
const SESSION: u64 = 40_000;
const PAUSE: u64 = 20_000;
const GROWTH_MAX: f64 = 1.15;
/// In a shorter run nothing expires.
const JUDGED_FROM: Duration = Duration::from_secs(2 * 3600);

/// For the App's troubles, which come round in such a time.
fn settings(cycle: Duration) -> [(&'static str, String); 7] {
    let minutes = (cycle / 12).max(Duration::from_secs(60));
    let minutes = format!("{}s", minutes.as_secs());
    [
        ("HERALD_PRESENCE__OFFLINE_GRACE", "2s".to_owned()),
        ("HERALD_PRESENCE__USER_BUDGET", "0".to_owned()),
        ("HERALD_PRESENCE__FORGET_AFTER", minutes.clone()),
        // In a run of two hours the longest outage is longer, so callbacks expire.
        ("HERALD_CALLBACKS__RETENTION", "20m".to_owned()),
        ("HERALD_CALLBACKS__HISTORY__AGE", minutes.clone()),
        ("HERALD_CALLBACKS__COLLAPSE_AFTER", "10s".to_owned()),
        ("HERALD_AUTH__TOKEN_EXPIRY", minutes),
    ]
}

fn main() {
    let length = std::env::var("SOAK").unwrap_or_else(|_| "2h".to_owned());
    let length = humantime::parse_duration(&length).expect("SOAK is a duration, such as 10m");
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(1).enable_all().build().unwrap().block_on(soak(length));
}

async fn soak(length: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let cycle = length / 2;
    let app = FaultyApp::start(cycle).await;
    let settings = settings(cycle);
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut herald = Process::new(folder.path(), &app.url(), &settings);
    herald.start().await;
    let crowd = Crowd::of(&herald);
    let mut people = JoinSet::new();
    for n in 0..PEOPLE {
        people.spawn(live(Arc::clone(&crowd), n));
    }
    let began = Instant::now();
    let mut samples = Vec::new();
    let every = (length / 120).max(Duration::from_secs(5));
    while began.elapsed() < length {
        sleep(every).await;
        let sample = Sample::take(&herald, folder.path()).await;
        println!("{:>6.1} min  {sample}", began.elapsed().as_secs_f64() / 60.0);
        samples.push(sample);
    }
    app.shared.well.store(true, Relaxed);
    crowd.stop.store(true, Relaxed);
    let truth: BTreeSet<String> = people.join_all().await.into_iter().flatten().collect();
    ends_right(&herald, &app, &truth).await;
    println!(
        "{} logins and statuses, {} requests to the App, of which it took {}; the view of {} is right",
        crowd.told.lock().unwrap().len(),
        app.shared.requests.load(Relaxed),
        app.shared.taken.load(Relaxed),
        truth.len(),
    );
    compare(&samples, length >= JUDGED_FROM);
}

/// The App takes callbacks in the order of their arrival and looks at nothing else, so its view is right
/// once everything was told, and retold where a callback was given up: after 1, 5 and 15 minutes.
async fn ends_right(herald: &Process, app: &FaultyApp, truth: &BTreeSet<String>) {
    let by = Instant::now() + Duration::from_secs(20 * 60);
    loop {
        let view = app.view();
        if view == *truth && herald.owed().await == 0 {
            return;
        }
        if Instant::now() > by {
            let ghosts: Vec<_> = view.difference(truth).take(20).collect();
            let missed: Vec<_> = truth.difference(&view).take(20).collect();
            panic!("the view stays wrong: online without being there {ghosts:?}, not {missed:?}");
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// What the program holds of the machine.
struct Sample {
    resident: f64,
    file: f64,
    log: f64,
    threads: f64,
    descriptors: f64,
    connections: f64,
    owed: u64,
}

impl Sample {
    async fn take(herald: &Process, folder: &Path) -> Sample {
        let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
        let size =
            |name: &str| std::fs::metadata(folder.join("data").join(name)).map_or(0, |m| m.len());
        let proc = format!("/proc/{}", herald.id());
        let count =
            |what: &str| std::fs::read_dir(format!("{proc}/{what}")).unwrap().count() as f64;
        let connections = herald.metric("herald_connections").await.unwrap_or_default();
        Sample {
            resident: mib(herald.resident_bytes()),
            file: mib(size("herald.db")),
            log: mib(size("herald.db-wal")),
            threads: count("task"),
            // Each connection has one.
            descriptors: count("fd") - connections,
            connections,
            owed: herald.owed().await,
        }
    }
}

/// One of its figures, with its name.
type Figure = (&'static str, fn(&Sample) -> f64);

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "resident {:.1} MiB  file {:.1} MiB  its log {:.1} MiB  threads {}  descriptors {} \
             beside {} connections  owed {}",
            self.resident,
            self.file,
            self.log,
            self.threads,
            self.descriptors,
            self.connections,
            self.owed
        )
    }
}

/// Prints both halves. If the run is judged, fails if the end of the second is well above that of the first.
fn compare(samples: &[Sample], is_judged: bool) {
    let (first, second) = samples.split_at(samples.len() / 2);
    let mut grew = Vec::new();
    let figures: [Figure; 5] = [
        ("resident MiB", |sample| sample.resident),
        ("file MiB", |sample| sample.file),
        ("its log MiB", |sample| sample.log),
        ("threads", |sample| sample.threads),
        ("descriptors without connections", |sample| sample.descriptors),
    ];
    for (what, of) in figures {
        let mean = |half: &[Sample]| {
            let end = &half[half.len() * 3 / 4..];
            end.iter().map(of).sum::<f64>() / end.len() as f64
        };
        let most = |half: &[Sample]| half.iter().map(of).fold(0.0, f64::max);
        let (before, after) = (mean(first), mean(second));
        println!(
            "{what}: mean {before:.1} at the end of the first half and {after:.1} at that of the second; \
             most {:.1} and {:.1}",
            most(first),
            most(second)
        );
        if after > before * GROWTH_MAX {
            grew.push(what);
        }
    }
    assert!(grew.is_empty() || !is_judged, "these grew: {grew:?}");
}

/// Comes and goes until it is over; one in ten holds a connection then.
async fn live(crowd: Arc<Crowd>, n: usize) -> Option<String> {
    let mut sessions = 0;
    rests(&crowd, PAUSE).await;
    loop {
        let user = format!("person-{n}-{}", sessions / SESSIONS_OF_A_NAME);
        let over = crowd.stop.load(Relaxed);
        if over && !n.is_multiple_of(10) {
            return None;
        }
        let Some(mut client) = crowd.login(&user).await else {
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        if over {
            tokio::spawn(async move { while client.hear().await != Heard::Lost {} });
            return Some(user);
        }
        sessions += 1;
        tokio::select! {
            () = rests(&crowd, SESSION) => {}
            // Who reads answers pings.
            () = async { while client.hear().await != Heard::Lost {} } => {}
        }
        crowd.leaves(&user, client).await;
        rests(&crowd, PAUSE).await;
    }
}

/// Up to twice these milliseconds; not long once it is over.
async fn rests(crowd: &Crowd, milliseconds: u64) {
    let by = Instant::now() + Duration::from_millis(crowd.chance(2 * milliseconds));
    while Instant::now() < by && !crowd.stop.load(Relaxed) {
        sleep((by - Instant::now()).min(Duration::from_secs(1))).await;
    }
}

/// An App that fails now and then, and in each cycle is away, hangs, and has a gateway in front of it that
/// refuses everything.
struct FaultyApp {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    began: Instant,
    cycle: Duration,
    well: AtomicBool,
    random: Random,
    requests: AtomicU64,
    taken: AtomicU64,
    online: Mutex<BTreeMap<String, bool>>,
}

impl FaultyApp {
    async fn start(cycle: Duration) -> FaultyApp {
        let shared = Arc::new(Shared {
            began: Instant::now(),
            cycle,
            well: AtomicBool::new(false),
            random: Random::default(),
            requests: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            online: Mutex::default(),
        });
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any_port, Duration::from_secs(60)).await.unwrap();
        let address = listener.address().unwrap();
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        tokio::spawn(listener.serve(router, CancellationToken::new()));
        FaultyApp { address, shared }
    }

    fn url(&self) -> String {
        format!("http://{}/cb", self.address)
    }

    /// Who it holds for online.
    fn view(&self) -> BTreeSet<String> {
        let online = self.shared.online.lock().unwrap();
        online.iter().filter(|(_, online)| **online).map(|(user, _)| user.clone()).collect()
    }
}

async fn take(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.requests.fetch_add(1, Relaxed);
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    match shared.trouble() {
        Some(Trouble::Status(status)) => return answer(status, ""),
        Some(Trouble::Hangs) => std::future::pending().await,
        None => {}
    }
    shared.taken.fetch_add(1, Relaxed);
    shared.apply(&body);
    ok()
}

enum Trouble {
    Status(u16),
    Hangs,
}

impl Shared {
    fn trouble(&self) -> Option<Trouble> {
        if self.well.load(Relaxed) {
            return None;
        }
        let sixtieths = 60.0 * self.began.elapsed().as_secs_f64() / self.cycle.as_secs_f64();
        match (sixtieths as u64 % 60, self.random.below(1_000)) {
            (5 | 50, _) => Some(Trouble::Hangs),
            (9..=10 | 54, _) => Some(Trouble::Status(402)),
            (15..=38, _) => Some(Trouble::Status(503)),
            (_, 0..=29) => Some(Trouble::Status(500)),
            (_, 30..=34) => Some(Trouble::Hangs),
            // Fails at this one for good.
            (_, 35..=37) => Some(Trouble::Status(400)),
            _ => None,
        }
    }

    fn apply(&self, body: &Bytes) {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        let user = body["userID"].as_str().unwrap().to_owned();
        let mut all = self.online.lock().unwrap();
        match body["callbackCommand"].as_str().unwrap() {
            "callbackUserOnlineCommand" => all.insert(user, true),
            "callbackUserOfflineCommand" => all.remove(&user),
            _ => None,
        };
    }
}
