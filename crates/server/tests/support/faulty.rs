//! A store that panics to order, at one user's calls or at all calls of a kind, and whose commits are
//! slow or fail to order.

use async_trait::async_trait;
use presence::{Ages, Instant, Timestamp, User, UserId};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{
    Account, Anew, Backlog, CallbackId, CallbackQuery, CallbackRecord, CallbacksPage, Claim,
    Claimed, Collapse, Commit, EndpointChange, EndpointName, EndpointState, Erase, Erasure, Mark,
    Memory, Prune, Pruned, Registered, Replay, Replayed, Settlement, Store, StoreError, UserQuery,
    Versioned,
};
use tokio_util::sync::CancellationToken;

#[derive(Default)]
pub struct Faulty {
    memory: Memory,
    /// `call` or `call user`.
    orders: Mutex<HashSet<String>>,
    /// How often each was carried out.
    panics: Mutex<HashMap<String, usize>>,
    commits: Mutex<Option<CommitScript>>,
    loads: Mutex<Option<LoadScript>>,
    pub probe_fails: AtomicBool,
    pub ended: CancellationToken,
}

/// How long the commit of a user takes, and how it fails.
type CommitScript =
    Box<dyn Fn(&UserId) -> (Duration, Option<StoreError>) + Send + std::marker::Sync>;

/// How the load of a user fails.
type LoadScript = Box<dyn Fn(&UserId) -> Option<StoreError> + Send + std::marker::Sync>;

impl Faulty {
    pub fn new() -> Arc<Faulty> {
        Arc::default()
    }

    /// From now on this call panics: `load`, or `load alice` for one user alone.
    pub fn panic_at(&self, call: &str) {
        self.orders.lock().unwrap().insert(call.to_owned());
    }

    pub fn work_at(&self, call: &str) {
        self.orders.lock().unwrap().remove(call);
    }

    /// From now on commits go so.
    pub fn commits(
        &self,
        script: impl Fn(&UserId) -> (Duration, Option<StoreError>) + Send + std::marker::Sync + 'static,
    ) {
        *self.commits.lock().unwrap() = Some(Box::new(script));
    }

    /// From now on loads go so.
    pub fn loads(
        &self,
        script: impl Fn(&UserId) -> Option<StoreError> + Send + std::marker::Sync + 'static,
    ) {
        *self.loads.lock().unwrap() = Some(Box::new(script));
    }

    /// How often this call panicked.
    pub fn panics_at(&self, call: &str) -> usize {
        self.panics.lock().unwrap().get(call).copied().unwrap_or_default()
    }

    fn may_panic(&self, call: &str) {
        if self.orders.lock().unwrap().contains(call) {
            *self.panics.lock().unwrap().entry(call.to_owned()).or_default() += 1;
            panic!("{call} panics on purpose");
        }
    }

    fn may_panic_of(&self, call: &str, user: &UserId) {
        self.may_panic(&format!("{call} {user}"));
    }
}

#[async_trait]
impl Store for Faulty {
    async fn load(&self, user: &UserId) -> Result<Versioned<User>, StoreError> {
        self.may_panic_of("load", user);
        let error = self.loads.lock().unwrap().as_ref().and_then(|script| script(user));
        if let Some(error) = error {
            return Err(error);
        }
        self.memory.load(user).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.may_panic_of("commit", &commit.user);
        let script = self.commits.lock().unwrap().as_ref().map(|script| script(&commit.user));
        let (takes, error) = script.unwrap_or_default();
        tokio::time::sleep(takes).await;
        if let Some(error) = error {
            return Err(error);
        }
        self.memory.commit(commit).await
    }

    async fn due_wakeups(&self, now: Instant, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.may_panic("due_wakeups");
        self.memory.due_wakeups(now, limit).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError> {
        self.may_panic("claim");
        self.memory.claim(claim).await
    }

    async fn collapse(&self, wish: Collapse) -> Result<u64, StoreError> {
        self.memory.collapse(wish).await
    }

    async fn next_due(&self, endpoint: &EndpointName) -> Result<Option<Instant>, StoreError> {
        self.memory.next_due(endpoint).await
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        self.may_panic_of("settle", &settlement.lease.id.user);
        self.memory.settle(settlement).await
    }

    async fn replay(&self, replay: Replay) -> Result<Replayed, StoreError> {
        self.memory.replay(replay).await
    }

    async fn begin_anew(&self, anew: Anew) -> Result<(), StoreError> {
        self.memory.begin_anew(anew).await
    }

    async fn purge(&self, rows: Vec<u64>) -> Result<u64, StoreError> {
        self.memory.purge(rows).await
    }

    async fn users(&self, query: UserQuery) -> Result<Vec<(UserId, User)>, StoreError> {
        self.memory.users(query).await
    }

    async fn users_online(&self) -> Result<u64, StoreError> {
        self.memory.users_online().await
    }

    async fn callbacks(&self, query: CallbackQuery) -> Result<Vec<CallbackRecord>, StoreError> {
        self.may_panic("callbacks");
        self.memory.callbacks(query).await
    }

    async fn callbacks_after(
        &self,
        endpoint: &EndpointName,
        row: u64,
        limit: usize,
    ) -> Result<Option<CallbacksPage>, StoreError> {
        self.memory.callbacks_after(endpoint, row, limit).await
    }

    async fn newest_rows(&self, endpoint: &EndpointName) -> Result<(u64, u64), StoreError> {
        self.memory.newest_rows(endpoint).await
    }

    async fn callback(&self, id: &CallbackId) -> Result<Option<CallbackRecord>, StoreError> {
        self.memory.callback(id).await
    }

    async fn backlog(&self, endpoint: &EndpointName) -> Result<Backlog, StoreError> {
        self.memory.backlog(endpoint).await
    }

    async fn marks_due(
        &self,
        endpoint: &EndpointName,
        now: Timestamp,
        limit: usize,
        at_once_only: bool,
    ) -> Result<Vec<Mark>, StoreError> {
        self.memory.marks_due(endpoint, now, limit, at_once_only).await
    }

    async fn mark_to_tell(&self, mark: &Mark) -> Result<Option<Mark>, StoreError> {
        self.memory.mark_to_tell(mark).await
    }

    async fn is_marked(&self, endpoint: &EndpointName, user: &UserId) -> Result<bool, StoreError> {
        self.memory.is_marked(endpoint, user).await
    }

    async fn owes(&self, endpoint: &EndpointName, user: &UserId) -> Result<bool, StoreError> {
        self.memory.owes(endpoint, user).await
    }

    async fn endpoints(&self) -> Result<Vec<EndpointName>, StoreError> {
        self.memory.endpoints().await
    }

    async fn endpoint(&self, endpoint: &EndpointName) -> Result<EndpointState, StoreError> {
        self.memory.endpoint(endpoint).await
    }

    async fn change_endpoint(
        &self,
        endpoint: &EndpointName,
        change: EndpointChange,
    ) -> Result<(), StoreError> {
        self.memory.change_endpoint(endpoint, change).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        self.may_panic("prune");
        self.memory.prune(prune).await
    }

    async fn register(&self, accounts: Vec<Account>) -> Result<Registered, StoreError> {
        self.memory.register(accounts).await
    }

    async fn erase(&self, erase: &Erase) -> Result<Erasure, StoreError> {
        self.memory.erase(erase).await
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        self.memory.accounts(users).await
    }

    async fn epoch(&self, fresh: &str) -> Result<String, StoreError> {
        self.memory.epoch(fresh).await
    }

    async fn ages(&self) -> Result<Ages, StoreError> {
        self.memory.ages().await
    }

    async fn keep_ages(&self, ages: Ages) -> Result<(), StoreError> {
        self.memory.keep_ages(ages).await
    }

    async fn highest_seq(&self) -> Result<u64, StoreError> {
        self.memory.highest_seq().await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.may_panic("probe");
        match self.probe_fails.load(Relaxed) {
            true => Err(StoreError::Unavailable("on purpose".into())),
            false => self.memory.probe().await,
        }
    }

    async fn ended(&self) {
        self.ended.cancelled().await;
    }
}
