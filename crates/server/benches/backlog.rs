//! An App that was away for ten hours: what a long backlog costs, how soon it is sent, and whether
//! what happens meanwhile waits behind it. `cargo xtask backlog` runs it, with a million callbacks.
//!
//! The store, the driver, the dispatcher and HTTP are real; only the ten hours are not waited for.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a stopwatch is what this is")]

use axum::{Router, extract::State, http::StatusCode};
use presence::{
    ConnId, End, Event, Interest, Login, Now, Platform, Policy, RefusalLimit, Scope, Timestamp,
    TokenHash, UserId,
};
use server::{
    callbacks::{
        Dispatcher, Endpoint, EndpointSettings, Timeouts,
        http::{HttpSender, HttpSettings},
    },
    clock::{Clock, SystemClock},
    config::OnRefusal,
    driver::{Driver, Sockets},
    entropy::OperatingSystem,
    listener::Listener,
    metrics::Metrics,
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use store::{EndpointName, Sqlite, Store, Sync};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Each user comes and goes that often.
const ROUNDS: usize = 10;
const AWAY: Duration = Duration::from_secs(10 * 3600);
const AT_ONCE: usize = 512;
/// Users who come online while the backlog is sent.
const LIVE_PER_SECOND: u64 = 50;

fn main() {
    let wanted = std::env::var("BACKLOG").ok().and_then(|count| count.parse().ok());
    let users = wanted.unwrap_or(1_000_000_usize).div_ceil(ROUNDS);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    for collapse_after in [Some(Duration::from_secs(300)), None] {
        runtime.block_on(outage(users, collapse_after));
    }
}

async fn outage(users: usize, collapse_after: Option<Duration>) {
    let world = World::start(collapse_after).await;
    let empty = resident_bytes();
    let began = Instant::now();
    for round in 0..ROUNDS {
        world.clock.ahead.fetch_add((AWAY / ROUNDS as u32).as_millis() as u64, Relaxed);
        world.round(users, round).await;
    }
    let filled = began.elapsed();
    let owed = world.owed().await;
    let switch = if collapse_after.is_some() { "on, as by default" } else { "off" };
    println!("collapse {switch}");
    println!("  {owed} callbacks owed after {} h, queued in {:.0} s", 10, filled.as_secs_f64());
    let memory = resident_bytes().saturating_sub(empty);
    println!("  memory: {} MiB, {} bytes for each", memory >> 20, memory / owed.max(1));
    println!("  disk: {} MiB, {} bytes for each", world.disk() >> 20, world.disk() / owed.max(1));

    let live = world.come_back(users).await;
    let app = &world.app;
    let (first, second) = (app.first.lock().unwrap().unwrap(), app.second.lock().unwrap().unwrap());
    let took = first.elapsed().as_secs_f64();
    let sent = app.taken.load(Relaxed);
    println!("  from the first answered probe to the next request: {:?}", second - first);
    println!("  drained in {took:.0} s: {sent} requests, {:.0} per second", sent as f64 / took);
    println!(
        "  {} logins meanwhile, from the commit to the App: p50 {:?}, p99 {:?}, longest {:?}",
        live.len(),
        live[live.len() / 2],
        live[live.len() * 99 / 100],
        live[live.len() - 1]
    );
    world.stop().await;
}

/// Time that can be moved on.
struct MovedClock {
    real: SystemClock,
    ahead: AtomicU64,
}

impl Clock for MovedClock {
    fn now(&self) -> Now {
        let (now, ahead) = (self.real.now(), self.ahead.load(Relaxed));
        let mono = now.mono + Duration::from_millis(ahead);
        Now { mono, wall: Timestamp(now.wall.0 + ahead) }
    }
}

/// Nobody is connected for real.
struct NoSockets;

impl Sockets for NoSockets {
    fn kick(&self, _: ConnId) {}
    fn tell_watchers(&self, _: &UserId, _: presence::Sight, _: presence::Sight) {}
}

#[derive(Default)]
struct App {
    is_back: AtomicBool,
    taken: AtomicUsize,
    /// When the first was answered well, and when the one after it came.
    first: Mutex<Option<Instant>>,
    second: Mutex<Option<Instant>>,
    /// When it was told of those who came while it drained.
    live: Mutex<HashMap<String, Instant>>,
}

async fn take(State(app): State<Arc<App>>, body: String) -> (StatusCode, &'static str) {
    if !app.is_back.load(Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "");
    }
    let now = Instant::now();
    match app.taken.fetch_add(1, Relaxed) {
        0 => *app.first.lock().unwrap() = Some(now),
        1 => *app.second.lock().unwrap() = Some(now),
        _ => {}
    }
    if let Some(user) = body.strip_prefix(r#"{"userID":"live-"#) {
        let user = user.split('"').next().unwrap().to_owned();
        app.live.lock().unwrap().insert(user, now);
    }
    (StatusCode::OK, "{}")
}

struct World {
    clock: Arc<MovedClock>,
    store: Arc<dyn Store>,
    driver: Arc<Driver>,
    endpoint: Arc<Endpoint>,
    app: Arc<App>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    folder: tempfile::TempDir,
}

impl World {
    async fn start(collapse_after: Option<Duration>) -> World {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (app, stop, mut tasks) =
            (Arc::new(App::default()), CancellationToken::new(), JoinSet::new());
        let any_port = ([127, 0, 0, 1], 0).into();
        let listener = Listener::bind(any_port, Duration::from_secs(10)).await.unwrap();
        let url = format!("http://{}/", listener.address().unwrap());
        let router = Router::new().fallback(take).with_state(Arc::clone(&app));
        tasks.spawn(listener.serve(router, stop.clone()));

        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder.path(), Sync::Full).unwrap());
        let clock = Arc::new(MovedClock { real: SystemClock::start(), ahead: AtomicU64::new(0) });
        let endpoint = Arc::new(Endpoint::new(settings(url, collapse_after)));
        let metrics = Arc::new(Metrics::default());
        let driver = Arc::new(Driver::new(
            Arc::clone(&store),
            clock.clone(),
            Arc::new(OperatingSystem),
            Policy { user_budget: 0, ..Policy::default() },
            vec![Arc::clone(&endpoint)],
            Arc::new(NoSockets),
            Arc::clone(&metrics),
        ));
        let http = HttpSettings::default();
        let dispatcher = Dispatcher {
            store: Arc::clone(&store),
            driver: Arc::clone(&driver),
            endpoint: Arc::clone(&endpoint),
            sender: Arc::new(HttpSender::new(&endpoint, &http, clock.clone()).unwrap()),
            clock: clock.clone(),
            entropy: Arc::new(OperatingSystem),
            metrics,
        };
        tasks.spawn(dispatcher.run(stop.clone()));
        World { clock, store, driver, endpoint, app, stop, tasks, folder }
    }

    /// Everybody comes, or goes.
    async fn round(&self, users: usize, round: usize) {
        let mut running = JoinSet::new();
        for n in 0..users {
            if running.len() >= AT_ONCE {
                running.join_next().await.unwrap().unwrap();
            }
            let conn = conn(n, round / 2);
            let event = match round % 2 {
                0 => come(conn),
                _ => Event::Disconnected { conn, end: End::LoggedOut },
            };
            let driver = Arc::clone(&self.driver);
            running.spawn(async move {
                driver.handle(&UserId::new(format!("user-{n}")), event, None).await.unwrap();
            });
        }
        running.join_all().await;
    }

    async fn owed(&self) -> u64 {
        self.store.backlog(&self.endpoint.settings.name).await.unwrap().owed
    }

    /// The App answers again, and people come online while it is told. Returns how long each of
    /// them took to reach it, the shortest first.
    async fn come_back(&self, users: usize) -> Vec<Duration> {
        self.app.is_back.store(true, Relaxed);
        let mut committed = Vec::new();
        let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 / LIVE_PER_SECOND));
        // The endpoint may be waiting for up to half a minute: nothing is told before the probe.
        while self.app.taken.load(Relaxed) == 0 {
            pace.tick().await;
        }
        while self.owed().await > 0 {
            pace.tick().await;
            let n = committed.len();
            let user = UserId::new(format!("live-{n}"));
            self.driver.handle(&user, come(conn(users + n, 0)), None).await.unwrap();
            committed.push(Instant::now());
            // The last of them would keep it from ever being done.
            if self.owed().await <= 2 * LIVE_PER_SECOND {
                break;
            }
        }
        while self.owed().await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let heard = self.app.live.lock().unwrap();
        let waits = committed.iter().enumerate();
        let mut waits: Vec<_> =
            waits.map(|(n, at)| heard[&n.to_string()].saturating_duration_since(*at)).collect();
        waits.sort_unstable();
        waits
    }

    /// What the store's files take.
    fn disk(&self) -> u64 {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

fn settings(url: String, collapse_after: Option<Duration>) -> EndpointSettings {
    let timeout = Duration::from_secs(5);
    EndpointSettings {
        name: EndpointName::new("main"),
        target: contract::Target {
            url,
            sdk_name: String::new(),
            extra_fields: false,
            client_address: false,
        },
        dialect: contract::Dialect::Classic,
        interest: Interest {
            online: Some(Scope::Connection),
            offline: Some(Scope::User),
            kick_off: false,
            background: false,
        },
        timeouts: Timeouts::all(timeout),
        on_refusal: OnRefusal::Disconnect,
        gate: None,
        refusal_limit: RefusalLimit { share_max: 1.0, window: timeout },
        secrets: Vec::new(),
        concurrency_max: 64,
        retell: true,
        collapse_after,
    }
}

fn come(conn: ConnId) -> Event {
    let token = TokenHash(conn.0);
    let issued_at = Timestamp(1);
    Event::Connected(Login {
        conn,
        platform: Platform::Ios,
        token,
        issued_at,
        background: false,
        address: None,
    })
}

fn conn(user: usize, round: usize) -> ConnId {
    ConnId(((user as u128) << 64 | round as u128 | 1 << 127).to_be_bytes())
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}
