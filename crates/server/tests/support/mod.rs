//! A running Herald, an App that records and misbehaves, and clients, for the tests of the whole.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]
#![allow(clippy::unwrap_used)]

pub mod crowd;
pub mod faulty;
pub mod file;
pub mod places;
pub mod process;
pub mod spawned;
pub mod tls;
pub mod tried;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use server::{
    client::{Client, Identity, LoginError, http},
    config::{Config, Secret},
    listener::Listener,
    running::Running,
};
use std::{
    future::Future,
    net::SocketAddr,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use wire::{platform::Platform, token::Keys};

pub const SECRET: &str = "a-secret-for-tests";
/// How long a test waits for what must come. Generous: only a failing test takes it.
/// The contract's own promise for an App that returns is 60 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server with its folder.
pub struct Herald {
    pub running: Running,
    pub config: Config,
    folder: Arc<tempfile::TempDir>,
}

impl Herald {
    pub async fn start(change: impl FnOnce(&mut Config)) -> Herald {
        Herald::start_in(Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    async fn start_in(folder: Arc<tempfile::TempDir>, change: impl FnOnce(&mut Config)) -> Herald {
        let mut config = config(folder.path());
        change(&mut config);
        let running = Running::start(&config).await.unwrap();
        Herald { running, config, folder }
    }

    /// On a store of the test's own.
    pub async fn start_on(
        store: Arc<dyn store::Store>,
        change: impl FnOnce(&mut Config),
    ) -> Herald {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let mut config = config(folder.path());
        change(&mut config);
        let running = Running::start_with(&config, |_| Ok(store)).await.unwrap();
        Herald { running, config, folder }
    }

    /// Stops it and starts it again on the same folder.
    pub async fn restart(self) -> Herald {
        self.restart_with(|_| ()).await
    }

    /// The same under other settings.
    pub async fn restart_with(self, change: impl FnOnce(&mut Config)) -> Herald {
        let Herald { running, mut config, folder } = self;
        running.stop().await;
        change(&mut config);
        Herald::start_in(folder, |new| *new = config).await
    }

    pub async fn login(&self, user: &str, platform: Platform) -> Client {
        self.try_login(&identity(user, platform)).await.unwrap()
    }

    pub async fn try_login(&self, identity: &Identity) -> Result<Client, LoginError> {
        Client::login(self.running.gateway, identity).await
    }

    /// One call of the REST API; the answer's envelope.
    pub async fn rest(
        &self,
        path: &str,
        token: &str,
        body: serde_json::Value,
    ) -> serde_json::Value {
        let headers = [("operationID", "op-rest"), ("token", token)];
        let body = body.to_string();
        let answer = http(self.running.api, "POST", path, &headers, &body).await.unwrap();
        assert_eq!(answer.0, 200, "{answer:?}");
        serde_json::from_str(&answer.1).unwrap_or_else(|_| panic!("{answer:?}"))
    }

    pub async fn set_status(&self, user: &str, platform: Platform, status: serde_json::Value) {
        let mut body = serde_json::json!({ "userID": user, "platformID": platform.id() });
        body.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
        let answer = self.rest("/user/set_user_status", &token(user, platform), body).await;
        assert_eq!(answer["errCode"], 0, "{answer}");
    }

    /// One call of the management API: status and JSON.
    pub async fn admin(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let authorization = format!("Bearer {}", self.running.admin_token);
        let headers = [("Authorization", authorization.as_str())];
        let (status, body) = http(self.running.admin, method, path, &headers, body).await.unwrap();
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// One `POST` of bytes to the management API: status and JSON.
    pub async fn tell_admin(&self, path: &str, body: &[u8]) -> (u16, serde_json::Value) {
        let (status, body) = ask_admin(&self.door(), "POST", path, body).await;
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// Where its management API is, and with which token.
    pub fn door(&self) -> Door {
        (self.running.admin, self.running.admin_token.clone())
    }

    /// Waits for the first attempt of the user's newest callback, which failed; its words.
    pub async fn failure_of(&self, user: &str) -> String {
        let path = format!("/v1/callbacks?user={user}");
        let error = async || {
            let (_, page) = self.admin("GET", &path, "").await;
            page["callbacks"][0]["attempts"][0]["error"].as_str().map(str::to_owned)
        };
        eventually("a failed attempt is recorded", || async { error().await.is_some() }).await;
        error().await.unwrap()
    }

    /// What an open address of the management port says.
    pub async fn admin_text(&self, path: &str) -> String {
        http(self.running.admin, "GET", path, &[], "").await.unwrap().1
    }

    pub async fn metric(&self, line: &str) -> f64 {
        let text = self.admin_text("/metrics").await;
        let found = text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no metric {line} in:\n{text}"))
    }

    /// Waits until nothing is owed any more.
    pub async fn all_told(&self) {
        eventually("nothing is owed", || async { self.running.owed().await.unwrap() == 0 }).await;
    }
}

pub type Door = (SocketAddr, String);

pub async fn ask_admin(door: &Door, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Length: {}\r\n\r\n",
        door.1,
        body.len()
    );
    let mut line = tokio::net::TcpStream::connect(door.0).await.unwrap();
    line.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut answer = Vec::new();
    line.read_to_end(&mut answer).await.unwrap();
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer.split_off(at + 4))
}

/// Short graces, free ports, a folder of its own.
pub fn config(folder: &Path) -> Config {
    let mut config = Config::default();
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    config.gateway.listen = any_port;
    config.api.listen = any_port;
    config.admin.listen = any_port;
    config.auth.secret = Secret::new(SECRET);
    config.store.path = folder.to_owned();
    // Each login of a test brings a new token, which is another device to a policy.
    config.login.policy = presence::LoginPolicy::None;
    // Users of tests come and go without end.
    config.presence.user_budget = 0;
    config.presence.offline_grace = Duration::from_millis(400);
    config.presence.restart_grace = Duration::from_secs(4);
    config
}

pub fn token(user: &str, platform: Platform) -> String {
    Keys::new(SECRET.as_bytes()).issue(user, platform, now_s(), 3600)
}

pub fn identity(user: &str, platform: Platform) -> Identity {
    let token = token(user, platform);
    Identity { user: user.to_owned(), platform_id: platform.id(), token, background: false }
}

pub fn now_s() -> i64 {
    use server::clock::{Clock, SystemClock};
    (SystemClock::start().now().wall.0 / 1000) as i64
}

/// Waits for something that must come; panics when it does not.
pub async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

/// One request as the App received it.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
    /// The HTTP status that the App answered with, once it did.
    pub answered: Option<u16>,
}

impl Received {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether the App took it.
    pub fn taken(&self) -> bool {
        self.answered == Some(200)
    }

    /// `online u1`, `offline u1`, `kick_off u1` or `background u1`.
    pub fn what(&self) -> String {
        let body = self.json();
        let kind = match body["callbackCommand"].as_str().unwrap() {
            "callbackUserOnlineCommand" => "online",
            "callbackUserOfflineCommand" => "offline",
            "callbackUserKickOffCommand" => "kick_off",
            "callbackUserBackgroundCommand" => "background",
            other => panic!("unknown command {other}"),
        };
        format!("{kind} {}", body["userID"].as_str().unwrap())
    }
}

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;
type Script = Arc<dyn Fn(&Received, usize) -> Answer + Send + Sync>;

/// An App that records what it is told and answers by a script.
#[derive(Clone)]
pub struct App {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    script: Mutex<Script>,
    stop: CancellationToken,
}

impl App {
    /// Takes everything.
    pub async fn start() -> App {
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            script: Mutex::new(Arc::new(|_, _| Box::pin(async { ok() }))),
            stop: CancellationToken::new(),
        });
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any_port, PATIENCE).await.unwrap();
        let address = listener.address().unwrap();
        let router = router(Arc::clone(&shared));
        tokio::spawn(listener.serve(router, shared.stop.clone()));
        App { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}/cb", self.address)
    }

    /// From now on answers by this script; it is given the request and how many came before.
    pub fn answer<F: Future<Output = Response> + Send + 'static>(
        &self,
        script: impl Fn(&Received, usize) -> F + Send + Sync + 'static,
    ) {
        let script: Script = Arc::new(move |received, before| Box::pin(script(received, before)));
        *self.shared.script.lock().unwrap() = script;
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    pub fn heard(&self) -> Vec<String> {
        self.received().iter().map(Received::what).collect()
    }

    pub fn heard_of(&self, user: &str) -> Vec<String> {
        let heard = self.heard().into_iter();
        heard.filter(|what| what.ends_with(&format!(" {user}"))).collect()
    }

    /// Waits until it has heard exactly this, of each user in this order. Users do not wait for one
    /// another.
    pub async fn hears(&self, expected: &[&str]) -> Vec<Received> {
        let what = format!("the App hears {expected:?}");
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.heard().len() < expected.len() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(waited.await.is_ok(), "never happened: {what}; heard {:?}", self.heard());
        let by_user = |mut all: Vec<String>| {
            all.sort_by_key(|what| what.split(' ').next_back().map(str::to_owned));
            all
        };
        let expected = expected.iter().map(|what| (*what).to_owned()).collect();
        assert_eq!(by_user(self.heard()), by_user(expected));
        self.received()
    }

    pub fn stop(&self) {
        self.shared.stop.cancel();
    }
}

pub fn router_of(app: &App) -> Router {
    router(Arc::clone(&app.shared))
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(take).with_state(shared)
}

async fn take(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let received = Received {
        method: head.method.to_string(),
        target: head.uri.path_and_query().unwrap().to_string(),
        headers: head.headers,
        body,
        answered: None,
    };
    let before = {
        let mut all = shared.received.lock().unwrap();
        all.push(received.clone());
        all.len() - 1
    };
    let script = shared.script.lock().unwrap().clone();
    let response = script(&received, before).await;
    shared.received.lock().unwrap()[before].answered = Some(response.status().as_u16());
    response
}

pub fn ok() -> Response {
    answer(200, r#"{"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":""}"#)
}

pub fn answer(status: u16, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}
