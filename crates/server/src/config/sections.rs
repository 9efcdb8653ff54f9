//! The sections of the configuration and their defaults.
//!
//! What each key means to an operator, and what happens at each limit, is said in `default.toml`.

use super::types::{Backend, Headers, LogFormat, Mode, OnRefusal, Secret, Size, SyncMode};
use contract::Dialect;
use presence::{LoginPolicy, MassLossPolicy, RefusalLimit, Scope};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Everything that can be chosen.
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Config {
    pub gateway: Gateway,
    pub api: Api,
    pub admin: Admin,
    pub auth: Auth,
    pub login: Login,
    pub presence: Presence,
    pub callbacks: Callbacks,
    pub further_endpoints: Vec<FurtherEndpoint>,
    pub outbox: Outbox,
    pub store: Store,
    pub log: Log,
}

/// Where clients connect, and what they may do.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Gateway {
    pub listen: SocketAddr,
    pub connections_max: usize,
    pub frame_bytes_max: Size,
    pub read_timeout: Duration,
    pub ping_interval: Duration,
    pub handshake_timeout: Duration,
    pub outbound_frames_max: usize,
    pub pending_per_address_max: usize,
    pub clients_per_address_max: usize,
    pub trusted_proxies: Vec<String>,
    pub proxy_protocol: bool,
}

impl Default for Gateway {
    fn default() -> Gateway {
        Gateway {
            listen: SocketAddr::from(([0, 0, 0, 0], 10001)),
            connections_max: 100_000,
            frame_bytes_max: Size::kib(50),
            read_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(20),
            handshake_timeout: Duration::from_secs(10),
            outbound_frames_max: 256,
            pending_per_address_max: 512,
            clients_per_address_max: 0,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
        }
    }
}

/// The OpenIM-compatible REST API.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Api {
    pub listen: SocketAddr,
    pub body_bytes_max: Size,
}

impl Default for Api {
    fn default() -> Api {
        Api { listen: SocketAddr::from(([0, 0, 0, 0], 10002)), body_bytes_max: Size::mib(1) }
    }
}

/// The console and the management API.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What opens it; none: one is generated and kept in the store's folder.
    pub token: Option<Secret>,
}

impl Default for Admin {
    fn default() -> Admin {
        Admin { listen: SocketAddr::from(([127, 0, 0, 1], 10003)), token: None }
    }
}

/// Who may come in.
#[derive(Debug, Clone, PartialEq)]
pub struct Auth {
    /// Signs the clients' tokens. Never empty once loaded.
    pub secret: Secret,
    /// The one before: tokens that it signed are still taken.
    pub previous_secret: Option<Secret>,
    /// Users who may do everything.
    pub admin_users: Vec<String>,
    /// How long a token that Herald issues is good.
    pub token_expiry: Duration,
    /// Whether a token is good only if this Herald issued it.
    pub known_tokens_only: bool,
    /// Whether a logout ends its token.
    pub logout_denies_token: bool,
    /// Whether a connection ends with its token.
    pub end_expired: bool,
}

impl Default for Auth {
    fn default() -> Auth {
        Auth {
            secret: Secret::default(),
            previous_secret: None,
            admin_users: vec!["imAdmin".to_owned()],
            token_expiry: days(90),
            known_tokens_only: false,
            logout_denies_token: false,
            end_expired: false,
        }
    }
}

/// What a login does to the user's other connections.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Login {
    pub policy: LoginPolicy,
}

impl Default for Login {
    fn default() -> Login {
        Login { policy: LoginPolicy::SamePlatformKicks }
    }
}

/// When a user counts as online.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Presence {
    pub offline_grace: Duration,
    pub restart_grace: Duration,
    pub virtual_lease: Duration,
    pub user_budget: usize,
    pub refused_for: Duration,
    pub forget_after: Duration,
    pub mass_loss: MassLossPolicy,
}

impl Default for Presence {
    fn default() -> Presence {
        Presence {
            offline_grace: Duration::from_secs(20),
            restart_grace: Duration::from_secs(60),
            virtual_lease: Duration::from_secs(30 * 60),
            user_budget: 30,
            refused_for: Duration::from_secs(60),
            forget_after: days(90),
            mass_loss: MassLossPolicy::default(),
        }
    }
}

/// The name of the endpoint of [`Config::callbacks`].
pub const MAIN: &str = "main";

impl Config {
    /// Every endpoint that is sent to, by name.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, &Callbacks)> {
        let main = self.callbacks.url.is_some().then_some((MAIN, &self.callbacks));
        let further = self.further_endpoints.iter();
        main.into_iter().chain(further.map(|further| (further.name.as_str(), &further.callbacks)))
    }
}

/// How messages call the section of an endpoint's keys.
pub fn section_of(endpoint: &str) -> String {
    match endpoint {
        MAIN => "callbacks".to_owned(),
        name => format!("callbacks.endpoints.{name}"),
    }
}

/// A receiver of callbacks beside that of [`Config::callbacks`].
#[derive(Debug, Clone, PartialEq)]
pub struct FurtherEndpoint {
    /// Never [`MAIN`], and no other's.
    pub name: String,
    /// Its own settings. The URL is never none once loaded.
    pub callbacks: Callbacks,
}

/// What an App is told, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Callbacks {
    /// Where callbacks go; none: nowhere.
    pub url: Option<String>,
    /// Whether only public addresses are connected to.
    pub deny_private: bool,
    /// A PEM file with the certificates to trust for `https`; none: those of the system.
    pub ca: Option<PathBuf>,
    /// A PEM file with our own certificate, for an App that asks for one.
    pub client_cert: Option<PathBuf>,
    /// A PEM file with its private key.
    pub client_key: Option<PathBuf>,
    /// Added to every request.
    pub headers: Headers,
    /// Sent as `Authorization: Bearer …`.
    pub bearer: Option<Secret>,
    /// What requests are signed with, the newest first; none: they are not.
    pub secrets: Vec<Secret>,
    /// Names, address and fields of the callbacks.
    pub dialect: Dialect,
    /// Sent as `sdkName`; `""`: not sent.
    pub sdk_name: String,
    /// Whether the body says more than the contract's fields.
    pub extra_fields: bool,
    /// Whether the body names the address of the client.
    pub client_address: bool,
    /// Requests on their way at the same time.
    pub concurrency_max: usize,
    /// When callbacks that say nothing new are left out; zero: never.
    pub collapse_after: Duration,
    /// Whether the App is told how things are where a callback was given up.
    pub retell: bool,
    /// A user came online.
    pub online: Online,
    /// How much the App may refuse.
    pub refusal: RefusalLimit,
    /// A user left.
    pub offline: Offline,
    /// A client of a user was made to leave.
    pub kick_off: OptionalKind,
    /// Who is online went to the background, or came back.
    pub background: OptionalKind,
}

impl Default for Callbacks {
    fn default() -> Callbacks {
        Callbacks {
            url: None,
            deny_private: false,
            ca: None,
            client_cert: None,
            client_key: None,
            headers: Headers::default(),
            bearer: None,
            secrets: Vec::new(),
            dialect: Dialect::Classic,
            sdk_name: String::new(),
            extra_fields: false,
            client_address: false,
            concurrency_max: 64,
            collapse_after: Duration::from_secs(5 * 60),
            retell: true,
            online: Online::default(),
            refusal: RefusalLimit::default(),
            offline: Offline::default(),
            kick_off: OptionalKind::default(),
            background: OptionalKind::default(),
        }
    }
}

/// The callback of a user who came online.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Online {
    pub enable: bool,
    pub timeout: Duration,
    pub scope: Scope,
    pub mode: Mode,
    pub failed_continue: bool,
    pub gate_waiting_max: usize,
    pub on_refusal: OnRefusal,
}

impl Default for Online {
    fn default() -> Online {
        Online {
            enable: true,
            timeout: Duration::from_secs(5),
            scope: Scope::Connection,
            mode: Mode::Notify,
            failed_continue: true,
            gate_waiting_max: 1_000,
            on_refusal: OnRefusal::Disconnect,
        }
    }
}

/// The callback of a user who left.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Offline {
    pub enable: bool,
    pub timeout: Duration,
    pub scope: Scope,
}

impl Default for Offline {
    fn default() -> Offline {
        Offline { enable: true, timeout: Duration::from_secs(5), scope: Scope::User }
    }
}

/// A kind of callback that has no scope of its own, and is switched off unless somebody asks for it.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct OptionalKind {
    pub enable: bool,
    pub timeout: Duration,
}

impl Default for OptionalKind {
    fn default() -> OptionalKind {
        OptionalKind { enable: false, timeout: Duration::from_secs(5) }
    }
}

/// How long callbacks are kept, of all endpoints. Written in the sections of the callbacks.
#[derive(Debug, Clone, PartialEq)]
pub struct Outbox {
    /// How long a callback is owed.
    pub retention: Duration,
    /// How many callbacks an endpoint may be owed.
    pub owed_max: usize,
    /// Settled callbacks that are kept for people to look at.
    pub history: History,
}

impl Default for Outbox {
    fn default() -> Outbox {
        Outbox { retention: hours(72), owed_max: 10_000_000, history: History::default() }
    }
}

/// How many settled callbacks are kept.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct History {
    pub age: Duration,
    pub bytes: Size,
}

impl Default for History {
    fn default() -> History {
        History { age: hours(24), bytes: Size::gib(1) }
    }
}

/// What is remembered, and where.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Store {
    pub backend: Backend,
    pub path: PathBuf,
    pub sync: SyncMode,
}

impl Default for Store {
    fn default() -> Store {
        Store { backend: Backend::Sqlite, path: PathBuf::from("./data"), sync: SyncMode::Full }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// A level, or levels by module: `info,server::gateway=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Pretty, level: "info".to_owned() }
    }
}

const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 60 * 60)
}

const fn days(count: u64) -> Duration {
    hours(count * 24)
}
