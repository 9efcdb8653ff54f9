//! The disk: a [`Memory`] whose writes take time, fail, and are lost when the process dies before
//! they are synced. On `Ok` a write is durable, as the store's contract says.

use crate::{
    bite::Bite,
    world::{NodeClock, StoreWeather, World},
};
use async_trait::async_trait;
use presence::{Ages, Edges, Event, Instant, Kick, Scope, Session, Timestamp, User, UserId};
use server::clock::Clock;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{
    Account, Anew, Backlog, CallbackId, CallbackQuery, CallbackRecord, CallbacksPage, Claim,
    Claimed, Collapse, Commit, EndpointChange, EndpointName, EndpointState, Erase, Erasure, Fate,
    Mark, Memory, Prune, Pruned, Registered, Replay, Replayed, Settlement, Store, StoreError,
    UserQuery, Versioned,
};
use tokio_util::sync::CancellationToken;

/// Longer than this is trouble, in milliseconds.
const WRITE_MS_MAX: u64 = 12;

/// One write in so many is cut short by a crash, in runs that have crashes.
const CRASH_ONE_IN: u64 = 1_500;

/// Nobody has a reason to ask more often within a millisecond.
const ASKED_MAX: u64 = 50_000;

/// How long [`Bite::OneSlowHoldsAll`] holds.
const HOLD: Duration = Duration::from_secs(60);

macro_rules! operations {
    ($($op:ident $name:literal),* $(,)?) => {
        /// What the store can be asked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Op { $($op),* }

        impl Op {
            pub(crate) const ALL: &[Op] = &[$(Op::$op),*];

            fn failed(self) -> &'static str {
                match self { $(Op::$op => concat!("store: failed ", $name)),* }
            }

            fn slow(self) -> &'static str {
                match self { $(Op::$op => concat!("store: slow ", $name)),* }
            }
        }
    };
}

operations! {
    Load "load", Commit "commit", DueWakeups "due_wakeups", Claim "claim", Collapse "collapse",
    NextDue "next_due", Settle "settle", Replay "replay", Purge "purge", Users "users",
    UsersOnline "users_online", Callbacks "callbacks", CallbacksAfter "callbacks_after",
    Callback "callback", Backlog "backlog", Owes "owes", Endpoints "endpoints",
    Endpoint "endpoint", ChangeEndpoint "change_endpoint", Prune "prune", Register "register",
    Accounts "accounts", Epoch "epoch", Probe "probe",
}

/// The store of one process.
pub(crate) struct Disk {
    pub(crate) world: Arc<World>,
    pub(crate) memory: Memory,
    /// The process is dead: what it asks is never answered, what it had not synced is lost.
    pub(crate) dead: CancellationToken,
    pub(crate) node: u32,
    pub(crate) booted_at: u64,
    /// For [`Bite::SyncsLater`]: what was really synced.
    synced: Mutex<Option<Memory>>,
    /// When it was asked last, and how often at that time.
    asked: Mutex<(u64, u64)>,
    /// For [`Bite::OneSlowHoldsAll`]: until when.
    held_until: AtomicU64,
}

impl Disk {
    pub(crate) fn open(
        world: &Arc<World>,
        memory: Memory,
        dead: &CancellationToken,
        node: u32,
    ) -> Disk {
        let synced = (world.bite == Some(Bite::SyncsLater)).then(|| memory.reopened());
        Disk {
            world: Arc::clone(world),
            memory,
            dead: dead.clone(),
            node,
            booted_at: world.ms(),
            synced: Mutex::new(synced),
            asked: Mutex::default(),
            held_until: AtomicU64::new(0),
        }
    }

    /// What the next process finds.
    pub(crate) fn survivor(&self) -> Memory {
        let synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner).take();
        synced.unwrap_or_else(|| self.memory.reopened())
    }

    /// For [`Bite::SyncsLater`]: called now and then.
    pub(crate) fn sync(&self) {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if synced.is_some() {
            *synced = Some(self.memory.reopened());
        }
    }

    async fn gate(&self) {
        self.world.runs().await;
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
        if self.is_asked_too_often() {
            self.world.violated("P6", "the store is asked over and over, without a pause");
            std::future::pending::<()>().await;
        }
    }

    /// A loop that spins would otherwise stop the simulated time, and the run with it.
    fn is_asked_too_often(&self) -> bool {
        let now = self.world.ms();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, times) = *asked;
        *asked = if at == now { (at, times + 1) } else { (now, 1) };
        asked.1 > ASKED_MAX
    }

    /// Processes die in the middle of a write more often than chance has it.
    fn may_crash(&self) {
        if self.world.plan.faults.crashes && self.world.within(0..CRASH_ONE_IN) == 0 {
            self.world.crashes.notify_one();
        }
    }

    async fn read(&self, op: Op) -> Result<(), StoreError> {
        self.gate().await;
        let took = self.slowness(op, None);
        if took > 0 {
            tokio::time::sleep(Duration::from_millis(took)).await;
            self.gate().await;
        }
        self.may_fail(op)
    }

    /// The time until a write is durable. Who dies in here loses it.
    async fn sync_write(&self, op: Op, user: Option<&UserId>) -> Result<(), StoreError> {
        self.gate().await;
        self.may_crash();
        let took = match self.slowness(op, user) {
            0 => self.world.within(1..WRITE_MS_MAX),
            took => took,
        };
        tokio::time::sleep(Duration::from_millis(took)).await;
        if self.dead.is_cancelled() {
            self.world.count("crash: unsynced write lost");
        }
        self.gate().await;
        self.may_fail(op)
    }

    /// How long a call takes beyond the usual.
    fn slowness(&self, op: Op, user: Option<&UserId>) -> u64 {
        let weather = self.world.store_weather();
        let concerned = weather.only.is_none_or(|only| only == op)
            && weather.user.as_ref().is_none_or(|of| Some(of) == user);
        let always = weather.user.is_some();
        if weather.slow_ms == 0 || !concerned || !(always || self.world.percent(50)) {
            return 0;
        }
        let least = if always { weather.slow_ms / 2 } else { 1 };
        let took = self.world.within(least..weather.slow_ms);
        self.world.count(op.slow());
        match &weather.user {
            Some(user) => {
                self.world.count("store: slow for one user");
                self.world.user_is_slowed(user, took);
                self.held_until.fetch_max(self.world.ms() + HOLD.as_millis() as u64, Relaxed);
            }
            None => self.world.store_is_troubled(took),
        }
        took
    }

    /// The time until the caller hears of it. Who dies in here keeps a write that nobody was told.
    async fn answer(&self) {
        self.may_crash();
        self.world.sleep(1..4).await;
        if self.dead.is_cancelled() {
            self.world.count("crash: unanswered write kept");
        }
        self.gate().await;
    }

    fn may_fail(&self, op: Op) -> Result<(), StoreError> {
        let StoreWeather { fail_percent, only, .. } = self.world.store_weather();
        if fail_percent > 0 {
            self.world.store_is_troubled(0);
        }
        if only.is_none_or(|only| only == op) && self.world.percent(fail_percent) {
            self.world.count(op.failed());
            return Err(StoreError::Unavailable("the disk".into()));
        }
        Ok(())
    }

    /// For [`Bite::QuestionReplaces`]: what lingers of the session of one that waits is gone.
    fn replace_lingering(&self, state: &mut User) {
        let waits: Vec<_> = state
            .connections()
            .iter()
            .filter(|c| c.session == Session::AtGate)
            .map(|c| (c.platform, c.token))
            .collect();
        let is_gone = |session| matches!(session, Session::Lingering { .. });
        let gone: Vec<_> = state
            .connections()
            .iter()
            .filter(|c| is_gone(c.session) && waits.contains(&(c.platform, c.token)))
            .map(|c| c.id)
            .collect();
        let now = NodeClock::start(&self.world).now();
        for conn in gone {
            let _ =
                state.apply(Event::Kicked(Kick::Connection(conn)), now, &self.world.plan.policy);
        }
    }
}

#[async_trait]
impl Store for Disk {
    async fn load(&self, user: &UserId) -> Result<Versioned<User>, StoreError> {
        self.read(Op::Load).await?;
        let mut loaded = self.memory.load(user).await?;
        if self.world.bite == Some(Bite::SeqForgotten) && !loaded.value.is_online() {
            loaded.value = User::unknown(0);
        }
        Ok(loaded)
    }

    async fn commit(&self, mut commit: Commit) -> Result<(), StoreError> {
        self.sync_write(Op::Commit, Some(&commit.user)).await?;
        if self.world.bite == Some(Bite::QuestionReplaces) {
            self.replace_lingering(&mut commit.state);
        }
        self.memory.commit(commit.clone()).await?;
        self.world.committed(&commit, self.node, self.booted_at);
        self.answer().await;
        self.world.promised(&commit);
        Ok(())
    }

    async fn due_wakeups(&self, now: Instant, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.read(Op::DueWakeups).await?;
        let holds_all = self.world.bite == Some(Bite::OneSlowHoldsAll)
            && self.world.ms() < self.held_until.load(Relaxed);
        if self.world.bite == Some(Bite::NoWakeups) || holds_all {
            return Ok(Vec::new());
        }
        self.memory.due_wakeups(now, limit).await
    }

    async fn claim(&self, mut claim: Claim) -> Result<Vec<Claimed>, StoreError> {
        self.read(Op::Claim).await?;
        if self.world.bite == Some(Bite::LeaseForgotten) {
            claim.lease = Duration::from_millis(1);
        }
        let mut claimed = self.memory.claim(claim).await?;
        self.world.claimed(&claimed);
        claimed.iter().for_each(|callback| self.world.is_stored(callback));
        if self.world.bite == Some(Bite::YesterdaysSettings) {
            let edges = Edges::all();
            claimed.iter_mut().for_each(|callback| callback.change.edges = edges);
        }
        if self.world.bite == Some(Bite::RefusalOfOne) {
            claimed.iter_mut().for_each(|callback| callback.spoken_for.clear());
        }
        Ok(claimed)
    }

    async fn collapse(&self, wish: Collapse) -> Result<u64, StoreError> {
        self.sync_write(Op::Collapse, None).await?;
        let superseded = self.memory.collapse(wish).await?;
        if superseded > 0 {
            self.world.count("store: superseded");
        }
        self.answer().await;
        Ok(superseded)
    }

    async fn next_due(&self, endpoint: &EndpointName) -> Result<Option<Instant>, StoreError> {
        self.read(Op::NextDue).await?;
        self.memory.next_due(endpoint).await
    }

    async fn settle(&self, mut settlement: Settlement) -> Result<(), StoreError> {
        self.sync_write(Op::Settle, None).await?;
        let backs_off = matches!(settlement.fate, Fate::RetryAt { counts: false, .. });
        if self.world.bite == Some(Bite::BackOffIsDelivered) && backs_off {
            settlement.fate = Fate::Delivered;
        }
        self.memory.settle(settlement.clone()).await?;
        self.world.only_settled(&settlement);
        self.answer().await;
        Ok(())
    }

    async fn replay(&self, mut replay: Replay) -> Result<Replayed, StoreError> {
        self.sync_write(Op::Replay, None).await?;
        if self.world.bite == Some(Bite::ReplayTellsTheUser) {
            replay.scopes.iter_mut().for_each(|(_, scope)| *scope = Scope::User);
        }
        let replayed = self.memory.replay(replay).await?;
        self.answer().await;
        Ok(replayed)
    }

    async fn begin_anew(&self, anew: Anew) -> Result<(), StoreError> {
        self.memory.begin_anew(anew).await
    }

    async fn purge(&self, rows: Vec<u64>) -> Result<u64, StoreError> {
        self.sync_write(Op::Purge, None).await?;
        let purged = self.memory.purge(rows).await?;
        self.answer().await;
        Ok(purged)
    }

    async fn users(&self, query: UserQuery) -> Result<Vec<(UserId, User)>, StoreError> {
        self.read(Op::Users).await?;
        self.memory.users(query).await
    }

    async fn users_online(&self) -> Result<u64, StoreError> {
        self.read(Op::UsersOnline).await?;
        self.memory.users_online().await
    }

    async fn callbacks(&self, query: CallbackQuery) -> Result<Vec<CallbackRecord>, StoreError> {
        self.read(Op::Callbacks).await?;
        self.memory.callbacks(query).await
    }

    async fn callbacks_after(
        &self,
        endpoint: &EndpointName,
        row: u64,
        limit: usize,
    ) -> Result<Option<CallbacksPage>, StoreError> {
        self.read(Op::CallbacksAfter).await?;
        self.memory.callbacks_after(endpoint, row, limit).await
    }

    async fn newest_rows(&self, endpoint: &EndpointName) -> Result<(u64, u64), StoreError> {
        self.memory.newest_rows(endpoint).await
    }

    async fn callback(&self, id: &CallbackId) -> Result<Option<CallbackRecord>, StoreError> {
        self.read(Op::Callback).await?;
        self.memory.callback(id).await
    }

    async fn backlog(&self, endpoint: &EndpointName) -> Result<Backlog, StoreError> {
        self.read(Op::Backlog).await?;
        self.memory.backlog(endpoint).await
    }

    async fn marks_due(
        &self,
        endpoint: &EndpointName,
        now: Timestamp,
        limit: usize,
        at_once_only: bool,
    ) -> Result<Vec<Mark>, StoreError> {
        self.read(Op::Owes).await?;
        self.memory.marks_due(endpoint, now, limit, at_once_only).await
    }

    async fn mark_to_tell(&self, mark: &Mark) -> Result<Option<Mark>, StoreError> {
        self.read(Op::Owes).await?;
        self.memory.mark_to_tell(mark).await
    }

    async fn is_marked(&self, endpoint: &EndpointName, user: &UserId) -> Result<bool, StoreError> {
        self.read(Op::Owes).await?;
        self.memory.is_marked(endpoint, user).await
    }

    async fn owes(&self, endpoint: &EndpointName, user: &UserId) -> Result<bool, StoreError> {
        self.read(Op::Owes).await?;
        self.memory.owes(endpoint, user).await
    }

    async fn endpoints(&self) -> Result<Vec<EndpointName>, StoreError> {
        self.read(Op::Endpoints).await?;
        self.memory.endpoints().await
    }

    async fn endpoint(&self, endpoint: &EndpointName) -> Result<EndpointState, StoreError> {
        self.read(Op::Endpoint).await?;
        self.memory.endpoint(endpoint).await
    }

    async fn change_endpoint(
        &self,
        endpoint: &EndpointName,
        change: EndpointChange,
    ) -> Result<(), StoreError> {
        self.sync_write(Op::ChangeEndpoint, None).await?;
        self.memory.change_endpoint(endpoint, change).await?;
        self.answer().await;
        Ok(())
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        self.sync_write(Op::Prune, None).await?;
        let pruned = self.memory.prune(prune).await?;
        if pruned.expired > 0 {
            self.world.count("store: expired");
        }
        if pruned.users > 0 {
            self.world.count("store: users forgotten");
        }
        self.answer().await;
        Ok(pruned)
    }

    async fn register(&self, accounts: Vec<Account>) -> Result<Registered, StoreError> {
        self.sync_write(Op::Register, None).await?;
        let registered = self.memory.register(accounts).await?;
        self.answer().await;
        Ok(registered)
    }

    async fn erase(&self, erase: &Erase) -> Result<Erasure, StoreError> {
        self.memory.erase(erase).await
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        self.read(Op::Accounts).await?;
        self.memory.accounts(users).await
    }

    async fn epoch(&self, fresh: &str) -> Result<String, StoreError> {
        self.sync_write(Op::Epoch, None).await?;
        let epoch = self.memory.epoch(fresh).await?;
        self.answer().await;
        Ok(epoch)
    }

    async fn ages(&self) -> Result<Ages, StoreError> {
        self.memory.ages().await
    }

    async fn keep_ages(&self, ages: Ages) -> Result<(), StoreError> {
        self.memory.keep_ages(ages).await
    }

    async fn highest_seq(&self) -> Result<u64, StoreError> {
        self.sync_write(Op::Epoch, None).await?;
        self.memory.highest_seq().await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.sync_write(Op::Probe, None).await
    }
}
