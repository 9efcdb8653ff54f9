//! What all actors of a run share: time, chance, the trace, and what they know of each other.

use crate::{
    app::App,
    bite::Bite,
    coverage::Coverage,
    dice::Dice,
    disk::Op,
    ledger::Ledger,
    node::Node,
    plan::{Plan, Settings},
};
use presence::{Instant, Now, Timestamp, UserId};
use server::{
    clock::{Clock, WallClock},
    entropy::Entropy,
};
use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The wall time at which every run begins.
const BEGAN_AT: u64 = 1_767_225_600_000;
/// For how long what is late about a user may be blamed on slow commits.
const SLOWED_MS: u64 = 20_000;

/// One run.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) bite: Option<Bite>,
    pub(crate) apps: Vec<Arc<App>>,
    /// Rung when the process is to crash right now.
    pub(crate) crashes: Notify,
    /// Rung when clients are cut off.
    pub(crate) cuts: Notify,
    /// Cancelled when the storm is over and everything has time to become right.
    pub(crate) quiet: CancellationToken,
    /// Cancelled at the first broken promise.
    pub(crate) broken: CancellationToken,
    began: tokio::time::Instant,
    state: Mutex<State>,
    ledger: Mutex<Ledger>,
}

struct State {
    dice: Dice,
    /// Of the code under test: apart, so that a further draw of ours does not change its.
    entropy: Dice,
    trace: Trace,
    coverage: Coverage,
    violation: Option<String>,
    /// How far the wall clock is off, in milliseconds.
    wall_off: i64,
    settings: Settings,
    /// When no process runs, though one has started; one after another.
    freezes: Vec<(u64, u64)>,
    store: StoreWeather,
    store_troubled_until: u64,
    /// Whose commits were slow last, and until when.
    slowed: Option<(UserId, u64)>,
    quiet_since: Option<u64>,
    /// No client reaches Herald.
    cut_off: bool,
    node: Option<Arc<Node>>,
}

/// How the disk is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoreWeather {
    /// How many of a hundred calls fail.
    pub(crate) fail_percent: u64,
    /// The longest a call may take, in milliseconds, when it takes longer than usual.
    pub(crate) slow_ms: u64,
    /// Only these calls; none: all.
    pub(crate) only: Option<Op>,
    /// Only commits of this user; none: of all.
    pub(crate) user: Option<UserId>,
}

#[derive(Default)]
struct Trace {
    lines: Vec<String>,
    hash: u64,
}

impl World {
    /// A storm.
    pub(crate) fn new(seed: u64, bite: Option<Bite>) -> World {
        let mut dice = Dice::new(seed);
        let plan = Plan::draw(&mut dice).with_background(seed);
        World::planned(plan, dice, bite)
    }

    #[expect(clippy::disallowed_methods, reason = "the simulated time, which stands still")]
    pub(crate) fn planned(plan: Plan, mut dice: Dice, bite: Option<Bite>) -> World {
        let entropy = Dice::new(dice.roll());
        let apps = plan.endpoints.iter().enumerate();
        let settings = plan.settings.clone();
        World {
            apps: apps.map(|(number, kind)| Arc::new(App::new(number, *kind))).collect(),
            plan,
            bite,
            crashes: Notify::new(),
            cuts: Notify::new(),
            quiet: CancellationToken::new(),
            broken: CancellationToken::new(),
            began: tokio::time::Instant::now(),
            state: Mutex::new(State {
                dice,
                entropy,
                trace: Trace { lines: Vec::new(), hash: 0xcbf2_9ce4_8422_2325 },
                coverage: Coverage::default(),
                violation: None,
                wall_off: 0,
                settings,
                freezes: Vec::new(),
                store: StoreWeather::default(),
                store_troubled_until: 0,
                slowed: None,
                quiet_since: None,
                cut_off: false,
                node: None,
            }),
            ledger: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the checkers know.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Simulated milliseconds since the beginning.
    pub(crate) fn ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    pub(crate) fn wall(&self) -> Timestamp {
        Timestamp((BEGAN_AT + self.ms()).saturating_add_signed(self.state().wall_off))
    }

    /// What the operator has set now.
    pub(crate) fn settings(&self) -> Settings {
        self.state().settings.clone()
    }

    /// An operator changes settings, and replaces Apps, while no process runs.
    pub(crate) fn change_settings(&self) {
        let settings = {
            let State { settings, dice, .. } = &mut *self.state();
            settings.change(dice);
            settings.clone()
        };
        self.note(&format!("the operator sets {settings:?}"));
        self.count("operator: new settings");
        for (app, kind) in self.apps.iter().zip(settings.kinds) {
            app.becomes(kind);
        }
    }

    /// The process does not run for so long.
    pub(crate) fn freeze(&self, for_ms: u64) {
        let now = self.ms();
        self.store_is_troubled(for_ms);
        self.state().freezes.push((now, now + for_ms));
    }

    /// For how long in that time no process ran.
    pub(crate) fn frozen_ms(&self, from: u64, until: u64) -> u64 {
        let state = self.state();
        let overlaps = state
            .freezes
            .iter()
            .map(|(began, ended)| (*ended).min(until).saturating_sub((*began).max(from)));
        overlaps.sum()
    }

    /// Waits until the process runs.
    pub(crate) async fn runs(&self) {
        loop {
            let now = self.ms();
            let ends = self.state().freezes.last().map_or(0, |(_, ended)| *ended);
            if now >= ends {
                return;
            }
            tokio::time::sleep(Duration::from_millis(ends - now)).await;
        }
    }

    pub(crate) fn step_wall(&self, by_ms: i64) {
        self.state().wall_off += by_ms;
    }

    pub(crate) fn percent(&self, chance: u64) -> bool {
        self.state().dice.percent(chance)
    }

    pub(crate) fn below(&self, end: usize) -> usize {
        self.state().dice.below(end)
    }

    pub(crate) fn within(&self, range: Range<u64>) -> u64 {
        self.state().dice.within(range)
    }

    pub(crate) fn pick<T: Copy>(&self, from: &[T]) -> T {
        self.state().dice.pick(from)
    }

    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.state().dice.fill(&mut bytes);
        bytes
    }

    pub(crate) async fn sleep(&self, ms: Range<u64>) {
        let pause = self.state().dice.ms(ms);
        tokio::time::sleep(pause).await;
    }

    /// The storm is over.
    pub(crate) fn becomes_quiet(&self) {
        let now = self.ms();
        self.state().quiet_since = Some(now);
        self.quiet.cancel();
    }

    /// For how long it has been over.
    pub(crate) fn quiet_for_ms(&self) -> u64 {
        let now = self.ms();
        self.state().quiet_since.map_or(0, |since| now - since)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.is_cancelled()
    }

    /// Notes what happened; the same seed notes the same.
    pub(crate) fn note(&self, what: &str) {
        if !self.plan.traced {
            return;
        }
        let line = format!("{:>7} {what}", self.ms());
        let trace = &mut self.state().trace;
        for byte in line.bytes() {
            trace.hash = (trace.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        trace.lines.push(line);
    }

    /// Counts that something was exercised.
    pub(crate) fn count(&self, what: &'static str) {
        self.state().coverage.count(what);
    }

    /// How often something was exercised.
    pub(crate) fn times(&self, what: &str) -> u64 {
        self.state().coverage.times(what)
    }

    /// A promise is broken: the run ends here.
    pub(crate) fn violated(&self, promise: &str, how: &str) {
        let text = format!("{promise}: {how}");
        self.note(&format!("VIOLATED {text}"));
        self.state().violation.get_or_insert(text);
        self.broken.cancel();
    }

    pub(crate) fn store_weather(&self) -> StoreWeather {
        self.state().store.clone()
    }

    pub(crate) fn set_store_weather(&self, weather: StoreWeather) {
        self.note(&format!("{weather:?}"));
        self.state().store = weather;
    }

    /// The store, or its process, cannot be expected to keep times now, nor for so long.
    pub(crate) fn store_is_troubled(&self, for_ms: u64) {
        let until = self.ms() + for_ms;
        let mut state = self.state();
        state.store_troubled_until = state.store_troubled_until.max(until);
    }

    /// The commits of one user take longer, and nobody else's.
    pub(crate) fn user_is_slowed(&self, user: &UserId, for_ms: u64) {
        let until = self.ms() + for_ms + SLOWED_MS;
        self.state().slowed = Some((user.clone(), until));
    }

    /// Whether this user's commits were slow a moment ago, or those of one whose line it shares: one
    /// user in 4,096 does.
    pub(crate) fn is_slowed(&self, user: &UserId) -> bool {
        let now = self.ms();
        let (slowed, node) = {
            let state = self.state();
            (state.slowed.clone(), state.node.clone())
        };
        slowed.filter(|(_, until)| now < *until).is_some_and(|(of, _)| {
            of == *user || node.is_some_and(|node| node.driver.share_a_line(&of, user))
        })
    }

    /// Cuts all clients off, or no longer.
    pub(crate) fn cut_off(&self, cut_off: bool) {
        self.state().cut_off = cut_off;
        if cut_off {
            self.cuts.notify_waiters();
        }
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.state().cut_off
    }

    /// For how long the store has been working as it should.
    pub(crate) fn store_calm_for(&self) -> Duration {
        let now = self.ms();
        Duration::from_millis(now.saturating_sub(self.state().store_troubled_until))
    }

    /// The process that runs now, if one does.
    pub(crate) fn node(&self) -> Option<Arc<Node>> {
        self.state().node.clone()
    }

    pub(crate) fn set_node(&self, node: Option<Arc<Node>>) {
        self.state().node = node;
    }

    /// What is left of a run: the trace and its hash, what was covered, what was broken.
    pub(crate) fn take(&self) -> (Vec<String>, u64, Coverage, Option<String>) {
        let mut state = self.state();
        // The node knows the world, and so neither would ever be dropped.
        let node = state.node.take();
        let trace = std::mem::take(&mut state.trace);
        let coverage = std::mem::take(&mut state.coverage);
        let violation = state.violation.take();
        drop(state);
        drop(node);
        (trace.lines, trace.hash, coverage, violation)
    }
}

impl Entropy for World {
    fn fill(&self, bytes: &mut [u8]) {
        self.state().entropy.fill(bytes);
    }
}

/// The clocks of one process: the monotonic one begins at the wall time of its start, as
/// [`server::clock::SystemClock`] does.
pub(crate) struct NodeClock {
    world: Arc<World>,
    began: u64,
    began_at: u64,
    wall: Mutex<WallClock>,
}

impl NodeClock {
    pub(crate) fn start(world: &Arc<World>) -> NodeClock {
        NodeClock {
            began: world.ms(),
            began_at: world.wall().0,
            world: Arc::clone(world),
            wall: Mutex::default(),
        }
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Now {
        let ran = self.world.ms() - self.began - self.frozen().as_millis() as u64;
        Now { mono: Instant(self.began_at + ran), wall: self.world.wall() }
    }

    fn frozen(&self) -> Duration {
        let world = &self.world;
        let frozen_ms = match world.bite {
            Some(Bite::FreezeCounts) => 0,
            _ => world.frozen_ms(self.began, world.ms()),
        };
        Duration::from_millis(frozen_ms)
    }

    fn ahead(&self) -> Duration {
        let now = self.now();
        self.wall.lock().unwrap_or_else(PoisonError::into_inner).ahead(now)
    }
}
