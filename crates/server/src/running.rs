//! Builds the whole server from its configuration, and takes it down again.

mod told_of;
mod upkeep;

use crate::{
    admin::{self, Admin},
    api::{self, Api, ApiSettings},
    bodies::Bodies,
    callbacks::{
        Dispatcher, Endpoint,
        http::{HttpSender, SenderError},
    },
    clock::{Clock, RunningClock},
    config::{Backend, Config, Secret, SyncMode, secret_file},
    driver::Driver,
    endpoints,
    entropy::{self, OperatingSystem},
    files::{self, Places, TooFew, Wanted},
    gateway::{self, Gateway, GatewaySettings, Registry},
    guesses::Guesses,
    listener::{Listener, PeerRules},
    metrics::Metrics,
    peer::{Network, Proxies},
    readiness::Readiness,
    supervision::{CoreLoops, LoopEnded},
    tokens::Tokens,
};
use axum::{Router, routing::any};
use presence::{Instant, Policy};
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use store::{Memory, OpenError, Sqlite, Store, StoreError, UserQuery};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;
use upkeep::{prune, until_ended, watch_store};

/// Clients are told to go over this long, so that they do not all redial at once.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long they may take to go.
const FAREWELL_MAX: Duration = Duration::from_secs(5);
/// How long the rest may take to finish.
const FINISH_MAX: Duration = Duration::from_secs(12);
/// How long the store may take to write what is left.
const CLOSE_MAX: Duration = Duration::from_secs(10);
const TOKEN_FILE: &str = "admin-token";
/// As for `admin.token`.
const TOKEN_CHARS_MIN: usize = 16;

/// A server at work.
pub struct Running {
    /// Where clients connect.
    pub gateway: SocketAddr,
    /// Where REST is served.
    pub api: SocketAddr,
    /// Where operators look.
    pub admin: SocketAddr,
    /// The bearer token of the management API.
    pub admin_token: String,
    store: Arc<dyn Store>,
    endpoints: Vec<Arc<Endpoint>>,
    registry: Arc<Registry>,
    readiness: Arc<Readiness>,
    loops: Arc<CoreLoops>,
    /// Ends what lets people in.
    doors: CancellationToken,
    /// Ends everything else.
    work: CancellationToken,
    at_doors: JoinSet<()>,
    at_work: JoinSet<()>,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program listens there, or the address is not this machine's.
    #[error("cannot listen on {address} ({key}); free it, or set {key} to another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The key that sets it.
        key: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The folder or file of the store cannot be used.
    #[error("cannot open the store")]
    Store(#[from] OpenError),
    /// The connections of the process before this one could not be taken over.
    #[error("cannot take over what the store holds")]
    Recover(#[source] StoreError),
    /// The file of the admin token cannot be used.
    #[error("cannot use the file {0}")]
    Token(PathBuf, #[source] io::Error),
    /// The process may have too few files.
    #[error("too few files")]
    Files(#[from] TooFew),
    /// An endpoint cannot be sent to.
    #[error("cannot set up the endpoint of {section}")]
    Sender {
        /// Where it is configured.
        section: String,
        /// What is wrong there.
        source: SenderError,
    },
}

/// The three ports, bound and not yet served.
struct Ports {
    gateway: Listener,
    api: Listener,
    admin: Listener,
}

/// What all rooms share.
struct Parts {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    places: Places,
    readiness: Arc<Readiness>,
    loops: Arc<CoreLoops>,
    registry: Arc<Registry>,
    endpoints: Vec<Arc<Endpoint>>,
    driver: Arc<Driver>,
    tokens: Arc<Tokens>,
}

impl Running {
    /// Starts everything: ports are bound and what the last process left is taken over before
    /// anybody is let in.
    pub async fn start(config: &Config) -> Result<Running, StartError> {
        Running::start_with(config, open_store).await
    }

    /// The same on a store that somebody else opens.
    pub async fn start_with(
        config: &Config,
        open: impl FnOnce(&Config) -> Result<Arc<dyn Store>, OpenError>,
    ) -> Result<Running, StartError> {
        // A second start in one process finds it installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let connections = config.gateway.connections_max;
        let callbacks = endpoints::callbacks_wanted(config);
        let places = files::share(Wanted { connections, callbacks })?;
        let ports = Ports::bind(config, &places).await?;
        let parts = Parts::build(config, places, open(config)?);
        let senders = endpoints::senders(config, &parts.endpoints, &parts.clock)?;
        // Whatever is given from now on is above it.
        let highest = parts.store.highest_seq().await.map_err(StartError::Recover)?;
        let recovered = parts.driver.recover().await.map_err(StartError::Recover)?;
        tracing::info!(users = recovered, "took over who was online");
        let epoch = parts.epoch().await.map_err(StartError::Recover)?;
        parts.note_what_is_told(highest).await.map_err(StartError::Recover)?;
        parts.note_who_is_gone(highest).await.map_err(StartError::Recover)?;
        let admin_token = admin_token(config)?;
        let (doors, work) = (CancellationToken::new(), CancellationToken::new());
        let mut running = Running {
            gateway: address(&ports.gateway, config.gateway.listen),
            api: address(&ports.api, config.api.listen),
            admin: address(&ports.admin, config.admin.listen),
            admin_token,
            store: Arc::clone(&parts.store),
            endpoints: parts.endpoints.clone(),
            registry: Arc::clone(&parts.registry),
            readiness: Arc::clone(&parts.readiness),
            loops: Arc::clone(&parts.loops),
            doors,
            work,
            at_doors: JoinSet::new(),
            at_work: JoinSet::new(),
        };
        running.open_doors(config, &parts, ports, epoch);
        running.put_to_work(config, parts, senders);
        Ok(running)
    }

    fn open_doors(&mut self, config: &Config, parts: &Parts, ports: Ports, epoch: String) {
        let gateway = Arc::new(parts.gateway(config));
        let clients = Router::new().fallback(any(gateway::upgrade)).with_state(gateway);
        let rest = api::router(Arc::new(parts.api(config)), clients.clone());
        let admin = admin::router(Arc::new(parts.admin(self.admin_token.clone(), epoch)));
        let (doors, work) = (&self.doors, &self.work);
        let serve = [
            ("port gateway.listen", ports.gateway.serve(clients, doors.clone())),
            ("port api.listen", ports.api.serve(rest, doors.clone())),
        ];
        for (name, serve) in serve {
            self.at_doors.spawn(self.loops.supervise(name, doors.clone(), serve));
        }
        let serve = ports.admin.serve(admin, work.clone());
        self.at_work.spawn(self.loops.supervise("port admin.listen", work.clone(), serve));
    }

    fn put_to_work(&mut self, config: &Config, parts: Parts, senders: Vec<HttpSender>) {
        let stop = self.work.clone();
        self.work_at("deadlines", Arc::clone(&parts.driver).run(stop.clone()));
        for (endpoint, sender) in parts.endpoints.iter().zip(senders) {
            let dispatcher = Dispatcher {
                store: Arc::clone(&parts.store),
                driver: Arc::clone(&parts.driver),
                endpoint: Arc::clone(endpoint),
                sender: Arc::new(sender),
                clock: Arc::clone(&parts.clock),
                entropy: Arc::new(OperatingSystem),
                metrics: Arc::clone(&parts.metrics),
            };
            let name = format!("callbacks of {}", endpoint.settings.name);
            self.work_at(&name, dispatcher.run(stop.clone()));
        }
        let (store, readiness) = (Arc::clone(&parts.store), Arc::clone(&parts.readiness));
        let (driver, clock) = (Arc::clone(&parts.driver), Arc::clone(&parts.clock));
        let watch = watch_store(store, driver, clock, readiness, stop.clone());
        self.work_at("watch of the store", watch);
        self.work_at("writer of the store", until_ended(Arc::clone(&parts.store), stop.clone()));
        self.work_at("prune", prune(config.clone(), parts, stop));
    }

    fn work_at(&mut self, name: &str, core_loop: impl Future<Output = ()> + Send + 'static) {
        self.at_work.spawn(self.loops.supervise(name, self.work.clone(), core_loop));
    }

    /// What it cannot do without.
    pub fn loops(&self) -> Arc<CoreLoops> {
        Arc::clone(&self.loops)
    }

    /// Waits until something ends that the server cannot do without; then it must be stopped.
    pub async fn broken(&self) -> LoopEnded {
        self.loops.wait().await
    }

    /// The names of the users who are online; the first thousand.
    pub async fn online(&self) -> Result<Vec<String>, StoreError> {
        let query = UserQuery { online_only: true, after: None, limit: 1_000 };
        let users = self.store.users(query).await?;
        Ok(users.into_iter().map(|(user, _)| user.to_string()).collect())
    }

    /// How many callbacks are owed to all endpoints together.
    pub async fn owed(&self) -> Result<u64, StoreError> {
        let mut owed = 0;
        for endpoint in &self.endpoints {
            owed += self.store.backlog(&endpoint.settings.name).await?.owed;
        }
        Ok(owed)
    }

    /// Lets nobody in any more, tells clients to come back later, finishes what is under way.
    pub async fn stop(mut self) {
        self.readiness.stopping();
        self.doors.cancel();
        self.registry.close_all(FAREWELL).await;
        let gone = async {
            while self.registry.open() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL_MAX, gone).await;
        self.work.cancel();
        let finished = async {
            while self.at_doors.join_next().await.is_some() {}
            while self.at_work.join_next().await.is_some() {}
        };
        if tokio::time::timeout(FINISH_MAX, finished).await.is_err() {
            tracing::warn!(
                "what is still in flight is left; it is sent again after the next start"
            );
        }
        match tokio::time::timeout(CLOSE_MAX, self.store.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the store could not be closed well"),
            Err(_) => tracing::error!("the store does not answer, so it is left as it is"),
        }
    }
}

impl Ports {
    async fn bind(config: &Config, places: &Places) -> Result<Ports, StartError> {
        let trusted = config.gateway.trusted_proxies.iter().flat_map(|network| network.parse());
        let trusted: Vec<Network> = trusted.collect();
        let from = |speak_proxy_protocol, pending_max| PeerRules {
            proxies: Proxies { trusted: trusted.clone(), speak_proxy_protocol },
            pending_max,
        };
        let clients = from(config.gateway.proxy_protocol, config.gateway.pending_per_address_max);
        // The management API is not for others: who may connect to it is the operator's choice.
        let operators = from(false, usize::MAX);
        let bind = async |address, key, connections_max, from: &PeerRules| {
            let bound = Listener::bind(address, config.gateway.handshake_timeout).await;
            let bound = bound.map_err(|source| StartError::Listen { address, key, source })?;
            Ok::<_, StartError>(bound.connections_max(connections_max).addresses(from.clone()))
        };
        Ok(Ports {
            gateway: bind(config.gateway.listen, "gateway.listen", places.gateway, &clients)
                .await?,
            api: bind(config.api.listen, "api.listen", places.api, &clients).await?,
            admin: bind(config.admin.listen, "admin.listen", places.admin, &operators).await?,
        })
    }
}

impl Parts {
    fn build(config: &Config, places: Places, store: Arc<dyn Store>) -> Parts {
        let clock: Arc<dyn Clock> = Arc::new(RunningClock::start());
        let metrics = Arc::new(Metrics::default());
        metrics.connections_max.set(places.connections as i64);
        let registry = Arc::new(Registry::new(Arc::clone(&metrics)));
        let endpoints = endpoints::endpoints(config, &places);
        let policy = Policy {
            offline_grace: config.presence.offline_grace,
            restart_grace: config.presence.restart_grace,
            virtual_lease: config.presence.virtual_lease,
            login: config.login.policy,
            known_tokens_only: config.auth.known_tokens_only,
            logout_denies_token: config.auth.logout_denies_token,
            refused_for: config.presence.refused_for,
            user_budget: config.presence.user_budget as u32,
            tells_background: endpoints.iter().any(|e| e.settings.interest.background),
            mass_loss: config.presence.mass_loss,
            held_until: Instant(0),
            wall_ahead: Duration::ZERO,
        };
        let driver = Arc::new(Driver::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::new(OperatingSystem),
            policy,
            endpoints.clone(),
            registry.clone(),
            Arc::clone(&metrics),
        ));
        let secrets = std::iter::once(&config.auth.secret).chain(&config.auth.previous_secret);
        let secrets: Vec<&str> = secrets.map(Secret::expose).collect();
        let tokens = Arc::new(Tokens::new(
            &secrets,
            config.auth.token_expiry,
            Arc::clone(&store),
            Arc::clone(&driver),
            Arc::clone(&clock),
            policy,
        ));
        let (readiness, loops) = Default::default();
        Parts {
            store,
            clock,
            metrics,
            places,
            readiness,
            loops,
            registry,
            endpoints,
            driver,
            tokens,
        }
    }

    /// The store's, which all endpoints are told.
    async fn epoch(&self) -> Result<String, StoreError> {
        let epoch = self.store.epoch(&entropy::epoch()).await?;
        self.endpoints.iter().for_each(|endpoint| endpoint.set_epoch(&epoch));
        Ok(epoch)
    }

    fn gateway(&self, config: &Config) -> Gateway {
        let settings = GatewaySettings {
            connections_max: self.places.connections,
            text_refusals_max: self.places.text_refusals,
            frame_bytes_max: config.gateway.frame_bytes_max.0,
            outbound_frames_max: config.gateway.outbound_frames_max,
            clients_per_address_max: config.gateway.clients_per_address_max,
            keeps_addresses: config.endpoints().any(|(_, callbacks)| callbacks.client_address),
            end_expired: config.auth.end_expired,
            read_timeout: config.gateway.read_timeout,
            ping_interval: config.gateway.ping_interval,
            handshake_timeout: config.gateway.handshake_timeout,
        };
        Gateway::new(
            Arc::clone(&self.driver),
            Arc::clone(&self.store),
            Arc::clone(&self.registry),
            Arc::clone(&self.tokens),
            Arc::clone(&self.clock),
            Arc::clone(&self.metrics),
            settings,
        )
    }

    /// Each door has its own: whoever guesses at the one locks nobody out of the other.
    fn guesses(&self) -> Arc<Guesses> {
        let wrong = self.metrics.wrong_secrets.clone();
        Arc::new(Guesses::new(Arc::clone(&self.clock), wrong))
    }

    fn api(&self, config: &Config) -> Api {
        Api {
            pace: Default::default(),
            bodies: Bodies::default(),
            answers: Bodies::default(),
            guesses: self.guesses(),
            store: Arc::clone(&self.store),
            driver: Arc::clone(&self.driver),
            tokens: Arc::clone(&self.tokens),
            watching: self.registry.clone(),
            clock: Arc::clone(&self.clock),
            settings: ApiSettings {
                secret: config.auth.secret.clone(),
                admin_users: config.auth.admin_users.clone(),
                body_bytes_max: config.api.body_bytes_max.0,
            },
        }
    }

    fn admin(&self, token: String, epoch: String) -> Admin {
        Admin {
            addresses: self.registry.clone(),
            guesses: self.guesses(),
            store: Arc::clone(&self.store),
            driver: Arc::clone(&self.driver),
            endpoints: self.endpoints.clone(),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            readiness: Arc::clone(&self.readiness),
            loops: Arc::clone(&self.loops),
            streams: Arc::new(Semaphore::new(admin::STREAMS_MAX.min(self.places.admin / 2))),
            epoch,
            token,
        }
    }
}

fn open_store(config: &Config) -> Result<Arc<dyn Store>, OpenError> {
    Ok(match config.store.backend {
        Backend::Memory => Arc::new(Memory::default()),
        Backend::Sqlite => Arc::new(Sqlite::open(&config.store.path, sync(config))?),
    })
}

fn sync(config: &Config) -> store::Sync {
    match config.store.sync {
        SyncMode::Full => store::Sync::Full,
        SyncMode::Normal => store::Sync::Normal,
    }
}

fn address(listener: &Listener, asked: SocketAddr) -> SocketAddr {
    listener.address().unwrap_or(asked)
}

/// The configured one; else the one in the store's folder, made at the first start.
fn admin_token(config: &Config) -> Result<String, StartError> {
    if let Some(token) = &config.admin.token {
        return Ok(token.expose().to_owned());
    }
    let path = config.store.path.join(TOKEN_FILE);
    let unusable = |error| StartError::Token(path.clone(), error);
    // Of a device or a pipe nothing is read, and its mode is not ours to change.
    if fs::metadata(&path).is_ok_and(|what| !what.is_file()) {
        return Err(unusable(io::Error::other("it is no file; remove it, and one is made")));
    }
    let token = match fs::read(&path) {
        Ok(bytes) if bytes.trim_ascii().is_empty() => make_token(&path).map_err(unusable)?,
        Ok(bytes) => kept_token(bytes).map_err(|why| unusable(io::Error::other(why)))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_token(&path).map_err(unusable)?
        }
        Err(error) => return Err(unusable(error)),
    };
    tracing::info!(path = %path.display(), "the token of the management API is in this file");
    Ok(token)
}

fn kept_token(bytes: Vec<u8>) -> Result<String, String> {
    let token = secret_file::one(bytes)?;
    let chars = token.chars().count();
    if chars < TOKEN_CHARS_MIN || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(format!(
            "it must hold at least {TOKEN_CHARS_MIN} characters, ASCII and without spaces; empty the file, and a \
             good one is made"
        ));
    }
    Ok(token)
}

fn make_token(path: &Path) -> io::Result<String> {
    use std::{
        io::Write,
        os::unix::fs::{OpenOptionsExt, PermissionsExt},
    };
    if let Some(folder) = path.parent() {
        store::make_folder(folder)?;
    }
    let token = entropy::secret();
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // An empty file that was there keeps the mode it had.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(token.as_bytes())?;
    Ok(token)
}
