//! Everything in one mutex; nothing survives. For tests, the simulator, and `backend = "memory"`.

mod prune;

use crate::{
    Account, Anew, Backlog, CallbackId, CallbackQuery, CallbackRecord, CallbackState,
    CallbacksPage, Claim, Claimed, Collapse, Commit, EndpointChange, EndpointName, EndpointState,
    Erase, Erased, Erasure, Fate, Mark, Prune, Pruned, Registered, Replay, Replayed, Resync,
    Settlement, Store, StoreError, UserQuery, Versioned,
    callback::{keep_attempt, speak_for},
    index::Index,
    query::scope_of,
    queue::Row,
};
use async_trait::async_trait;
use presence::{Ages, Instant, Subject, Timestamp, User, UserId, Waiting};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The backend without a disk.
#[derive(Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    users: BTreeMap<UserId, StoredUser>,
    seq_floor: u64,
    highest_seq: u64,
    epoch: Option<String>,
    ages: Ages,
    callbacks: BTreeMap<Row, Stored>,
    last_row: Row,
    accounts: HashMap<UserId, Account>,
    index: Index,
}

#[derive(Clone)]
struct StoredUser {
    version: u64,
    state: User,
    wake_at: Option<Instant>,
    touched_at: Timestamp,
}

#[derive(Clone)]
struct Stored {
    record: CallbackRecord,
    queued_at: Timestamp,
    settled_at: Timestamp,
}

impl Memory {
    /// What the next process would find, had this one had a disk. Like [`crate::Sqlite`] it knows
    /// no leases and no due times.
    pub fn reopened(&self) -> Memory {
        let old = self.lock();
        let mut index = Index::default();
        for (name, user) in &old.users {
            index.put_user(name, user.version, user.state.clone(), user.wake_at);
        }
        for (row, Stored { record, queued_at, .. }) in &old.callbacks {
            match record.state {
                CallbackState::Pending => {
                    index.requeue(&record.id, *row, *queued_at);
                }
                CallbackState::Dead => index.count_dead(&record.id.endpoint, 1),
                _ => {}
            }
        }
        for (name, state) in old.index.endpoint_states() {
            index.put_endpoint(name.clone(), state.clone());
        }
        index.take_marks_of(&old.index);
        index.begin_after(old.last_row);
        let state = State {
            users: old.users.clone(),
            seq_floor: old.seq_floor,
            highest_seq: old.highest_seq,
            epoch: old.epoch.clone(),
            ages: old.ages.clone(),
            callbacks: old.callbacks.clone(),
            last_row: old.last_row,
            accounts: old.accounts.clone(),
            index,
        };
        Memory { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Memory {
    async fn load(&self, user: &UserId) -> Result<Versioned<User>, StoreError> {
        let state = self.lock();
        let Some(stored) = state.users.get(user) else {
            return Ok(Versioned { version: 0, value: User::unknown(state.seq_floor) });
        };
        Ok(Versioned { version: stored.version, value: stored.state.clone() })
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let state = &mut *self.lock();
        let version = state.users.get(&commit.user).map_or(0, |stored| stored.version);
        if version != commit.based_on {
            return Err(StoreError::Conflict);
        }
        let answered = match &commit.answers {
            Some(mark) => {
                let known = state.index.marks_mut(&mark.endpoint).get(&mark.user, mark.subject);
                Some(known.cloned().ok_or(StoreError::Conflict)?)
            }
            None => None,
        };
        if let Some(settlement) = commit.settles {
            state.settle(settlement)?;
        }
        match (commit.answers, answered) {
            (Some(mark), _) if commit.callbacks.is_empty() => state.take_back(&mark),
            (_, Some(known)) => {
                state.index.marks_mut(&known.endpoint.clone()).put(known.told(commit.at));
            }
            (_, None) => {}
        }
        state.highest_seq = state.highest_seq.max(commit.state.last_seq());
        let version = version + 1;
        let stored = StoredUser {
            version,
            state: commit.state.clone(),
            wake_at: commit.wake_at,
            touched_at: commit.at,
        };
        state.users.insert(commit.user.clone(), stored);
        state.index.put_user(&commit.user, version, commit.state, commit.wake_at);
        for callback in commit.callbacks {
            state.last_row += 1;
            state.index.push(&commit.user, state.last_row, &callback);
            let seq = callback.change.seq;
            let id = CallbackId { endpoint: callback.endpoint, user: commit.user.clone(), seq };
            let record = CallbackRecord {
                row: state.last_row,
                id,
                change: callback.change,
                operation_id: callback.operation_id,
                state: CallbackState::Pending,
                tries: 0,
                attempts: Vec::new(),
                replayed: false,
                collapsed: 0,
                spoken_for: callback.speaks_for,
            };
            let (queued_at, settled_at) = (record.change.at, commit.at);
            state.callbacks.insert(record.row, Stored { record, queued_at, settled_at });
        }
        Ok(())
    }

    async fn due_wakeups(&self, now: Instant, limit: usize) -> Result<Vec<UserId>, StoreError> {
        Ok(self.lock().index.due_wakeups(now, limit))
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError> {
        let state = &mut *self.lock();
        let leases = state.index.claim(&claim);
        let claimed = leases.into_iter().filter_map(|lease| {
            let record = &state.callbacks.get(&lease.row)?.record;
            Some(Claimed {
                spoken_for: record.spoken_for.clone(),
                change: record.change.clone(),
                operation_id: record.operation_id.clone(),
                tries: record.tries,
                attempts: record.attempts.len() as u32,
                replayed: record.replayed,
                is_inherited: lease.is_inherited,
                collapsed: record.collapsed,
                lease,
            })
        });
        Ok(claimed.collect())
    }

    async fn collapse(&self, wish: Collapse) -> Result<u64, StoreError> {
        let state = &mut *self.lock();
        let lines = state.index.collapsible(&wish);
        Ok(lines.into_iter().map(|(_, rows)| state.collapse(&wish, &rows)).sum())
    }

    async fn next_due(&self, endpoint: &EndpointName) -> Result<Option<Instant>, StoreError> {
        Ok(self.lock().index.next_due(endpoint))
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        self.lock().settle(settlement)
    }

    async fn replay(&self, replay: Replay) -> Result<Replayed, StoreError> {
        let state = &mut *self.lock();
        let mut replayed = Replayed::default();
        for id in &replay.ids {
            let settled = state.callbacks.values().map(|stored| &stored.record);
            let settled = settled.filter(|record| record.state != CallbackState::Pending);
            let Some(record) = settled.clone().find(|record| record.id == *id).cloned() else {
                replayed.unknown += 1;
                continue;
            };
            if state.index.is_busy(id) {
                replayed.in_flight += 1;
                continue;
            }
            state.queue_again(record, &replay);
            replayed.queued += 1;
        }
        Ok(replayed)
    }

    async fn begin_anew(&self, anew: Anew) -> Result<(), StoreError> {
        self.lock().begin_anew(anew);
        Ok(())
    }

    async fn purge(&self, rows: Vec<u64>) -> Result<u64, StoreError> {
        let state = &mut *self.lock();
        let mut purged = 0;
        for row in rows {
            let settled = state.callbacks.get(&row).map(|stored| &stored.record);
            let Some(record) = settled.filter(|r| r.state != CallbackState::Pending) else {
                continue;
            };
            let was_dead = record.state == CallbackState::Dead;
            state.index.count_dead(&record.id.endpoint, -i64::from(was_dead));
            let endpoint = record.id.endpoint.clone();
            state.callbacks.remove(&row);
            state.change_endpoint(&endpoint, EndpointChange::Forgot(row));
            purged += 1;
        }
        Ok(purged)
    }

    async fn users(&self, query: UserQuery) -> Result<Vec<(UserId, User)>, StoreError> {
        let state = self.lock();
        if query.online_only {
            return Ok(state.index.online_after(query.after.as_ref(), query.limit));
        }
        let from = query.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let users = state.users.range::<UserId, _>((from, Bound::Unbounded));
        let page =
            users.take(query.limit).map(|(user, stored)| (user.clone(), stored.state.clone()));
        Ok(page.collect())
    }

    async fn users_online(&self) -> Result<u64, StoreError> {
        Ok(self.lock().index.users_online())
    }

    async fn callbacks(&self, query: CallbackQuery) -> Result<Vec<CallbackRecord>, StoreError> {
        let state = self.lock();
        let rows = state.callbacks.range(..query.before.unwrap_or(Row::MAX)).rev();
        let wanted = rows.map(|(_, stored)| &stored.record).filter(|record| {
            query.state.is_none_or(|state| state == record.state)
                && query.user.as_ref().is_none_or(|user| *user == record.id.user)
                && query.endpoint.as_ref().is_none_or(|endpoint| *endpoint == record.id.endpoint)
        });
        Ok(wanted.take(query.limit).cloned().collect())
    }

    async fn callbacks_after(
        &self,
        endpoint: &EndpointName,
        row: u64,
        limit: usize,
    ) -> Result<Option<CallbacksPage>, StoreError> {
        let state = self.lock();
        if row < state.index.endpoint(endpoint).forgotten_row {
            return Ok(None);
        }
        let records = state.callbacks.range(row + 1..).map(|(_, stored)| &stored.record);
        let wanted = records.filter(|record| record.id.endpoint == *endpoint);
        let records: Vec<_> = wanted.take(limit).cloned().collect();
        let is_all = records.len() < limit;
        let last = if is_all { Some(state.last_row) } else { records.last().map(|r| r.row) };
        let cursor = last.unwrap_or(row).max(row);
        Ok(Some(CallbacksPage { records, cursor }))
    }

    async fn newest_rows(&self, endpoint: &EndpointName) -> Result<(u64, u64), StoreError> {
        Ok(self.lock().index.newest_rows(endpoint))
    }

    async fn callback(&self, id: &CallbackId) -> Result<Option<CallbackRecord>, StoreError> {
        let state = self.lock();
        let mut records = state.callbacks.values().map(|stored| &stored.record);
        Ok(records.find(|record| record.id == *id).cloned())
    }

    async fn backlog(&self, endpoint: &EndpointName) -> Result<Backlog, StoreError> {
        Ok(self.lock().index.backlog(endpoint))
    }

    async fn marks_due(
        &self,
        endpoint: &EndpointName,
        now: Timestamp,
        limit: usize,
        at_once_only: bool,
    ) -> Result<Vec<Mark>, StoreError> {
        Ok(self.lock().index.marks_due(endpoint, now, limit, at_once_only))
    }

    async fn mark_to_tell(&self, mark: &Mark) -> Result<Option<Mark>, StoreError> {
        Ok(self.lock().index.mark_to_tell(mark))
    }

    async fn is_marked(&self, endpoint: &EndpointName, user: &UserId) -> Result<bool, StoreError> {
        Ok(self.lock().index.is_marked(endpoint, user))
    }

    async fn owes(&self, endpoint: &EndpointName, user: &UserId) -> Result<bool, StoreError> {
        Ok(self.lock().index.owes_to(endpoint, user))
    }

    async fn endpoints(&self) -> Result<Vec<EndpointName>, StoreError> {
        Ok(self.lock().index.endpoints())
    }

    async fn endpoint(&self, endpoint: &EndpointName) -> Result<EndpointState, StoreError> {
        Ok(self.lock().index.endpoint(endpoint))
    }

    async fn change_endpoint(
        &self,
        endpoint: &EndpointName,
        change: EndpointChange,
    ) -> Result<(), StoreError> {
        self.lock().change_endpoint(endpoint, change);
        Ok(())
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        let state = &mut *self.lock();
        let expired = state.expire(&prune);
        let callbacks = state.forget_history(&prune);
        let users = state.forget_users(&prune);
        state.forget_marks(&prune);
        Ok(Pruned { callbacks, expired, users })
    }

    async fn register(&self, accounts: Vec<Account>) -> Result<Registered, StoreError> {
        let state = &mut *self.lock();
        if let Some(known) = accounts.iter().find(|a| state.accounts.contains_key(&a.user)) {
            return Ok(Registered::Already(known.user.clone()));
        }
        let accounts = accounts.into_iter().map(|account| (account.user.clone(), account));
        state.accounts.extend(accounts);
        Ok(Registered::All)
    }

    async fn erase(&self, erase: &Erase) -> Result<Erasure, StoreError> {
        let state = &mut *self.lock();
        let user = &erase.user;
        if state.index.is_active(user) || !state.give_up(erase) {
            return Ok(Erasure::StillNeeded);
        }
        let theirs = || state.callbacks.values().filter(|stored| stored.record.id.user == *user);
        let rows: Vec<Row> = theirs().map(|stored| stored.record.row).collect();
        let is_owed = |stored: &&Stored| stored.record.state == CallbackState::Pending;
        let owed = theirs().filter(is_owed).count() as u64;
        let callbacks = state.forget_rows(&rows);
        Ok(Erasure::Done(Erased {
            state: state.forget_user(user),
            account: state.accounts.remove(user).is_some(),
            callbacks,
            owed,
            set_aside: 0,
        }))
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        let state = self.lock();
        Ok(users.iter().map(|user| state.accounts.get(user).cloned()).collect())
    }

    async fn epoch(&self, fresh: &str) -> Result<String, StoreError> {
        Ok(self.lock().epoch.get_or_insert_with(|| fresh.to_owned()).clone())
    }

    async fn ages(&self) -> Result<Ages, StoreError> {
        Ok(self.lock().ages.clone())
    }

    async fn keep_ages(&self, ages: Ages) -> Result<(), StoreError> {
        self.lock().ages = ages;
        Ok(())
    }

    async fn highest_seq(&self) -> Result<u64, StoreError> {
        Ok(self.lock().highest_seq)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl State {
    fn settle(&mut self, settlement: Settlement) -> Result<(), StoreError> {
        let Settlement { lease, change, subject, attempt, fate, at } = settlement;
        if !self.index.holds(&lease) {
            return Err(StoreError::LeaseLost);
        }
        let Some(Stored { record, settled_at, .. }) = self.callbacks.get_mut(&lease.row) else {
            return Err(StoreError::LeaseLost);
        };
        if let Some(attempt) = attempt {
            keep_attempt(&mut record.attempts, attempt);
        }
        *settled_at = at;
        record.state = match fate {
            Fate::Delivered => CallbackState::Delivered,
            Fate::Dead => {
                record.tries += 1;
                CallbackState::Dead
            }
            Fate::Dropped | Fate::Unwanted { .. } => CallbackState::Superseded,
            Fate::RetryAt { at, counts } => {
                record.tries += u32::from(counts);
                self.index.retry(&lease, at);
                return Ok(());
            }
        };
        self.index.count_dead(&lease.id.endpoint, i64::from(fate == Fate::Dead));
        self.index.remove(&lease.id, lease.row);
        let CallbackId { endpoint, user, .. } = lease.id;
        if !change.kind.is_about_a_subject() {
            return Ok(());
        }
        match fate {
            Fate::Delivered if !change.kind.says_who_is_online() => {}
            Fate::Delivered => self.accepted(&endpoint, &user, subject, change.seq),
            Fate::Dead => self.mark(Mark::given_up((endpoint, user, subject), change, at)),
            Fate::Unwanted { retell: true } => {
                self.mark(Mark::given_up((endpoint, user, subject), change, at).at_once());
            }
            Fate::Unwanted { .. } | Fate::Dropped | Fate::RetryAt { .. } => {}
        }
        Ok(())
    }

    /// Its subject is told how it is, unless it is told something newer before.
    fn mark(&mut self, mark: Mark) {
        let (endpoint, at) = (mark.endpoint.clone(), mark.detail.marked_at);
        let is_given_up = !mark.detail.at_once;
        let resynced_at = self.index.endpoint(&endpoint).resynced_at;
        let marks = self.index.marks_mut(&endpoint);
        let is_first = !marks.of(&mark.user).any(|mark| mark.is_asked_for(resynced_at));
        let mark = match marks.get(&mark.user, mark.subject) {
            Some(older) => mark.with(older),
            None if marks.is_full() => {
                let why = "more was not told than can be told again".to_owned();
                let resync = Resync { since: at, why, heals: false };
                return self.change_endpoint(&endpoint, EndpointChange::NeedsResync(resync));
            }
            None => mark,
        };
        marks.put(mark);
        if is_first && is_given_up {
            self.change_endpoint(&endpoint, EndpointChange::GaveUp(at));
        }
    }

    fn begin_anew(&mut self, anew: Anew) {
        let Anew { endpoint, scope, missed, begins, at } = anew;
        for missed in missed {
            self.mark(Mark::anew(&endpoint, scope, missed, at));
        }
        if begins {
            self.last_row += 1;
            self.change_endpoint(&endpoint, EndpointChange::Anew(self.last_row));
            self.index.skip_row(endpoint, self.last_row);
        }
    }

    fn accepted(&mut self, endpoint: &EndpointName, user: &UserId, subject: Subject, seq: u64) {
        let marks = self.index.marks_mut(endpoint);
        let answered = marks.answered(user, subject, seq);
        self.unmark(endpoint, user, &answered);
    }

    /// Takes a mark back, unless it is about a later change by now.
    fn take_back(&mut self, mark: &Mark) {
        let known = self.index.marks_mut(&mark.endpoint).get(&mark.user, mark.subject);
        if known.is_some_and(|known| known.seq <= mark.seq) {
            self.unmark(&mark.endpoint, &mark.user, &[mark.subject]);
        }
    }

    fn unmark(&mut self, endpoint: &EndpointName, user: &UserId, subjects: &[Subject]) {
        let marks = self.index.marks_mut(endpoint);
        subjects.iter().for_each(|subject| marks.remove(user, *subject));
        if !subjects.is_empty() && marks.len() == 0 {
            self.change_endpoint(endpoint, EndpointChange::Healed);
        }
    }

    fn queue_again(&mut self, record: CallbackRecord, replay: &Replay) {
        let CallbackRecord { row, id, change, .. } = record;
        self.requeue(row, replay.at);
        let last = self.users.get(&id.user).map(|stored| stored.state.last_seq());
        if !change.kind.is_about_a_subject() || last == Some(id.seq) {
            return;
        }
        // It is not the last word about the user any more.
        let subject = Subject::of(&change, scope_of(&replay.scopes, &id.endpoint));
        let last = last.unwrap_or(id.seq);
        let mark = Mark::given_up((id.endpoint, id.user, subject), change, replay.at);
        self.mark(mark.at_once().beyond(last));
    }

    fn collapse(&mut self, wish: &Collapse, rows: &[Row]) -> u64 {
        let records = rows.iter().filter_map(|row| self.callbacks.get(row));
        let line: Vec<Waiting<'_>> = records
            .map(|Stored { record, .. }| Waiting {
                change: &record.change,
                fresh: record.attempts.is_empty() && !record.replayed,
            })
            .collect();
        let replaced = presence::collapse(&line, wish.scope);
        let mut superseded = 0;
        for (row, by) in rows.iter().zip(replaced) {
            let Some(by) = by else { continue };
            let Some(stored) = self.callbacks.get_mut(row) else { continue };
            let Stored { record, settled_at, .. } = stored;
            record.state = CallbackState::Superseded;
            *settled_at = wish.at;
            let (collapsed, change) = (record.collapsed + 1, record.change.clone());
            let before = std::mem::take(&mut record.spoken_for);
            self.index.supersede(&record.id, *row);
            if let Some(other) = self.callbacks.get_mut(&rows[by]) {
                other.record.collapsed += collapsed;
                speak_for(&mut other.record.spoken_for, &change, before);
            }
            superseded += 1;
        }
        superseded
    }

    fn change_endpoint(&mut self, endpoint: &EndpointName, change: EndpointChange) {
        let mut state = self.index.endpoint(endpoint);
        state.apply(change, self.highest_seq);
        self.index.put_endpoint(endpoint.clone(), state);
    }

    fn requeue(&mut self, row: Row, now: Timestamp) {
        let Some(Stored { record, queued_at, .. }) = self.callbacks.get_mut(&row) else { return };
        *queued_at = now;
        let was_dead = record.state == CallbackState::Dead;
        self.index.count_dead(&record.id.endpoint, -i64::from(was_dead));
        record.state = CallbackState::Pending;
        record.tries = 0;
        record.replayed = true;
        self.index.requeue(&record.id, row, now);
    }
}
