//! The disk: a [`Memory`] whose writes take time, fail, and are lost when the process dies before
//! they are synced. On `Ok` a write is durable, as the store's contract says.

use crate::{bite::Bite, world::World};
use async_trait::async_trait;
use presence::{Instant, Timestamp, User, UserId};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use store::{
    Account, Backlog, CallbackId, CallbackQuery, CallbackRecord, Claim, Claimed, Collapse, Commit,
    EndpointChange, EndpointName, EndpointState, Fate, Memory, Prune, Pruned, Registered, Replayed,
    Settlement, Store, StoreError, UserQuery, Versioned,
};
use tokio_util::sync::CancellationToken;

/// Longer than this is trouble, in milliseconds.
const WRITE_MS_MAX: u64 = 12;

/// One write in so many is cut short by a crash, in runs that have crashes.
const CRASH_ONE_IN: u64 = 1_500;

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
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    /// Processes die in the middle of a write more often than chance has it.
    fn may_crash(&self) {
        if self.world.plan.faults.crashes && self.world.within(0..CRASH_ONE_IN) == 0 {
            self.world.crashes.notify_one();
        }
    }

    async fn read(&self) -> Result<(), StoreError> {
        self.gate().await;
        self.may_fail()
    }

    /// The time until a write is durable. Who dies in here loses it.
    async fn sync_write(&self) -> Result<(), StoreError> {
        self.gate().await;
        self.may_crash();
        let slow = self.world.store_weather().slow_ms;
        let took = if slow > 0 && self.world.percent(50) {
            let took = self.world.within(1..slow);
            self.world.store_is_troubled(took);
            self.world.count("store: slow write");
            took
        } else {
            self.world.within(1..WRITE_MS_MAX)
        };
        tokio::time::sleep(Duration::from_millis(took)).await;
        if self.dead.is_cancelled() {
            self.world.count("crash: unsynced write lost");
        }
        self.gate().await;
        self.may_fail()
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

    fn may_fail(&self) -> Result<(), StoreError> {
        let percent = self.world.store_weather().fail_percent;
        if percent > 0 {
            self.world.store_is_troubled(0);
        }
        if self.world.percent(percent) {
            self.world.count("store: failed call");
            return Err(StoreError::Unavailable("the disk".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Disk {
    async fn load(&self, user: &UserId) -> Result<Versioned<User>, StoreError> {
        self.read().await?;
        let mut loaded = self.memory.load(user).await?;
        if self.world.bite == Some(Bite::SeqForgotten) && !loaded.value.is_online() {
            loaded.value = User::unknown(0);
        }
        Ok(loaded)
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.sync_write().await?;
        self.memory.commit(commit.clone()).await?;
        self.world.committed(&commit, self.node, self.booted_at);
        self.answer().await;
        self.world.promised(&commit);
        Ok(())
    }

    async fn due_wakeups(&self, now: Instant, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.read().await?;
        if self.world.bite == Some(Bite::NoWakeups) {
            return Ok(Vec::new());
        }
        self.memory.due_wakeups(now, limit).await
    }

    async fn claim(&self, mut claim: Claim) -> Result<Vec<Claimed>, StoreError> {
        self.read().await?;
        if self.world.bite == Some(Bite::LeaseForgotten) {
            claim.lease = Duration::from_millis(1);
        }
        self.memory.claim(claim).await
    }

    async fn collapse(&self, wish: Collapse) -> Result<u64, StoreError> {
        self.sync_write().await?;
        let superseded = self.memory.collapse(wish).await?;
        if superseded > 0 {
            self.world.count("store: superseded");
        }
        self.answer().await;
        Ok(superseded)
    }

    async fn next_due(&self, endpoint: &EndpointName) -> Result<Option<Instant>, StoreError> {
        self.read().await?;
        self.memory.next_due(endpoint).await
    }

    async fn settle(&self, mut settlement: Settlement) -> Result<(), StoreError> {
        self.sync_write().await?;
        let backs_off = matches!(settlement.fate, Fate::RetryAt { counts: false, .. });
        if self.world.bite == Some(Bite::BackOffIsDelivered) && backs_off {
            settlement.fate = Fate::Delivered;
        }
        let settled = self.memory.settle(settlement).await;
        self.answer().await;
        settled
    }

    async fn replay(&self, id: &CallbackId, now: Timestamp) -> Result<Replayed, StoreError> {
        self.sync_write().await?;
        self.memory.replay(id, now).await
    }

    async fn purge(&self, rows: Vec<u64>) -> Result<u64, StoreError> {
        self.sync_write().await?;
        self.memory.purge(rows).await
    }

    async fn users(&self, query: UserQuery) -> Result<Vec<(UserId, User)>, StoreError> {
        self.read().await?;
        self.memory.users(query).await
    }

    async fn users_online(&self) -> Result<u64, StoreError> {
        self.read().await?;
        self.memory.users_online().await
    }

    async fn callbacks(&self, query: CallbackQuery) -> Result<Vec<CallbackRecord>, StoreError> {
        self.read().await?;
        self.memory.callbacks(query).await
    }

    async fn callbacks_after(
        &self,
        endpoint: &EndpointName,
        row: u64,
        limit: usize,
    ) -> Result<Option<Vec<CallbackRecord>>, StoreError> {
        self.read().await?;
        self.memory.callbacks_after(endpoint, row, limit).await
    }

    async fn callback(&self, id: &CallbackId) -> Result<Option<CallbackRecord>, StoreError> {
        self.read().await?;
        self.memory.callback(id).await
    }

    async fn backlog(&self, endpoint: &EndpointName) -> Result<Backlog, StoreError> {
        self.read().await?;
        self.memory.backlog(endpoint).await
    }

    async fn owes(&self, endpoint: &EndpointName, user: &UserId) -> Result<bool, StoreError> {
        self.read().await?;
        self.memory.owes(endpoint, user).await
    }

    async fn endpoints(&self) -> Result<Vec<EndpointName>, StoreError> {
        self.read().await?;
        self.memory.endpoints().await
    }

    async fn endpoint(&self, endpoint: &EndpointName) -> Result<EndpointState, StoreError> {
        self.read().await?;
        self.memory.endpoint(endpoint).await
    }

    async fn change_endpoint(
        &self,
        endpoint: &EndpointName,
        change: EndpointChange,
    ) -> Result<(), StoreError> {
        self.sync_write().await?;
        self.memory.change_endpoint(endpoint, change).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        self.sync_write().await?;
        let pruned = self.memory.prune(prune).await?;
        if pruned.expired > 0 {
            self.world.count("store: expired");
        }
        if pruned.users > 0 {
            self.world.count("store: users forgotten");
        }
        Ok(pruned)
    }

    async fn register(&self, accounts: Vec<Account>) -> Result<Registered, StoreError> {
        self.sync_write().await?;
        self.memory.register(accounts).await
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        self.read().await?;
        self.memory.accounts(users).await
    }

    async fn epoch(&self, fresh: &str) -> Result<String, StoreError> {
        self.sync_write().await?;
        self.memory.epoch(fresh).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.sync_write().await
    }
}
