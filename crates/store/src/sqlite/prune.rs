//! What is too old or too much goes, a bounded amount at a time.

use super::{
    facts::Fact,
    rows::{self, Table},
    write::{Batch, Done, Outcome},
};
use crate::{
    CallbackId, CallbackState, EndpointName, Mark, Prune, Pruned, query::scope_of, queue::Row,
};
use presence::{Change, Subject, UserId};
use rusqlite::{Params, Result, params};

/// A row of the outbox.
pub(super) struct Owed {
    pub(super) row: Row,
    pub(super) id: CallbackId,
    change: Change,
}

impl Batch<'_> {
    pub(super) fn prune(&mut self, prune: &Prune) -> Result<Outcome> {
        let mut learn = Vec::new();
        let expired = self.expire(prune, &mut learn)?;
        let callbacks = self.forget_history(prune, &mut learn)?;
        let users = self.forget_users(prune, &mut learn)?;
        self.forget_marks(prune, &mut learn)?;
        self.ask_again(prune.now, &mut learn)?;
        let done = Done::Pruned(Pruned { callbacks, expired, users });
        Ok(Outcome::Written { learn, done })
    }

    /// What is owed for too long, and of too much the oldest.
    fn expire(&mut self, prune: &Prune, learn: &mut Vec<Fact>) -> Result<u64> {
        let mut old = Vec::new();
        let oldest = self.index.lock().oldest_owed_at();
        if oldest.is_some_and(|at| at < prune.owed_before) {
            let condition = "queued_at < ?1 LIMIT ?2";
            old = self.owed(condition, params![prune.owed_before.0, prune.limit], learn)?;
        }
        let overflow = self.index.lock().overflow(prune.owed_max);
        for (endpoint, surplus) in overflow {
            let most = surplus.min(prune.limit as u64);
            let condition = "endpoint = ?1 ORDER BY id LIMIT ?2";
            old.extend(self.owed(condition, params![endpoint.as_str(), most], learn)?);
        }
        let mut expired = 0;
        for Owed { row, id, change } in old {
            // What waits behind one in flight must not go before it.
            if self.settled.contains(&row) || !self.hold_if(&id, |index| !index.is_busy(&id)) {
                continue;
            }
            self.settled.insert(row);
            if self.file(row, CallbackState::Expired, None, prune.now, learn)? {
                if change.kind.is_about_a_subject() {
                    let subject = Subject::of(&change, scope_of(&prune.scopes, &id.endpoint));
                    let of = (id.endpoint.clone(), id.user.clone(), subject);
                    self.mark(Mark::given_up(of, change, prune.now), learn)?;
                }
                learn.push(Fact::Gone { id, row });
                expired += 1;
            }
        }
        Ok(expired)
    }

    pub(super) fn owed(
        &mut self,
        condition: &str,
        values: impl Params,
        learn: &mut Vec<Fact>,
    ) -> Result<Vec<Owed>> {
        let sql = format!("SELECT id, endpoint, user, seq, change FROM outbox WHERE {condition}");
        let owed = rows::columns(self.transaction, Table::Outbox, &sql, values, |row| {
            let endpoint = EndpointName::new(row.get::<_, String>(1)?);
            let user = UserId::new(row.get::<_, String>(2)?);
            let seq = rows::counter(row, 3)?;
            let id = CallbackId { endpoint, user, seq };
            Ok(Owed { row: rows::counter(row, 0)?, id, change: rows::parse(row, 4, "change")? })
        })?;
        self.set_aside_all(owed.unreadable, learn)?;
        Ok(owed.read)
    }

    fn forget_history(&mut self, prune: &Prune, learn: &mut Vec<Fact>) -> Result<u64> {
        let old = "SELECT id, endpoint, state FROM history
                   WHERE settled_at < ?1 AND settled_at < iif(state = 'delivered', ?1, ?2)
                   ORDER BY settled_at LIMIT ?3";
        let before = params![prune.history_before.0, prune.failed_before.0, prune.limit];
        let mut forgotten = 0;
        for settled in self.history(old, before)? {
            self.forget_settled(settled, learn)?;
            forgotten += 1;
        }
        let oldest = "SELECT id, endpoint, state FROM history ORDER BY settled_at LIMIT ?1";
        let most = i64::try_from(prune.history_bytes_max).unwrap_or(i64::MAX);
        if self.numbers.history_bytes > most {
            for settled in self.history(oldest, params![prune.limit as u64 - forgotten])? {
                if self.numbers.history_bytes <= most {
                    break;
                }
                self.forget_settled(settled, learn)?;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    /// What is to be deleted need not be readable.
    pub(super) fn history(
        &self,
        sql: &str,
        values: impl Params,
    ) -> Result<Vec<(i64, String, String)>> {
        let mut statement = self.transaction.prepare_cached(sql)?;
        let rows = statement.query_map(values, |row| {
            Ok((row.get(0)?, rows::lossy(row, 1)?, rows::lossy(row, 2)?))
        })?;
        rows.collect()
    }

    pub(super) fn forget_settled(
        &mut self,
        (row, endpoint, state): (i64, String, String),
        learn: &mut Vec<Fact>,
    ) -> Result<()> {
        let endpoint = EndpointName::new(endpoint);
        if state == CallbackState::Dead.name() {
            learn.push(Fact::Dead { endpoint: endpoint.clone(), more: -1 });
        }
        self.forgot(&endpoint, Row::try_from(row).unwrap_or(0));
        self.forget(row)
    }

    /// What the App is not told again any more: only who is online says it.
    fn forget_marks(&mut self, prune: &Prune, learn: &mut Vec<Fact>) -> Result<()> {
        let old = self.index.lock().marks_before(prune.owed_before, prune.limit);
        for mark in old {
            learn.extend(self.note_endpoint(mark.endpoint.clone(), prune.resync())?);
            self.unmark((&mark.endpoint, &mark.user, mark.subject), mark.seq, learn)?;
        }
        Ok(())
    }

    fn forget_users(&mut self, prune: &Prune, learn: &mut Vec<Fact>) -> Result<u64> {
        let sql = "SELECT id, name, last_seq FROM users WHERE active = 0 AND touched_at < ?1
                   ORDER BY touched_at LIMIT ?2";
        let values = params![prune.users_before.0, prune.limit];
        let old = rows::columns(self.transaction, Table::Users, sql, values, |row| {
            let user = UserId::new(row.get::<_, String>(1)?);
            Ok((row.get(0)?, user, rows::counter(row, 2)?))
        })?;
        self.set_aside_all(old.unreadable, learn)?;
        let mut forgotten = 0;
        for (id, user, last_seq) in old.read {
            let (id, last_seq): (i64, u64) = (id, last_seq);
            let is_held = self.held.iter().any(|id| id.user == user);
            if is_held || self.versions.contains_key(&user) || self.index.lock().owes(&user) {
                continue;
            }
            self.run("DELETE FROM users WHERE id = ?1", [id])?;
            self.numbers.seq_floor = self.numbers.seq_floor.max(last_seq);
            forgotten += 1;
        }
        Ok(forgotten)
    }
}
