//! What a backend that lives in one process keeps in memory: the users that are present or have a
//! deadline, and the queue of each endpoint. SQLite is never read for an event of such a user.

use crate::{
    Backlog, Claim, Collapse, EndpointName, EndpointState, Lease, Mark, NewCallback, Versioned,
    callback::{COLLAPSED_MAX, CallbackId},
    mark::Marks,
    queue::{Entry, Granted, Queue, Row},
};
use presence::{Change, Instant, Timestamp, User, UserId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Default)]
pub(crate) struct Index {
    active: BTreeMap<UserId, Active>,
    wakeups: BTreeSet<(Instant, UserId)>,
    queues: HashMap<EndpointName, Queue>,
    marks: HashMap<EndpointName, Marks>,
    dead: HashMap<EndpointName, u64>,
    /// The newest row of all, and of each endpoint; none: it is not known to be beyond `inherited_row`.
    newest_row: Row,
    newest_rows: HashMap<EndpointName, Row>,
    /// The newest one when this process began.
    inherited_row: Row,
    endpoints: HashMap<EndpointName, EndpointState>,
    users_online: u64,
    set_aside: u64,
}

struct Active {
    version: u64,
    state: User,
    wake_at: Option<Instant>,
}

impl Index {
    /// Takes over what was committed for a user. Users who are gone and await nothing are dropped.
    pub(crate) fn put_user(
        &mut self,
        user: &UserId,
        version: u64,
        state: User,
        wake_at: Option<Instant>,
    ) {
        let was_online = self.drop_user(user);
        let is_online = state.is_online();
        self.users_online += u64::from(is_online);
        self.users_online -= u64::from(was_online);
        if is_online || wake_at.is_some() {
            self.wakeups.extend(wake_at.map(|at| (at, user.clone())));
            self.active.insert(user.clone(), Active { version, state, wake_at });
        }
    }

    fn drop_user(&mut self, user: &UserId) -> bool {
        let Some((name, old)) = self.active.remove_entry(user) else { return false };
        if let Some(at) = old.wake_at {
            self.wakeups.remove(&(at, name));
        }
        old.state.is_online()
    }

    pub(crate) fn user(&self, user: &UserId) -> Option<Versioned<User>> {
        let active = self.active.get(user)?;
        Some(Versioned { version: active.version, value: active.state.clone() })
    }

    /// The same, with the deadline.
    pub(crate) fn active(&self, user: &UserId) -> Option<(Versioned<User>, Option<Instant>)> {
        Some((self.user(user)?, self.active.get(user)?.wake_at))
    }

    pub(crate) fn is_active(&self, user: &UserId) -> bool {
        self.active.contains_key(user)
    }

    pub(crate) fn users_online(&self) -> u64 {
        self.users_online
    }

    /// Users who are online, by name.
    pub(crate) fn online_after(&self, after: Option<&UserId>, limit: usize) -> Vec<(UserId, User)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let users = self.active.range::<UserId, _>((from, Unbounded));
        let online = users.filter(|(_, active)| active.state.is_online());
        online.take(limit).map(|(user, active)| (user.clone(), active.state.clone())).collect()
    }

    pub(crate) fn due_wakeups(&self, now: Instant, limit: usize) -> Vec<UserId> {
        let due = self.wakeups.iter().take_while(|(at, _)| *at <= now);
        due.take(limit).map(|(_, user)| user.clone()).collect()
    }

    pub(crate) fn push(&mut self, user: &UserId, row: Row, callback: &NewCallback) {
        let Change { seq, at: queued_at, .. } = callback.change;
        let NewCallback { due_at, asks, .. } = *callback;
        let entry = Entry { row, seq, queued_at, due_at, asks };
        self.newest_row = self.newest_row.max(row);
        self.newest_rows.insert(callback.endpoint.clone(), row);
        self.queue_mut(&callback.endpoint).push(user, entry);
    }

    pub(crate) fn requeue(&mut self, id: &CallbackId, row: Row, queued_at: Timestamp) {
        let (due_at, asks) = (Instant(0), false);
        let entry = Entry { row, seq: id.seq, queued_at, due_at, asks };
        self.queue_mut(&id.endpoint).push_again(&id.user, entry);
    }

    pub(crate) fn claim(&mut self, claim: &Claim) -> Vec<Lease> {
        let granted = self.queue_mut(&claim.endpoint).claim(claim.now, claim.lease, claim.limit);
        let endpoint = &claim.endpoint;
        let lease = |Granted { user, row, seq, number, is_inherited }: Granted| {
            let id = CallbackId { endpoint: endpoint.clone(), user, seq };
            Lease { id, row, number, is_inherited }
        };
        granted.into_iter().map(lease).collect()
    }

    /// The lines that may be collapsed, each as the rows of one user in order.
    pub(crate) fn collapsible(&self, wish: &Collapse) -> Vec<(UserId, Vec<Row>)> {
        let Some(queue) = self.queues.get(&wish.endpoint) else { return Vec::new() };
        let users = queue.collapsible(wish.due, wish.queued_before, wish.users_max);
        let rows = |user: UserId| {
            let rows: Vec<Row> =
                queue.line(&user).map(|entry| entry.row).take(COLLAPSED_MAX).collect();
            (user, rows)
        };
        // What is written in one go keeps everybody else waiting.
        let mut room = COLLAPSED_MAX;
        let fits = |(_, rows): &(UserId, Vec<Row>)| {
            let fits = room > 0;
            room = room.saturating_sub(rows.len());
            fits
        };
        users.into_iter().map(rows).take_while(fits).collect()
    }

    pub(crate) fn next_due(&self, endpoint: &EndpointName) -> Option<Instant> {
        self.queues.get(endpoint)?.next_due()
    }

    pub(crate) fn holds(&self, lease: &Lease) -> bool {
        let queue = self.queues.get(&lease.id.endpoint);
        queue.is_some_and(|queue| queue.holds(&lease.id.user, lease.row, lease.number))
    }

    pub(crate) fn retry(&mut self, lease: &Lease, at: Instant) {
        self.queue_mut(&lease.id.endpoint).retry(&lease.id.user, at);
    }

    pub(crate) fn remove(&mut self, id: &CallbackId, row: Row) {
        self.queue_mut(&id.endpoint).remove(&id.user, row);
    }

    pub(crate) fn supersede(&mut self, id: &CallbackId, row: Row) {
        self.queue_mut(&id.endpoint).supersede(&id.user, row);
    }

    /// Nothing about this user is given out to this endpoint until [`Index::release`]: what is being
    /// written is decided on what is known here now.
    pub(crate) fn hold(&mut self, id: &CallbackId) {
        self.queue_mut(&id.endpoint).hold(&id.user);
    }

    pub(crate) fn release(&mut self, id: &CallbackId) {
        self.queue_mut(&id.endpoint).release(&id.user);
    }

    /// Whether a callback of this user is on its way to this endpoint.
    pub(crate) fn is_busy(&self, id: &CallbackId) -> bool {
        self.queues.get(&id.endpoint).is_some_and(|queue| queue.is_busy(&id.user))
    }

    /// When the oldest callback owed to anybody was queued.
    pub(crate) fn oldest_owed_at(&self) -> Option<Timestamp> {
        self.queues.values().filter_map(Queue::oldest_at).min()
    }

    pub(crate) fn version(&self, user: &UserId) -> Option<u64> {
        self.active.get(user).map(|active| active.version)
    }

    pub(crate) fn owes_row(&self, id: &CallbackId, row: Row) -> bool {
        let queue = self.queues.get(&id.endpoint);
        queue.is_some_and(|queue| queue.line(&id.user).any(|entry| entry.row == row))
    }

    pub(crate) fn is_leased(&self, id: &CallbackId, row: Row) -> bool {
        self.queues.get(&id.endpoint).is_some_and(|queue| queue.is_leased(&id.user, row))
    }

    pub(crate) fn owes(&self, user: &UserId) -> bool {
        self.queues.values().any(|queue| queue.owes(user))
    }

    pub(crate) fn owes_to(&self, endpoint: &EndpointName, user: &UserId) -> bool {
        self.queues.get(endpoint).is_some_and(|queue| queue.owes(user))
    }

    /// Where the callbacks owed about a user are.
    pub(crate) fn rows_owed(&self, user: &UserId) -> Vec<Row> {
        let entries = self.queues.values().flat_map(|queue| queue.line(user));
        entries.map(|entry| entry.row).collect()
    }

    pub(crate) fn row_owed(&self, id: &CallbackId) -> Option<Row> {
        let mut line = self.queues.get(&id.endpoint)?.line(&id.user);
        line.find(|entry| entry.seq == id.seq).map(|entry| entry.row)
    }

    /// Which callback a row of the outbox holds. Looks at all that is owed.
    pub(crate) fn owed_in(&self, row: Row) -> Option<CallbackId> {
        self.queues.iter().find_map(|(endpoint, queue)| {
            let (user, seq) = queue.owed_in(row)?;
            Some(CallbackId { endpoint: endpoint.clone(), user, seq })
        })
    }

    /// No callback of this endpoint up to that row follows the ones before it.
    pub(crate) fn skip_row(&mut self, endpoint: EndpointName, row: Row) {
        self.newest_row = self.newest_row.max(row);
        self.newest_rows.insert(endpoint, row);
    }

    /// Callbacks up to that row were there before.
    pub(crate) fn begin_after(&mut self, row: Row) {
        (self.newest_row, self.inherited_row) = (row, row);
    }

    /// No callback has a higher row: of any endpoint, and of this one.
    pub(crate) fn newest_rows(&self, endpoint: &EndpointName) -> (Row, Row) {
        let of = self.newest_rows.get(endpoint).copied().unwrap_or(self.inherited_row);
        (self.newest_row, of)
    }

    pub(crate) fn marks(&self, endpoint: &EndpointName) -> Option<&Marks> {
        self.marks.get(endpoint).filter(|marks| marks.len() > 0)
    }

    pub(crate) fn marks_mut(&mut self, endpoint: &EndpointName) -> &mut Marks {
        self.marks.entry(endpoint.clone()).or_default()
    }

    /// All of another index.
    pub(crate) fn take_marks_of(&mut self, other: &Index) {
        self.marks.clone_from(&other.marks);
    }

    pub(crate) fn marks_due(
        &self,
        endpoint: &EndpointName,
        now: Timestamp,
        limit: usize,
        at_once_only: bool,
    ) -> Vec<Mark> {
        let is_busy = |user: &UserId| self.owes_to(endpoint, user);
        self.marks(endpoint)
            .map_or_else(Vec::new, |marks| marks.due(now, limit, at_once_only, is_busy))
    }

    /// The same mark as it is now, unless the endpoint is owed something about its user.
    pub(crate) fn mark_to_tell(&self, mark: &Mark) -> Option<Mark> {
        let known = self.marks(&mark.endpoint)?.get(&mark.user, mark.subject);
        known.filter(|_| !self.owes_to(&mark.endpoint, &mark.user)).cloned()
    }

    /// Marks of all endpoints that were made before then.
    pub(crate) fn marks_before(&self, at: Timestamp, limit: usize) -> Vec<Mark> {
        let old = self.marks.values().flat_map(|marks| marks.made_before(at, limit));
        old.take(limit).collect()
    }

    pub(crate) fn is_marked(&self, endpoint: &EndpointName, user: &UserId) -> bool {
        self.marks(endpoint).is_some_and(|marks| marks.has(user))
    }

    /// Whether any App is to be told again how a user is.
    pub(crate) fn is_marked_anywhere(&self, user: &UserId) -> bool {
        self.marks.values().any(|marks| marks.has(user))
    }

    pub(crate) fn count_dead(&mut self, endpoint: &EndpointName, more: i64) {
        let dead = self.dead.entry(endpoint.clone()).or_default();
        *dead = dead.saturating_add_signed(more);
    }

    pub(crate) fn count_set_aside(&mut self, more: i64) {
        self.set_aside = self.set_aside.saturating_add_signed(more);
    }

    /// How many rows could not be read.
    pub(crate) fn set_aside(&self) -> u64 {
        self.set_aside
    }

    pub(crate) fn endpoint(&self, endpoint: &EndpointName) -> EndpointState {
        self.endpoints.get(endpoint).cloned().unwrap_or_default()
    }

    pub(crate) fn endpoint_states(&self) -> &HashMap<EndpointName, EndpointState> {
        &self.endpoints
    }

    /// All that are owed something or were ever noted, by name.
    pub(crate) fn endpoints(&self) -> Vec<EndpointName> {
        let names: BTreeSet<_> = self.queues.keys().chain(self.endpoints.keys()).collect();
        names.into_iter().cloned().collect()
    }

    pub(crate) fn put_endpoint(&mut self, endpoint: EndpointName, state: EndpointState) {
        self.endpoints.insert(endpoint, state);
    }

    /// By how many each endpoint is owed more than so many.
    pub(crate) fn overflow(&self, owed_max: u64) -> Vec<(EndpointName, u64)> {
        let queues = self.queues.iter();
        let over = queues.map(|(name, queue)| (name, queue.owed().saturating_sub(owed_max)));
        over.filter(|(_, over)| *over > 0).map(|(name, over)| (name.clone(), over)).collect()
    }

    pub(crate) fn backlog(&self, endpoint: &EndpointName) -> Backlog {
        let queue = self.queues.get(endpoint);
        Backlog {
            owed: queue.map_or(0, Queue::owed),
            oldest_at: queue.and_then(Queue::oldest_at),
            dead: self.dead.get(endpoint).copied().unwrap_or(0),
            marks: self.marks.get(endpoint).map_or(0, |marks| marks.len() as u64),
        }
    }

    fn queue_mut(&mut self, endpoint: &EndpointName) -> &mut Queue {
        if !self.queues.contains_key(endpoint) {
            self.queues.insert(endpoint.clone(), Queue::default());
        }
        self.queues.get_mut(endpoint).expect("it was made a line above")
    }
}
