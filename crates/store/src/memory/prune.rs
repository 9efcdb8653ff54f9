//! What is too old, too much, or of a person who wants to be forgotten.

use super::{State, Stored};
use crate::{
    CallbackId, CallbackState, EndpointChange, Erase, Mark, Prune, query::scope_of, queue::Row,
};
use presence::{Subject, UserId};
use std::collections::HashMap;

impl State {
    pub(super) fn forget_marks(&mut self, prune: &Prune) {
        for mark in self.index.marks_before(prune.owed_before, prune.limit) {
            self.change_endpoint(&mark.endpoint, prune.resync());
            self.take_back(&mark);
        }
        for endpoint in self.index.endpoints() {
            self.change_endpoint(&endpoint, EndpointChange::MayAsk(prune.now));
        }
    }

    pub(super) fn expire(&mut self, prune: &Prune) -> u64 {
        let owed = self.callbacks.values_mut();
        let mut over: HashMap<_, _> = self.index.overflow(prune.owed_max).into_iter().collect();
        let old = owed.filter(|Stored { record, queued_at, .. }| {
            let pending = record.state == CallbackState::Pending;
            // What waits behind one in flight must not go before it.
            if !pending || self.index.is_busy(&record.id) {
                return false;
            }
            let surplus = over.get_mut(&record.id.endpoint).filter(|over| **over > 0);
            let too_many = surplus.map(|over| *over -= 1).is_some();
            too_many || *queued_at < prune.owed_before
        });
        let mut gone = Vec::new();
        for Stored { record, settled_at, .. } in old.take(prune.limit) {
            record.state = CallbackState::Expired;
            *settled_at = prune.now;
            gone.push((record.id.clone(), record.row, record.change.clone()));
        }
        for (id, row, change) in &gone {
            self.index.remove(id, *row);
            if change.kind.is_about_a_subject() {
                let subject = Subject::of(change, scope_of(&prune.scopes, &id.endpoint));
                let of = (id.endpoint.clone(), id.user.clone(), subject);
                self.mark(Mark::given_up(of, change.clone(), prune.now));
            }
        }
        gone.len() as u64
    }

    pub(super) fn forget_history(&mut self, prune: &Prune) -> u64 {
        let settled = |stored: &Stored| stored.record.state != CallbackState::Pending;
        let mut bytes: u64 = self.callbacks.values().filter(|s| settled(s)).map(size).sum();
        let mut oldest: Vec<&Stored> = self.callbacks.values().filter(|s| settled(s)).collect();
        oldest.sort_by_key(|stored| stored.settled_at);
        let mut gone = Vec::new();
        for stored in oldest {
            let old = stored.settled_at < prune.settled_before(stored.record.state);
            if gone.len() < prune.limit && (old || bytes > prune.history_bytes_max) {
                bytes -= size(stored);
                gone.push(stored.record.row);
            }
        }
        self.forget_rows(&gone)
    }

    pub(super) fn forget_rows(&mut self, rows: &[Row]) -> u64 {
        for row in rows {
            let Some(Stored { record, .. }) = self.callbacks.remove(row) else { continue };
            let endpoint = &record.id.endpoint;
            self.change_endpoint(endpoint, EndpointChange::Forgot(*row));
            self.index.count_dead(endpoint, -i64::from(record.state == CallbackState::Dead));
        }
        rows.len() as u64
    }

    pub(super) fn forget_users(&mut self, prune: &Prune) -> u64 {
        let index = &self.index;
        let old = self.users.iter().filter(|(user, stored)| {
            stored.touched_at < prune.users_before && !index.is_active(user) && !index.owes(user)
        });
        let old: Vec<_> = old.take(prune.limit).map(|(user, _)| user.clone()).collect();
        old.iter().filter(|user| self.forget_user(user)).count() as u64
    }

    /// What Apps are still to be told about somebody is not told any more, if that is wished; false if it is
    /// still to be told.
    pub(super) fn give_up(&mut self, erase: &Erase) -> bool {
        let Erase { user, force, .. } = erase;
        let rows = self.index.rows_owed(user);
        let owed = rows.iter().filter_map(|row| Some(self.callbacks.get(row)?.record.id.clone()));
        let owed: Vec<(CallbackId, Row)> = owed.zip(rows.iter().copied()).collect();
        let marked = self.index.is_marked_anywhere(user);
        if owed.iter().any(|(id, _)| self.index.is_busy(id))
            || (!force && (marked || !owed.is_empty()))
        {
            return false;
        }
        for (id, row) in owed {
            self.index.remove(&id, row);
            self.change_endpoint(&id.endpoint, erase.resync());
        }
        for endpoint in self.index.endpoints() {
            let subjects = self.index.marks_mut(&endpoint).answered(user, Subject::User, u64::MAX);
            if !subjects.is_empty() {
                self.change_endpoint(&endpoint, erase.resync());
                self.unmark(&endpoint, user, &subjects);
            }
        }
        true
    }

    /// Whether they were known.
    pub(super) fn forget_user(&mut self, user: &UserId) -> bool {
        let Some(gone) = self.users.remove(user) else { return false };
        self.seq_floor = self.seq_floor.max(gone.state.last_seq());
        true
    }
}

/// About what a settled callback takes up.
fn size(stored: &Stored) -> u64 {
    let answers = stored.record.attempts.iter().filter_map(|attempt| attempt.answer.as_ref());
    400 + answers.map(|answer| answer.len() as u64).sum::<u64>()
}
