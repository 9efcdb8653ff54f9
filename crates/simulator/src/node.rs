//! One process of Herald: the real driver and dispatchers, put together as `server::running` does,
//! on a simulated disk, clock and network. It can be stopped, and it can crash.

use crate::{
    bite::Bite,
    disk::Disk,
    ledger::WAIT_MS_MAX,
    network::Network,
    plan::{RETENTION, TIMEOUT},
    sockets::Sockets,
    world::{NodeClock, World},
};
use presence::{Policy, RefusalLimit, Scope, Timestamp};
use server::{
    ages::KeptAges,
    callbacks::{Dispatcher, Endpoint, EndpointSettings, GateSettings, Timeouts, scopes},
    clock::Clock,
    config::OnRefusal,
    driver::Driver,
    login::Logins,
    metrics::Metrics,
};
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use store::{EndpointName, Memory, Prune, Store, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// As in `server::running`.
const FAREWELL: Duration = Duration::from_secs(3);
const FAREWELL_MAX: Duration = Duration::from_secs(5);
const FINISH_MAX: Duration = Duration::from_secs(20);
/// How often [`Bite::SyncsLater`] syncs.
const SYNCS_EVERY: Duration = Duration::from_secs(1);

/// A process at work.
pub(crate) struct Node {
    pub(crate) number: u32,
    pub(crate) driver: Arc<Driver>,
    pub(crate) logins: Logins,
    pub(crate) disk: Arc<Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    pub(crate) sockets: Arc<Sockets>,
    /// Cancelled by a crash, or after the end: nothing it does has an effect any more.
    pub(crate) dead: CancellationToken,
    /// Cancelled when nobody is let in any more.
    pub(crate) doors: CancellationToken,
    work: CancellationToken,
    tasks: Mutex<JoinSet<()>>,
}

impl Node {
    /// Starts a process on what the last one left; gives it back if the process cannot start.
    pub(crate) async fn boot(
        world: &Arc<World>,
        memory: Memory,
        number: u32,
    ) -> Result<Arc<Node>, Memory> {
        world.store_is_troubled(0);
        let dead = CancellationToken::new();
        let disk = Arc::new(Disk::open(world, memory, &dead, number));
        let clock: Arc<dyn Clock> = Arc::new(NodeClock::start(world));
        let sockets = Arc::new(Sockets::new(world, &dead));
        let endpoints: Vec<_> = (0..world.apps.len()).map(|n| endpoint(world, n)).collect();
        let metrics = Arc::new(Metrics::default());
        let driver = Arc::new(Driver::new(
            Arc::clone(&disk) as _,
            Arc::clone(&clock),
            Arc::clone(world) as _,
            policy(world),
            endpoints.clone(),
            Arc::clone(&sockets) as _,
            Arc::clone(&metrics),
        ));
        if let Err(error) = prepare(world, &driver, &disk).await {
            world.note(&format!("node {number} cannot start: {error}"));
            world.count("node: failed start");
            dead.cancel();
            return Err(disk.survivor());
        }
        let logins = Logins::new(
            Arc::clone(&driver),
            Arc::clone(&clock),
            Arc::clone(&metrics),
            Duration::from_millis(WAIT_MS_MAX),
        );
        let node = Arc::new(Node {
            number,
            driver,
            logins,
            disk,
            clock,
            endpoints,
            sockets,
            dead,
            doors: CancellationToken::new(),
            work: CancellationToken::new(),
            tasks: Mutex::default(),
        });
        node.put_to_work(world, &metrics);
        world.note(&format!("node {number} starts"));
        world.store_is_troubled(0);
        Ok(node)
    }

    fn put_to_work(&self, world: &Arc<World>, metrics: &Arc<Metrics>) {
        self.spawn(Arc::clone(&self.driver).run(self.work.clone()));
        let only_one = Arc::default();
        for (app, endpoint) in self.endpoints.iter().enumerate() {
            let network = Network {
                world: Arc::clone(world),
                app,
                dead: self.dead.clone(),
                only_one: Arc::clone(&only_one),
            };
            let dispatcher = Dispatcher {
                store: Arc::clone(&self.disk) as _,
                driver: Arc::clone(&self.driver),
                endpoint: Arc::clone(endpoint),
                sender: Arc::new(network),
                clock: Arc::clone(&self.clock),
                entropy: Arc::clone(world) as _,
                metrics: Arc::clone(metrics),
            };
            self.spawn(dispatcher.run(self.work.clone()));
        }
        let scopes = scopes(&self.endpoints);
        let (disk, clock) = (Arc::clone(&self.disk), Arc::clone(&self.clock));
        self.spawn(prune(Arc::clone(world), disk, clock, scopes, self.work.clone()));
        if world.bite == Some(Bite::SyncsLater) {
            let (disk, stop) = (Arc::clone(&self.disk), self.work.clone());
            self.spawn(async move {
                while !stop.is_cancelled() {
                    tokio::time::sleep(SYNCS_EVERY).await;
                    disk.sync();
                }
            });
        }
    }

    /// Runs something that ends with the process.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    fn take_tasks(&self) -> JoinSet<()> {
        std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the process something; none when it dies meanwhile.
    pub(crate) async fn ask<T>(&self, question: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.dead.cancelled() => None,
            answer = question => Some(answer),
        }
    }

    /// Dies at once. Returns what the disk has.
    pub(crate) fn crash(&self, world: &World) -> Memory {
        world.note(&format!("node {} crashes", self.number));
        self.end(world)
    }

    fn end(&self, world: &World) -> Memory {
        self.doors.cancel();
        self.dead.cancel();
        world.set_node(None);
        world.node_ends(self.number);
        drop(self.take_tasks());
        self.disk.survivor()
    }

    /// Stops as `Running::stop` does. Returns what the disk has.
    pub(crate) async fn stop(&self, world: &World) -> Memory {
        world.note(&format!("node {} stops", self.number));
        self.doors.cancel();
        self.sockets.close_all(FAREWELL).await;
        let gone = async {
            while self.sockets.open() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL_MAX, gone).await;
        self.work.cancel();
        let mut tasks = self.take_tasks();
        let finished = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISH_MAX, finished).await.is_err() {
            world.count("node: stopped unfinished");
        }
        self.end(world)
    }
}

/// What a process does before it admits anybody.
async fn prepare(world: &World, driver: &Arc<Driver>, disk: &Disk) -> Result<(), StoreError> {
    let fresh = format!("{:016x}", u64::from_be_bytes(world.bytes()));
    world.epoch_is(&disk.epoch(&fresh).await?);
    if world.bite != Some(Bite::NoRecover) {
        driver.recover().await?;
    }
    Ok(())
}

fn policy(world: &World) -> Policy {
    let mut policy = world.plan.policy;
    if world.bite == Some(Bite::NoRestartGrace) {
        policy.restart_grace = Duration::ZERO;
    }
    policy
}

fn endpoint(world: &World, number: usize) -> Arc<Endpoint> {
    let (plan, settings) = (&world.plan, world.settings());
    let gate = settings.gate.filter(|gate| gate.endpoint == number);
    let (target, secrets) = Default::default();
    let mut interest = settings.interest(number);
    if world.bite == Some(Bite::WrongScope) {
        interest.offline = Some(Scope::Connection);
    }
    Arc::new(Endpoint::new(EndpointSettings {
        name: plan.endpoint_name(number),
        target,
        dialect: contract::Dialect::Classic,
        interest,
        timeouts: Timeouts { online: plan.online_timeout, ..Timeouts::all(TIMEOUT) },
        on_refusal: match settings.closes_on_refusal {
            true => OnRefusal::Disconnect,
            false => OnRefusal::Ignore,
        },
        gate: gate.map(|gate| GateSettings {
            failed_continue: gate.failed_continue,
            waiting_max: gate.waiting_max,
        }),
        refusal_limit: RefusalLimit { share_max: 1.0, window: TIMEOUT },
        secrets,
        concurrency_max: 64,
        retell: world.bite != Some(Bite::MarksForgotten),
        collapse_after: settings.collapse_after,
    }))
}

/// As in `server::running`; the whole history is kept, for the verdicts.
async fn prune(
    world: Arc<World>,
    disk: Arc<Disk>,
    clock: Arc<dyn Clock>,
    scopes: Vec<(EndpointName, Scope)>,
    stop: CancellationToken,
) {
    let mut ages = KeptAges::default();
    while !stop.is_cancelled() {
        let now = world.wall();
        ages.keep(&*disk, &*clock).await;
        let owed_before = match world.bite {
            Some(Bite::WallClockExpires) => Timestamp(now.0 - RETENTION.as_millis() as u64),
            _ => ages.before(RETENTION),
        };
        let prune = Prune {
            now,
            history_before: Timestamp(0),
            failed_before: Timestamp(0),
            history_bytes_max: u64::MAX,
            owed_before,
            owed_max: world.plan.owed_max,
            scopes: scopes.clone(),
            users_before: ages.before(Duration::from_millis(world.plan.forget_after_ms)),
            limit: 2_000,
        };
        let _ = disk.prune(prune).await;
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep(world.plan.prune_every) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::Mode,
        dice::Dice,
        disk::Op,
        plan::{Kind, Plan},
        world::StoreWeather,
    };
    use presence::{Author, Event, Platform, Status, UserId};

    #[tokio::test(start_paused = true)]
    async fn an_outbox_that_cannot_be_read_is_read_again_after_a_pause() {
        let world = Arc::new(World::new(1, None));
        let node = Node::boot(&world, Memory::default(), 1).await.map_err(|_| ()).unwrap();
        let only = Some(Op::Claim);
        world.set_store_weather(StoreWeather { fail_percent: 100, only, ..Default::default() });
        let event = Event::StatusSet {
            platform: Platform::Web,
            status: Status::default(),
            by: Author::Admin,
        };
        node.driver.handle(&UserId::new("u"), event, None).await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        let failed = world.times("store: failed claim");
        let most = 30 * world.apps.len() as u64;
        assert!((1..most).contains(&failed), "claimed {failed} times in 10 s");
        assert_eq!(world.take().3, None);
    }

    /// A status that brings a user online for a while.
    async fn come_online(node: &Node, user: &UserId) {
        let event = Event::StatusSet {
            platform: Platform::Web,
            status: Status::default(),
            by: Author::Admin,
        };
        node.driver.handle(user, event, None).await.unwrap();
    }

    /// Everything it was owed has expired, so nothing but what is told again can find out that it is well.
    #[tokio::test(start_paused = true)]
    async fn an_app_that_was_away_until_all_expired_is_told_how_things_are() {
        let mut plan = Plan::calm(1, &[Kind::Flag]);
        (plan.owed_max, plan.prune_every) = (0, Duration::from_secs(10));
        plan.policy.virtual_lease = Duration::from_secs(3_600);
        let world = Arc::new(World::planned(plan, Dice::new(1), None));
        let node = Node::boot(&world, Memory::default(), 1).await.map_err(|_| ()).unwrap();
        let name = world.plan.endpoint_name(0);
        let backlog = async || node.disk.memory.backlog(&name).await.unwrap();
        world.apps[0].set_mode(Mode::Unreachable);
        // Pruned for the first time, and not again before it was tried.
        tokio::time::sleep(Duration::from_secs(1)).await;
        come_online(&node, &UserId::new("u")).await;
        tokio::time::sleep(Duration::from_secs(45)).await;
        assert_eq!((backlog().await.owed, backlog().await.marks), (0, 1));
        world.apps[0].set_mode(Mode::Well);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!((backlog().await.owed, backlog().await.marks), (0, 0));
        assert_eq!(world.apps[0].views().naive.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_users_slow_commits_hold_nobody_elses_deadline() {
        let world = Arc::new(World::new(1, None));
        let node = Node::boot(&world, Memory::default(), 1).await.map_err(|_| ()).unwrap();
        let (slow, other) = (UserId::new("slow"), UserId::new("other"));
        come_online(&node, &slow).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        come_online(&node, &other).await;
        world.set_store_weather(StoreWeather {
            slow_ms: 1_000_000,
            user: Some(slow.clone()),
            ..StoreWeather::default()
        });
        let lease = world.plan.policy.virtual_lease;
        tokio::time::sleep(lease + Duration::from_secs(1)).await;
        let state = node.disk.memory.load(&slow).await.unwrap().value;
        assert!(state.is_online(), "its commit is under way");
        let state = node.disk.memory.load(&other).await.unwrap().value;
        assert!(!state.is_online(), "its lease has run out");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_is_not_stored_yet_is_beyond_the_fence() {
        let world = Arc::new(World::new(1, None));
        let node = Node::boot(&world, Memory::default(), 1).await.map_err(|_| ()).unwrap();
        world.set_store_weather(StoreWeather { slow_ms: 10_000, ..StoreWeather::default() });
        let handling: Vec<_> = (0..20)
            .map(|number| {
                let (driver, user) = (Arc::clone(&node.driver), UserId::new(format!("u{number}")));
                let event = Event::StatusSet {
                    platform: Platform::Web,
                    status: Status::default(),
                    by: Author::Admin,
                };
                tokio::spawn(async move { driver.handle(&user, event, None).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let fence = node.driver.fence();
        let under_way: Vec<_> = handling.into_iter().filter(|task| !task.is_finished()).collect();
        assert!(!under_way.is_empty(), "some writes take long");
        for task in under_way {
            let changes = task.await.unwrap().unwrap().changes;
            assert!(changes[0].seq > fence, "{changes:?} is below {fence}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(node.driver.fence() > fence, "it rises when all is stored");
    }
}
