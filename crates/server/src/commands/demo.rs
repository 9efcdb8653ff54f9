//! `herald demo`: the main job with nothing to set up, told as a story.
//!
//! Server, sample App and users are real and speak over loopback; only they live in one process.

use super::{Failure, StopSignals, print};
use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use receiver::{Applied, Event, Kind, Receiver};
use server::{
    app::{self, Faults},
    client::{Client, Identity, http},
    clock::{Clock, SystemClock},
    config::{self, Config, LogFormat, Secret},
    listener::Listener,
    logging,
    running::Running,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;
use wire::{platform::Platform, token::Keys};

const APP_PORT: u16 = 10006;
/// Short, so that a newcomer need not wait; the default is 20 s.
const GRACE: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// End after this long; without it at Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    logging::start(LogFormat::Pretty, "error");
    let mut stop_signals = StopSignals::listen()?;
    let folder = tempfile::Builder::new().prefix("herald-demo-").tempdir()?;
    let stage = Stage::build(folder.path()).await?;
    stage.introduce(arguments.lasts)?;
    let ended = async {
        match arguments.lasts {
            Some(lasts) => sleep(lasts).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        told = stage.tell_stories() => told?,
        () = ended => {}
        () = stop_signals.next() => {}
    }
    stage.sum_up().await
}

/// Everything that takes part.
struct Stage {
    herald: Running,
    app: SocketAddr,
    app_stop: CancellationToken,
    script: Arc<Script>,
}

/// What is printed and counted, by the story and by the App.
struct Script {
    clock: SystemClock,
    began: u64,
    callbacks: AtomicU32,
    refused_by_app: AtomicU32,
    app_is_down: AtomicBool,
}

impl Stage {
    async fn build(folder: &std::path::Path) -> Result<Stage, Failure> {
        let clock = SystemClock::start();
        let script = Arc::new(Script {
            began: clock.now().mono.0,
            clock,
            callbacks: AtomicU32::new(0),
            refused_by_app: AtomicU32::new(0),
            app_is_down: AtomicBool::new(false),
        });
        let address = free(SocketAddr::from(([127, 0, 0, 1], APP_PORT))).await;
        let listener = Listener::bind(address, Duration::from_secs(10)).await?;
        let app = listener.address()?;
        let told = Arc::clone(&script);
        let told = Box::new(move |event: &Event, applied: &Applied| told.app_heard(event, applied));
        let router = app::router(Receiver::new(), Faults::default(), told)
            .layer(from_fn_with_state(Arc::clone(&script), down));
        let app_stop = CancellationToken::new();
        tokio::spawn(listener.serve(router, app_stop.clone()));
        let herald = Running::start(&config(folder, app).await).await?;
        Ok(Stage { herald, app, app_stop, script })
    }

    fn introduce(&self, lasts: Option<Duration>) -> Result<(), Failure> {
        let Running { gateway, api, admin, admin_token, .. } = &self.herald;
        let ends = match lasts {
            Some(lasts) => format!("ends after {}", humantime::format_duration(lasts)),
            None => "ends at Ctrl-C".to_owned(),
        };
        print(&format!(
            "Herald tells your backend who comes online and who leaves.\n\
             This demo runs it with a sample backend (the App) and a few users, and {ends}.\n\n\
             \x20 the App shows who is online   http://{}\n\
             \x20 clients connect to            ws://{gateway}\n\
             \x20 REST for clients and backends http://{api}\n\
             \x20 management API and metrics    http://{admin}/v1/users?state=online\n\
             \x20   (header Authorization: Bearer {admin_token})\n\n\
             At the margin: what the users do.  \"=> App\": the callback as the App receives it.\n\n",
            self.app
        ))
    }

    async fn tell_stories(&self) -> Result<(), Failure> {
        loop {
            self.story().await?;
            sleep(Duration::from_secs(4)).await;
            self.script.say("--- once more ---");
        }
    }

    async fn story(&self) -> Result<(), Failure> {
        let script = &self.script;
        script.say("alice logs in on her phone");
        let alice = self.login("alice", Platform::Ios).await?;
        beat().await;
        script.say("bob opens your web page");
        let bob = self.login("bob", Platform::Web).await?;
        beat().await;
        script.say("alice's line breaks, and her phone redials: no offline, she is told again");
        alice.cut();
        sleep(Duration::from_millis(500)).await;
        let alice = self.login("alice", Platform::Ios).await?;
        beat().await;
        script.say("bob sets himself busy");
        self.set_status("bob", Platform::Web, 1, "busy").await?;
        beat().await;
        script.say("bob opens a second tab and closes it: he stays online");
        self.login("bob", Platform::Web).await?.close().await;
        sleep(GRACE + Duration::from_millis(500)).await;
        script.say("the App goes down; dora logs in meanwhile");
        script.app_is_down.store(true, Relaxed);
        let dora = self.login("dora", Platform::Android).await?;
        sleep(Duration::from_millis(1500)).await;
        script.say("the App is back: what it missed is delivered, nothing is lost");
        script.app_is_down.store(false, Relaxed);
        sleep(Duration::from_secs(3)).await;
        script.say("carol has no connection; a backend sets her online over REST");
        self.set_status("carol", Platform::Web, 1, "online").await?;
        beat().await;
        script.say(&format!(
            "bob closes the page; after {} s without him he is offline",
            GRACE.as_secs()
        ));
        bob.close().await;
        sleep(GRACE + Duration::from_secs(1)).await;
        script.say("carol is taken back, alice and dora log out");
        self.set_status("carol", Platform::Web, 0, "online").await?;
        for (mut client, user) in [(alice, "alice"), (dora, "dora")] {
            let _ = client.request(user, wire::identifier::LOGOUT, "").await;
            client.close().await;
        }
        beat().await;
        Ok(())
    }

    async fn login(&self, user: &str, platform: Platform) -> Result<Client, Failure> {
        let token = self.script.token(user, platform);
        let user = user.to_owned();
        let identity = Identity { user, platform_id: platform.id(), token, background: false };
        Ok(Client::login(self.herald.gateway, &identity).await?)
    }

    async fn set_status(
        &self,
        user: &str,
        platform: Platform,
        status: u8,
        availability: &str,
    ) -> Result<(), Failure> {
        let token = self.script.token(user, platform);
        let headers = [("operationID", "demo"), ("token", token.as_str())];
        let body = serde_json::json!({
            "userID": user, "platformID": platform.id(), "status": status,
            "availability": availability,
        });
        let path = "/user/set_user_status";
        http(self.herald.api, "POST", path, &headers, &body.to_string()).await?;
        Ok(())
    }

    /// Waits until all is told, and compares what the App believes with what is true.
    async fn sum_up(self) -> Result<(), Failure> {
        self.script.app_is_down.store(false, Relaxed);
        let mut views = (vec![], vec![]);
        for _ in 0..80 {
            views = (self.app_view().await?, self.herald.online().await?);
            if views.0 == views.1 && self.herald.owed().await? == 0 {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        let (app, truth) = views;
        let same = if app == truth { "the same" } else { "NOT the same" };
        print(&format!(
            "\n{} callbacks were delivered ({} more were turned away while the App was down).\n\
             Online now: Herald says {truth:?}, the App believes {app:?}: {same}.\n",
            self.script.callbacks.load(Relaxed),
            self.script.refused_by_app.load(Relaxed),
        ))?;
        self.herald.stop().await;
        self.app_stop.cancel();
        if app == truth {
            return print("Next: README.md, \"Run it\": the same two as programs of their own.\n");
        }
        Err(anyhow::anyhow!("the App's view differs from the truth").into())
    }

    async fn app_view(&self) -> Result<Vec<String>, Failure> {
        let (_, body) = http(self.app, "GET", "/online", &[], "").await?;
        let view: serde_json::Value = serde_json::from_str(&body)?;
        let users = view["online"].as_array().into_iter().flatten();
        Ok(users.filter_map(|user| user["userID"].as_str()).map(str::to_owned).collect())
    }
}

impl Script {
    fn say(&self, what: &str) {
        let elapsed = self.clock.now().mono.0 - self.began;
        // The story goes on though nobody hears it.
        let _ = print(&format!("{:5.1}s  {what}\n", elapsed as f64 / 1000.0));
    }

    fn app_heard(&self, event: &Event, applied: &Applied) {
        self.callbacks.fetch_add(1, Relaxed);
        let what = match event.kind {
            Kind::Online => "is online",
            Kind::Offline => "is offline",
            Kind::KickOff => "was kicked",
            Kind::Background if event.is_app_background => "is in the background",
            Kind::Background => "is in front again",
        };
        let news = match applied {
            Applied::Changed => "",
            _ => " (as the App knew)",
        };
        let Event { user_id, seq, conn_id, .. } = event;
        let conn = if conn_id.is_empty() { "none" } else { conn_id };
        self.say(&format!("    => App: {user_id} {what}{news}   seq {seq}  connID {conn}"));
    }

    fn token(&self, user: &str, platform: Platform) -> String {
        // The same each time, as a client keeps it: another one would kick the first.
        let now_s = (self.began / 1000) as i64;
        Keys::new(config::DEV_SECRET.as_bytes()).issue(user, platform, now_s, 3600)
    }
}

async fn down(State(script): State<Arc<Script>>, request: Request, next: Next) -> Response {
    if script.app_is_down.load(Relaxed) && request.method() == http::Method::POST {
        script.refused_by_app.fetch_add(1, Relaxed);
        script.say("    => App: answers 503, it is down");
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    next.run(request).await
}

async fn config(folder: &std::path::Path, app: SocketAddr) -> Config {
    let mut config = Config::default();
    config.store.path = folder.to_owned();
    config.auth.secret = Secret::new(config::DEV_SECRET);
    config.presence.offline_grace = GRACE;
    config.callbacks.url = Some(format!("http://{app}/callback"));
    let listens = [&mut config.gateway.listen, &mut config.api.listen, &mut config.admin.listen];
    for listen in listens {
        *listen = free(SocketAddr::from(([127, 0, 0, 1], listen.port()))).await;
    }
    config
}

/// The address if it can be bound, else any free port.
async fn free(address: SocketAddr) -> SocketAddr {
    match TcpListener::bind(address).await {
        Ok(_) => address,
        Err(_) => SocketAddr::new(address.ip(), 0),
    }
}

async fn beat() {
    sleep(Duration::from_millis(800)).await;
}
