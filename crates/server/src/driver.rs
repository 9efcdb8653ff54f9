//! Runs the `presence` core: load, decide, commit, act.
//!
//! This is the only caller of [`presence::User::apply`] and of [`Store::commit`]. Nothing leaves
//! (no 101, no kick, no callback) before its commit succeeded.

mod decisions;
mod retelling;
mod set_aside;
mod step;
mod store_failures;
mod ticks;

use crate::{
    callbacks::{Endpoint, GateSettings},
    clock::Clock,
    entropy::{self, Entropy},
    metrics::Metrics,
    supervision::{contain, contain_sync},
};
use decisions::{Deciding, Decisions};
use presence::{
    Admission, Change, ConnId, Denied, Effects, End, Event, HoldReason, Holds, Instant, Lost, Now,
    Policy, Refusal, Refused, SLOW, Scope, Sight, UserId,
};
use set_aside::{SetAside, next_wait};
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use step::{Along, Step};
use store::{Claimed, Commit, Erase, Erasure, Settlement, Store, StoreError, UserQuery, Versioned};
use store_failures::StoreFailures;
use ticks::{TICKS_MAX, Ticked, Ticks};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Users are spread over this many lines; the events of one line go one after another.
const LINES: usize = 4_096;
/// How often a commit may collide with another node before the caller is told.
const COLLISIONS_MAX: u32 = 5;
/// How often deadlines are looked at.
const TICK_EVERY: Duration = Duration::from_millis(50);
/// How often deadlines are looked at while as many ticks as may be are under way.
const TICKS_FULL_EVERY: Duration = Duration::from_millis(2);
/// How long a loss that cannot be stored waits for the next try.
const LOSS_RETRY: Duration = Duration::from_millis(500);

/// Closes sockets. The gateway is one; the driver knows no more of it.
pub trait Sockets: Send + Sync + 'static {
    /// Tells a client that it is kicked and closes its socket. Best effort: one that is gone
    /// already is no error.
    fn kick(&self, conn: ConnId);

    /// Tells who watches a user where they are now, where that is news. Called in order of commits.
    fn tell_watchers(&self, user: &UserId, before: Sight, now: Sight);
}

/// What came of an event; all of it is done.
#[derive(Debug)]
pub struct Outcome {
    /// What became different.
    pub changes: Vec<Change>,
    /// Why the event was not taken, if it was not.
    pub denied: Option<Denied>,
    /// What a login at the gate waits for.
    pub admission: Admission,
    /// Whether an endpoint is told again how things are.
    pub is_retold: bool,
}

impl Outcome {
    fn nothing() -> Outcome {
        let (changes, denied, admission, is_retold) = Default::default();
        Outcome { changes, denied, admission, is_retold }
    }
}

/// Carries events through to their effects.
pub struct Driver {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    policy: Policy,
    holds: Mutex<Holds>,
    /// Since when the commits under way are, by a hash of their users.
    committing: Mutex<HashMap<u64, Instant>>,
    endpoints: Vec<Arc<Endpoint>>,
    sockets: Arc<dyn Sockets>,
    metrics: Arc<Metrics>,
    /// One commit in flight per user: the next event decides on committed state. Held across the
    /// commit on purpose; a task per user would be the same queue with more memory.
    lines: Vec<tokio::sync::Mutex<()>>,
    /// Hashed before the user, so that nobody can choose names that share a line.
    lines_key: u64,
    deciding: Mutex<Decisions>,
    /// Users whose ticks fail.
    set_aside: Mutex<SetAside>,
    store_failures: StoreFailures,
}

/// A commit that is under way; not any more once it is dropped, also by a panic.
struct Committing<'a> {
    driver: &'a Driver,
    user: u64,
}

impl Committing<'_> {
    fn begin(driver: &Driver, user: u64, began: Instant) -> Committing<'_> {
        driver.committing().insert(user, began);
        Committing { driver, user }
    }
}

impl Drop for Committing<'_> {
    fn drop(&mut self) {
        self.driver.committing().remove(&self.user);
    }
}

impl Driver {
    /// A driver at rest.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        policy: Policy,
        endpoints: Vec<Arc<Endpoint>>,
        sockets: Arc<dyn Sockets>,
        metrics: Arc<Metrics>,
    ) -> Driver {
        let lines = (0..LINES).map(|_| tokio::sync::Mutex::new(())).collect();
        let lines_key = u64::from_be_bytes(entropy::bytes(&*entropy));
        let (holds, committing, deciding, set_aside, store_failures) = Default::default();
        Driver {
            store,
            clock,
            entropy,
            policy,
            holds,
            committing,
            endpoints,
            sockets,
            metrics,
            lines,
            lines_key,
            deciding,
            set_aside,
            store_failures,
        }
    }

    /// Carries one event through. On `Ok` it is durable.
    ///
    /// Runs to its end also when the caller stops waiting: an HTTP client that hangs up must not
    /// leave a commit without its effects.
    pub async fn handle(
        self: &Arc<Self>,
        user: &UserId,
        event: Event,
        operation_id: Option<String>,
    ) -> Result<Outcome, StoreError> {
        let (driver, user) = (Arc::clone(self), user.clone());
        let run = async move { driver.carry(&user, event, operation_id, Along::Nothing).await };
        let ended = tokio::spawn(run).await;
        ended.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    /// The endpoint that is asked before anybody is let in, and how; none: nobody is.
    pub fn gate(&self) -> Option<(Arc<Endpoint>, GateSettings)> {
        let gate = |endpoint: &Arc<Endpoint>| Some((Arc::clone(endpoint), endpoint.settings.gate?));
        self.endpoints.iter().find_map(gate)
    }

    /// Tells that a socket is gone, and does not give up: what cannot be stored now waits here.
    pub async fn lose(self: &Arc<Self>, user: &UserId, conn: ConnId, end: End) {
        let event = Event::Disconnected { conn, end };
        let mut wait = LOSS_RETRY;
        while let Err(error) = self.carry(user, event.clone(), None, Along::Nothing).await {
            tracing::warn!(%error, conn.id = %conn, "a lost connection waits to be stored");
            tokio::time::sleep(wait).await;
            wait = next_wait(&error, wait, LOSS_RETRY);
        }
    }

    /// The App refused an online callback: its verdict and what that does are one commit.
    pub async fn refuse(
        &self,
        callback: &Claimed,
        scope: Scope,
        only_at_gate: bool,
        refusal: Refusal,
        settlement: Settlement,
    ) -> Result<(), StoreError> {
        let mut seqs = callback.spoken_for.clone();
        seqs.push(callback.change.seq);
        let event = Event::Refused(Refused { seqs, scope, only_at_gate, refusal });
        let operation_id = Some(callback.operation_id.clone());
        let user = &callback.lease.id.user;
        self.carry(user, event, operation_id, Along::Settles(settlement)).await.map(|_| ())
    }

    /// A `seq` below that of every change that is not stored yet, and at most one below the highest
    /// that was ever told, whatever the wall clock says.
    pub fn fence(&self) -> u64 {
        let decisions = self.decisions();
        decisions.fence(self.clock.now().wall)
    }

    fn decisions(&self) -> MutexGuard<'_, Decisions> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the clock for a decision. Until it is dropped the fence stays below.
    fn decide(&self) -> (Now, Deciding<'_>) {
        // The clock is read under the lock, or a fence could be asked for in between.
        let mut decisions = self.decisions();
        let now = self.clock.now();
        let from = decisions.begin(now.wall);
        (now, Deciding { of: &self.deciding, from })
    }

    /// At boot: every connection of the process before this one is lost, unless it comes back.
    pub async fn recover(self: &Arc<Self>) -> Result<u64, StoreError> {
        let highest = self.store.highest_seq().await?;
        self.decisions().gave(highest);
        let mut recovered = 0;
        let mut after = None;
        loop {
            let query = UserQuery { online_only: true, after, limit: TICKS_MAX };
            let page = self.store.users(query).await?;
            let Some((last, _)) = page.last() else { return Ok(recovered) };
            after = Some(last.clone());
            recovered += page.len() as u64;
            let users = page.into_iter().map(|(user, _)| user);
            for (user, error) in self.handle_all(users, &Event::Restarted).await {
                match error {
                    StoreError::Panicked { .. } | StoreError::Corrupt { .. } => {
                        tracing::error!(%error, user.id = %user, "a user could not be taken over");
                    }
                    _ => return Err(error),
                }
            }
        }
    }

    /// Ticks every user whose deadline has come, until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut was_held = false;
        let mut frozen = self.clock.frozen();
        let mut ticks = Ticks::default();
        while !stop.is_cancelled() {
            self.look_at_slow_commits();
            frozen = self.look_for_a_freeze(frozen);
            let is_held = self.held().is_some();
            self.metrics.graces_held.set(is_held.into());
            if was_held && !is_held {
                tracing::warn!("graces run out again");
            }
            was_held = is_held;
            let wait = match self.tick_due(&mut ticks).await {
                Ok(()) if ticks.are_full() => TICKS_FULL_EVERY,
                Ok(()) => TICK_EVERY,
                Err(error) => {
                    tracing::error!(%error, "deadlines wait, presence cannot be stored");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        ticks.finish().await;
    }

    /// Begins to tick users whose deadline has come. A user whose step is slow holds up nobody else, nor
    /// does one whose step fails, who is set aside for a while.
    async fn tick_due(self: &Arc<Self>, ticks: &mut Ticks) -> Result<(), StoreError> {
        let now = self.clock.now().mono;
        self.note_ticked(ticks.take_ended(), now)?;
        if ticks.are_full() {
            return Ok(());
        }
        let waiting = {
            let mut set_aside = self.set_aside();
            set_aside.forget_old(now);
            set_aside.len()
        };
        let room = TICKS_MAX - ticks.len();
        let mut due = self.store.due_wakeups(now, TICKS_MAX + waiting).await?;
        {
            let set_aside = self.set_aside();
            due.retain(|user| !set_aside.waits(user, now) && !ticks.has(user));
        }
        due.into_iter().take(room).for_each(|user| ticks.begin(self, user));
        Ok(())
    }

    fn note_ticked(&self, ended: Vec<Ticked>, now: Instant) -> Result<(), StoreError> {
        let mut set_aside = self.set_aside();
        let mut noted = Ok(());
        for (user, ticked) in ended {
            let Err(error) = ticked else {
                set_aside.worked(&user);
                continue;
            };
            tracing::error!(%error, user.id = %user, "a user's deadline could not be worked on");
            if !set_aside.failed(user, &error, now) {
                noted = Err(error);
            }
        }
        noted
    }

    fn set_aside(&self) -> MutexGuard<'_, SetAside> {
        self.set_aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn handle_all(
        self: &Arc<Self>,
        users: impl IntoIterator<Item = UserId>,
        event: &Event,
    ) -> Vec<(UserId, StoreError)> {
        let mut running = JoinSet::new();
        for user in users {
            let (driver, event) = (Arc::clone(self), event.clone());
            running.spawn(async move {
                let carried = driver.carry(&user, event, None, Along::Nothing).await;
                (user, carried)
            });
        }
        let mut failed = Vec::new();
        while let Some(ended) = running.join_next().await {
            match ended {
                Ok((_, Ok(_))) => {}
                Ok((user, Err(error))) => failed.push((user, error)),
                // Panics are contained in the step, so it is the runtime that ends.
                Err(_) => {}
            }
        }
        failed
    }

    /// A panic in it is the caller's error, and nobody else's.
    #[tracing::instrument(name = "presence.handle", level = "debug", skip_all, fields(user.id = %user))]
    async fn carry(
        &self,
        user: &UserId,
        event: Event,
        operation_id: Option<String>,
        along: Along,
    ) -> Result<Outcome, StoreError> {
        let step = contain("step", self.step(user, event, operation_id, along));
        let panicked = |_| Err(StoreError::Panicked { of: user.to_string() });
        let carried = Box::pin(step).await.unwrap_or_else(panicked);
        if let Err(StoreError::Unavailable(why)) = &carried {
            self.store_failures.note(self.clock.now().mono, why.clone());
        }
        carried
    }

    /// Why a user's state could not be read or stored just now, if so.
    pub fn store_failing(&self) -> Option<String> {
        self.store_failures.why()
    }

    /// A probe of the store that began then worked.
    pub fn store_probed(&self, began: Instant) {
        self.store_failures.probed(began);
    }

    /// Erases all that is kept about a user who is offline. No step of theirs is in between.
    pub async fn erase(&self, user: &UserId, force: bool) -> Result<Erasure, StoreError> {
        let _turn = self.line(user).lock().await;
        let at = self.clock.now().wall;
        self.store.erase(&Erase { user: user.clone(), force, at }).await
    }

    async fn step(
        &self,
        user: &UserId,
        event: Event,
        operation_id: Option<String>,
        along: Along,
    ) -> Result<Outcome, StoreError> {
        let operation_id = operation_id.map(|id| contract::operation_id(&id));
        let operation_id = operation_id.filter(|id| !id.is_empty());
        let operation_id = operation_id.unwrap_or_else(|| entropy::operation_id(&*self.entropy));
        let _turn = self.line(user).lock().await;
        let mut collisions = 0;
        loop {
            let Some((event, along)) = self.as_it_is_now(&event, &along).await? else {
                return Ok(Outcome::nothing());
            };
            let (now, deciding) = self.decide();
            let Versioned { version, value: mut before } = self.store.load(user).await?;
            if deciding.from > now.wall.0 {
                before.continue_at(deciding.from);
            }
            let mut state = before.clone();
            let (held_until, wall_ahead) = (self.held_until(), self.clock.ahead());
            let policy = Policy { held_until, wall_ahead, ..self.policy };
            let effects = state.apply(event.clone(), now, &policy);
            let seen = (before.sight(), state.sight());
            let sockets = (before.sockets() > 0, state.sockets() > 0);
            let admission = effects.admission;
            let is_alone = matches!(along, Along::Nothing);
            let quiet = state == before && effects.changes.is_empty() && is_alone;
            if quiet && event != Event::Ticked {
                let Effects { changes, denied, .. } = effects;
                return Ok(Outcome { changes, denied, admission, is_retold: false });
            }
            deciding.gave(state.last_seq());
            let step = Step { user, version, state, effects: &effects, now };
            let retold = step.retold(&along, &operation_id);
            let is_retold = retold.is_some();
            let commit = step.commit(&self.endpoints, &operation_id, along, retold);
            match self.commit(user, commit).await {
                Ok(()) => {
                    // It is stored: whatever happens now, the caller must know.
                    let _ = contain_sync("effects", || {
                        self.count_users(user, &event, sockets);
                        self.act(user, &operation_id, &effects, seen);
                    });
                    if is_retold {
                        self.endpoints.iter().for_each(|endpoint| endpoint.news.notify_one());
                    }
                    let Effects { changes, denied, .. } = effects;
                    return Ok(Outcome { changes, denied, admission, is_retold });
                }
                Err(StoreError::Conflict) if collisions < COLLISIONS_MAX => collisions += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// One commit, with how it goes noted: while nothing can be stored, or many wait long for it,
    /// nobody must be told offline because they are kept away.
    async fn commit(&self, user: &UserId, commit: Commit) -> Result<(), StoreError> {
        let user = self.hash(user);
        let began = self.clock.now().mono;
        let under_way = Committing::begin(self, user, began);
        let committed = self.store.commit(commit).await;
        drop(under_way);
        self.note_commit(user, began);
        if let Err(StoreError::Unavailable(_)) = committed {
            self.hold_graces_for_the_store();
        }
        committed
    }

    /// Nothing can be stored right now: whoever is kept away by that must not be told offline.
    pub fn hold_graces_for_the_store(&self) {
        let length = self.policy.restart_grace;
        let has_begun = self.holds().store_failed(self.clock.now().mono, length);
        self.log_hold(has_begun, HoldReason::StoreUnavailable);
    }

    fn note_commit(&self, user: u64, began: Instant) {
        let now = self.clock.now().mono;
        let length = self.policy.restart_grace;
        let has_begun = self.holds().commit_took(user, began.until(now), now, length);
        self.log_hold(has_begun, HoldReason::StoreSlow);
    }

    /// Also those that are under way: a disk that hangs ends none.
    fn look_at_slow_commits(&self) {
        let now = self.clock.now().mono;
        let slow: Vec<(u64, Instant)> = {
            let committing = self.committing();
            let slow = committing.iter().filter(|(_, began)| began.until(now) > SLOW);
            slow.map(|(user, began)| (*user, *began)).collect()
        };
        slow.into_iter().for_each(|(user, began)| self.note_commit(user, began));
    }

    /// Given how long the process was frozen before; how long it was by now.
    fn look_for_a_freeze(&self, before: Duration) -> Duration {
        // Reading the time is what notices a freeze.
        let now = self.clock.now().mono;
        let (frozen, length) = (self.clock.frozen(), self.policy.restart_grace);
        let more = frozen.saturating_sub(before);
        if !more.is_zero() {
            tracing::warn!(frozen = ?more, "the process did not run for a while");
        }
        let has_begun = self.holds().was_frozen(more, now, length);
        self.log_hold(has_begun, HoldReason::Frozen);
        frozen
    }

    fn log_hold(&self, has_begun: bool, why: HoldReason) {
        if has_begun {
            let length = self.policy.restart_grace;
            tracing::error!(why = why.name(), ?length, "nobody's grace runs out for a while");
        }
    }

    /// So many users may vanish at once that it is not they who left.
    fn count_users(&self, user: &UserId, event: &Event, (before, now): (bool, bool)) {
        let (user, at) = (self.hash(user), self.clock.now().mono);
        let is_lost = matches!(event, Event::Disconnected { end, .. } if *end != End::LoggedOut);
        let mass_loss = &self.policy.mass_loss;
        match (before, now) {
            (false, true) => self.holds().arrived(user, at),
            // What a restart ends was of the process before this one.
            (true, false) if is_lost => {
                let lost = self.holds().lost(user, at, mass_loss);
                if let Some(Lost { users, of }) = lost {
                    self.metrics.mass_losses.inc();
                    tracing::error!(
                        users, of, hold = ?mass_loss.hold,
                        "users vanish in masses; for a while nobody is told offline whose grace runs \
                         out (presence.mass_loss)"
                    );
                }
            }
            (true, false) => self.holds().left(user),
            (false, false) | (true, true) => {}
        }
    }

    /// Why nobody's grace runs out at the moment, if so.
    pub fn held(&self) -> Option<HoldReason> {
        self.holds().why(self.clock.now().mono)
    }

    /// Nobody's grace runs out before.
    pub fn held_until(&self) -> Instant {
        self.holds().until()
    }

    fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn committing(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.committing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A user as a number that nobody else can foresee.
    pub(crate) fn hash(&self, user: &UserId) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.lines_key, user).hash(&mut hasher);
        hasher.finish()
    }

    /// Whether the events of two users wait for each other.
    pub fn share_a_line(&self, one: &UserId, other: &UserId) -> bool {
        self.hash(one) as usize % LINES == self.hash(other) as usize % LINES
    }

    fn line(&self, user: &UserId) -> &tokio::sync::Mutex<()> {
        &self.lines[self.hash(user) as usize % LINES]
    }

    fn act(
        &self,
        user: &UserId,
        operation_id: &str,
        effects: &Effects,
        (before, now): (Sight, Sight),
    ) {
        if before != now {
            self.sockets.tell_watchers(user, before, now);
        }
        for conn in &effects.kicked {
            self.sockets.kick(*conn);
        }
        for change in &effects.changes {
            self.metrics.change(change.kind);
            tracing::info!(
                user.id = %user, operation.id = operation_id,
                conn.id = change.conn.map(tracing::field::display),
                kind = ?change.kind, reason = change.reason.name(),
                platform = change.platform.name(), seq = change.seq, "presence changed"
            );
        }
        if !effects.changes.is_empty() {
            self.endpoints.iter().for_each(|endpoint| endpoint.news.notify_one());
        }
    }
}
