//! What the writer writes.

use super::{
    SharedIndex,
    facts::Fact,
    faults::{is_about_content, is_about_one_write},
    rows::{Key, ROW_BYTES_MAX, Table, Unreadable, json},
};
use crate::{
    ATTEMPTS_KEPT, Account, Anew, AttemptRecord, CallbackId, CallbackState, Commit, EndpointChange,
    EndpointName, EndpointState, Erase, Erasure, Fate, Mark, NewCallback, Prune, Pruned,
    Registered, Replay, Replayed, Settlement, StoreError, callback::SEQ_MAX, index::Index,
    queue::Row,
};
use presence::{Ages, Change, Instant, Timestamp, User, UserId};
use rusqlite::{OptionalExtension, Result, Transaction, params};
use std::collections::{HashMap, HashSet};

/// One wish of a caller.
pub(super) enum Write {
    Commit(Box<Commit>),
    Settle(Box<Settlement>),
    Replay(Replay),
    Collapse(Vec<Superseded>, Timestamp),
    Anew(Anew),
    Purge(Vec<Row>),
    Register(Vec<Account>),
    Erase(Erase),
    ChangeEndpoint(EndpointName, EndpointChange),
    Epoch(String),
    HighestSeq,
    Ages(Box<Ages>),
    Prune(Prune),
    SetAside(Unreadable),
    Probe,
}

impl Write {
    /// What it writes, and whose.
    fn subject(&self) -> (&'static str, String) {
        match self {
            Write::Commit(commit) => ("presence", commit.user.to_string()),
            Write::Settle(settlement) => ("callback", settlement.lease.id.to_string()),
            Write::Replay(replay) => {
                ("callbacks", replay.ids.first().map_or_else(String::new, CallbackId::to_string))
            }
            Write::Collapse(all, _) => {
                ("callbacks", all.first().map_or_else(String::new, |one| one.id.to_string()))
            }
            Write::Purge(_) | Write::Prune(_) => ("history", "everybody".into()),
            Write::Register(_) => ("accounts", "those to be registered".into()),
            Write::Erase(erase) => ("person", erase.user.to_string()),
            Write::Anew(Anew { endpoint, .. }) | Write::ChangeEndpoint(endpoint, _) => {
                ("endpoint", endpoint.to_string())
            }
            Write::Epoch(_) => ("epoch", "this store".into()),
            Write::SetAside(row) => (row.table.name(), row.key.to_string()),
            Write::Ages(_) => ("ages", "this store".into()),
            Write::HighestSeq => ("number", "the highest seq".into()),
            Write::Probe => ("number", "the probe".into()),
        }
    }
}

/// What a caller is told.
pub(super) enum Done {
    Written,
    Replayed(Replayed),
    Collapsed(u64),
    Purged(u64),
    Registered(Registered),
    /// And whether there is more to erase.
    Erased(Erasure, bool),
    Pruned(Pruned),
    Epoch(String),
    HighestSeq(u64),
}

impl Done {
    /// For a caller who asked something else.
    pub(super) fn mismatched<T>(self) -> Result<T, StoreError> {
        let why = "the writer answered another question, which is a fault in Herald";
        Err(StoreError::Unavailable(why.into()))
    }
}

/// How a write went, the disk being well.
pub(super) enum Outcome {
    /// It was not to be written; nothing was.
    Refused(StoreError),
    /// It is in the transaction; the facts hold once that is on disk.
    Written { learn: Vec<Fact>, done: Done },
}

/// Numbers that belong to the file as a whole.
#[derive(Clone, Copy, Default)]
pub(super) struct Numbers {
    pub(super) last_row: Row,
    /// The newest row that was ever deleted.
    pub(super) forgotten_row: Row,
    pub(super) history_bytes: i64,
    pub(super) seq_floor: u64,
    /// The highest that any user ever had.
    pub(super) highest_seq: u64,
}

impl Numbers {
    /// A row is gone. One of an impossible number counts as the newest there is.
    pub(super) fn forget_up_to(&mut self, row: Row) {
        self.forgotten_row = self.forgotten_row.max(row.min(self.last_row));
    }

    /// A row of the history is gone.
    pub(super) fn free(&mut self, bytes: u64) {
        self.history_bytes = (self.history_bytes - bytes.min(ROW_BYTES_MAX) as i64).max(0);
    }
}

/// A callback that another one speaks for.
pub(super) struct Superseded {
    pub(super) id: CallbackId,
    pub(super) row: Row,
    pub(super) change: Change,
    /// What it spoke for itself.
    pub(super) before: Vec<u64>,
    pub(super) by: Row,
    /// What that one spoke for already; given with the first that it takes over.
    pub(super) by_before: Vec<u64>,
}

/// One transaction being put together.
pub(super) struct Batch<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    pub(super) index: &'a SharedIndex,
    pub(super) numbers: &'a mut Numbers,
    /// Versions written in this batch, which the index does not know yet.
    pub(super) versions: HashMap<UserId, u64>,
    /// Rows settled in this batch.
    pub(super) settled: HashSet<Row>,
    /// About whom nothing is given out until the index knows what this batch writes.
    pub(super) held: &'a mut Vec<CallbackId>,
    /// Endpoints written in this batch.
    endpoints: HashMap<EndpointName, EndpointState>,
    /// The newest row of each endpoint that one write deletes.
    forgotten: HashMap<EndpointName, Row>,
    /// A mark was written in this batch, which the index does not know yet.
    pub(super) has_marked: bool,
    /// A write was taken back: what is noted above may be of that write.
    is_spent: bool,
}

impl<'a> Batch<'a> {
    pub(super) fn begin(
        transaction: &'a Transaction<'a>,
        index: &'a SharedIndex,
        numbers: &'a mut Numbers,
        held: &'a mut Vec<CallbackId>,
    ) -> Batch<'a> {
        let (versions, settled, endpoints, forgotten) = Default::default();
        let (has_marked, is_spent) = (false, false);
        Batch {
            transaction,
            index,
            numbers,
            versions,
            settled,
            held,
            endpoints,
            forgotten,
            has_marked,
            is_spent,
        }
    }

    /// Whether what the index says about a user is so, and stays so until it knows what is written here.
    /// The only way to ask it about what is owed.
    pub(super) fn hold_if(&mut self, id: &CallbackId, is_so: impl FnOnce(&Index) -> bool) -> bool {
        let mut index = self.index.lock();
        let is_so = is_so(&index);
        if is_so {
            index.hold(id);
            self.held.push(id.clone());
        }
        is_so
    }

    /// Whether nothing more may be written in it.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// All of a write, or nothing of it. An error is one of the disk, and fails the batch: what a
    /// single write meets in its rows fails that write.
    pub(super) fn write(&mut self, write: Write) -> Result<Outcome> {
        let (what, of) = write.subject();
        let before = *self.numbers;
        self.run("SAVEPOINT one_write", [])?;
        self.forgotten.clear();
        let outcome = match self.put(write).and_then(|outcome| self.note_forgotten(outcome)) {
            Err(error) if is_about_one_write(&error) => {
                self.run("ROLLBACK TO one_write", [])?;
                // A number of a row that was in the way must not be tried again.
                *self.numbers = Numbers { last_row: self.numbers.last_row, ..before };
                self.is_spent = true;
                Outcome::Refused(StoreError::Corrupt { what, of, why: error.to_string() })
            }
            done => done?,
        };
        self.run("RELEASE one_write", [])?;
        Ok(outcome)
    }

    /// A callback of an endpoint is not kept any more.
    pub(super) fn forgot(&mut self, endpoint: &EndpointName, row: Row) {
        let newest = self.forgotten.entry(endpoint.clone()).or_default();
        *newest = (*newest).max(row.min(self.numbers.last_row));
    }

    /// Once for each endpoint, however many rows they were.
    fn note_forgotten(&mut self, mut outcome: Outcome) -> Result<Outcome> {
        if let Outcome::Written { learn, .. } = &mut outcome {
            for (endpoint, row) in std::mem::take(&mut self.forgotten) {
                learn.extend(self.note_endpoint(endpoint, EndpointChange::Forgot(row))?);
            }
        }
        Ok(outcome)
    }

    fn put(&mut self, write: Write) -> Result<Outcome> {
        match write {
            Write::Commit(commit) => self.commit(*commit),
            Write::Settle(settlement) => self.settle(&settlement),
            Write::Replay(replay) => self.replay(&replay),
            Write::Collapse(all, at) => self.collapse(all, at),
            Write::Anew(anew) => self.begin_anew(anew),
            Write::Purge(rows) => self.purge(rows),
            Write::Register(accounts) => self.register(&accounts),
            Write::Erase(erase) => self.erase(&erase),
            Write::ChangeEndpoint(endpoint, change) => self.change_endpoint(endpoint, change),
            Write::Epoch(fresh) => self.epoch(&fresh),
            Write::Prune(prune) => self.prune(&prune),
            Write::SetAside(row) => self.set_aside_found(&row),
            Write::Ages(ages) => {
                let sql = "INSERT INTO texts VALUES ('ages', ?1)
                           ON CONFLICT(name) DO UPDATE SET value = excluded.value";
                self.run(sql, [json(&ages)])?;
                Ok(Outcome::Written { learn: Vec::new(), done: Done::Written })
            }
            Write::HighestSeq => {
                let done = Done::HighestSeq(self.numbers.highest_seq);
                Ok(Outcome::Written { learn: Vec::new(), done })
            }
            Write::Probe => {
                let sql = "INSERT INTO numbers VALUES ('probe', 1)
                           ON CONFLICT(name) DO UPDATE SET value = value % 1000000 + 1";
                self.run(sql, [])?;
                Ok(Outcome::Written { learn: Vec::new(), done: Done::Written })
            }
        }
    }

    pub(super) fn end(self) -> Result<()> {
        let Numbers { last_row, forgotten_row, history_bytes, seq_floor, highest_seq } =
            *self.numbers;
        let numbers = [
            ("last_row", last_row as i64),
            ("forgotten_row", forgotten_row as i64),
            ("history_bytes", history_bytes),
            ("seq_floor", seq_floor as i64),
            ("highest_seq", highest_seq as i64),
        ];
        for (name, value) in numbers {
            let sql = "INSERT INTO numbers VALUES (?1, ?2)
                       ON CONFLICT(name) DO UPDATE SET value = excluded.value";
            self.run(sql, params![name, value])?;
        }
        Ok(())
    }

    fn commit(&mut self, commit: Commit) -> Result<Outcome> {
        if self.version(&commit.user)? != commit.based_on {
            return Ok(Outcome::Refused(StoreError::Conflict));
        }
        if !fits(&commit) {
            let why = "a number is beyond what the file can hold".into();
            let of = commit.user.to_string();
            return Ok(Outcome::Refused(StoreError::Corrupt { what: "presence", of, why }));
        }
        // An App was told something newer, or a person was erased: nothing may be told for it any more.
        let answered = match &commit.answers {
            Some(mark) => match self.marked(mark)? {
                None => return Ok(Outcome::Refused(StoreError::Conflict)),
                known => known,
            },
            None => None,
        };
        let mut learn = Vec::new();
        if let Some(settlement) = &commit.settles {
            match self.settle(settlement)? {
                Outcome::Written { learn: facts, .. } => learn.extend(facts),
                refused => return Ok(refused),
            }
        }
        let version = commit.based_on + 1;
        self.numbers.highest_seq = self.numbers.highest_seq.max(commit.state.last_seq());
        self.put_user(&commit.user, version, &commit.state, commit.wake_at, commit.at)?;
        self.versions.insert(commit.user.clone(), version);
        match (commit.answers, answered) {
            // Nothing can be told.
            (Some(mark), _) if commit.callbacks.is_empty() => {
                self.unmark((&mark.endpoint, &mark.user, mark.subject), mark.seq, &mut learn)?;
            }
            (_, Some(known)) => self.put_mark(known.told(commit.at), &mut learn)?,
            (_, None) => {}
        }
        for callback in commit.callbacks {
            let row = self.queue(&commit.user, &callback)?;
            learn.push(Fact::Queued { user: commit.user.clone(), row, callback });
        }
        let Commit { user, state, wake_at, .. } = commit;
        learn.push(Fact::User { user, version, state, wake_at });
        Ok(Outcome::Written { learn, done: Done::Written })
    }

    fn version(&self, user: &UserId) -> Result<u64> {
        if let Some(version) = self.versions.get(user) {
            return Ok(*version);
        }
        if let Some(version) = self.index.lock().version(user) {
            return Ok(version);
        }
        let sql = "SELECT version FROM users WHERE name = ?1";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let version =
            statement.query_row([user.as_str()], |row| row.get::<_, i64>(0)).optional()?;
        // One that cannot be is a conflict: loading it again sets the row aside.
        Ok(version.map_or(0, |version| u64::try_from(version).unwrap_or(u64::MAX)))
    }

    pub(super) fn put_user(
        &self,
        user: &UserId,
        version: u64,
        state: &User,
        wake_at: Option<Instant>,
        at: Timestamp,
    ) -> Result<()> {
        let active = state.is_online() || wake_at.is_some();
        let sql = "INSERT INTO users(name, version, state, last_seq, wake_at, active, touched_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                   ON CONFLICT(name) DO UPDATE SET version = excluded.version,
                     state = excluded.state, last_seq = excluded.last_seq,
                     wake_at = excluded.wake_at, active = excluded.active,
                     touched_at = excluded.touched_at";
        let (json, wake_at) = (json(state), wake_at.map(|at| at.0));
        self.run(
            sql,
            params![user.as_str(), version, json, state.last_seq(), wake_at, active, at.0],
        )
    }

    fn queue(&mut self, user: &UserId, callback: &NewCallback) -> Result<Row> {
        self.numbers.last_row += 1;
        let row = self.numbers.last_row;
        let NewCallback { endpoint, change, operation_id, speaks_for, .. } = callback;
        let sql = "INSERT INTO outbox(id, endpoint, user, seq, operation_id, change, queued_at,
                     spoken_for)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        self.run(
            sql,
            params![
                row,
                endpoint.as_str(),
                user.as_str(),
                change.seq,
                operation_id,
                json(change),
                change.at.0,
                json(speaks_for)
            ],
        )?;
        Ok(row)
    }

    fn settle(&mut self, settlement: &Settlement) -> Result<Outcome> {
        let Settlement { lease, change, subject, attempt, fate, at } = settlement;
        let holds = |index: &Index| index.holds(lease);
        if self.settled.contains(&lease.row) || !self.hold_if(&lease.id, holds) {
            return Ok(Outcome::Refused(StoreError::LeaseLost));
        }
        self.settled.insert(lease.row);
        let mut learn = Vec::new();
        let CallbackId { endpoint, user, .. } = &lease.id;
        let of = (endpoint, user, *subject);
        let mark = || {
            let of = (endpoint.clone(), user.clone(), *subject);
            Some(Mark::given_up(of, change.clone(), *at))
                .filter(|_| change.kind.is_about_a_subject())
        };
        let (state, mark) = match fate {
            Fate::Delivered => {
                self.accepted(of, change, &mut learn)?;
                (CallbackState::Delivered, None)
            }
            Fate::Dead => (CallbackState::Dead, mark()),
            Fate::Unwanted { retell } => {
                (CallbackState::Superseded, mark().filter(|_| *retell).map(Mark::at_once))
            }
            Fate::Dropped => (CallbackState::Superseded, None),
            Fate::RetryAt { at, counts } => {
                if self.keep_attempt(lease.row, attempt.as_ref(), *counts, &mut learn)? {
                    learn.push(Fact::Retried { lease: lease.clone(), at: *at });
                }
                return Ok(Outcome::Written { learn, done: Done::Written });
            }
        };
        let is_filed = self.file(lease.row, state, attempt.as_ref(), *at, &mut learn)?;
        if *fate == Fate::Dead && is_filed {
            learn.push(Fact::Dead { endpoint: endpoint.clone(), more: 1 });
        }
        if let Some(mark) = mark {
            self.mark(mark, &mut learn)?;
        }
        learn.push(Fact::Gone { id: lease.id.clone(), row: lease.row });
        Ok(Outcome::Written { learn, done: Done::Written })
    }

    /// False if the row had to be set aside.
    fn keep_attempt(
        &mut self,
        row: Row,
        attempt: Option<&AttemptRecord>,
        counts: bool,
        learn: &mut Vec<Fact>,
    ) -> Result<bool> {
        let Some(attempt) = attempt else { return Ok(true) };
        let sql = "UPDATE outbox SET tries = tries + ?2, attempts = json_insert(
                     CASE WHEN json_array_length(attempts) < ?4 THEN attempts
                          ELSE json_remove(attempts, '$[1]') END, '$[#]', json(?3))
                   WHERE id = ?1";
        let kept = self.run(sql, params![row, counts, json(attempt), ATTEMPTS_KEPT]);
        self.unless_unreadable(row, kept, learn)
    }

    /// Our statements are right, so one that fails on this row alone fails by what it holds.
    fn unless_unreadable(
        &mut self,
        row: Row,
        done: Result<()>,
        learn: &mut Vec<Fact>,
    ) -> Result<bool> {
        let Err(error) = done else { return Ok(true) };
        if !is_about_content(&error) {
            return Err(error);
        }
        let key = Key::Id(row as i64);
        let row = Unreadable { table: Table::Outbox, key, why: error.to_string() };
        if self.set_aside(&row, learn)? {
            return Ok(false);
        }
        Err(rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
    }

    /// Moves a row from the outbox to the history. False if it had to be set aside.
    pub(super) fn file(
        &mut self,
        row: Row,
        state: CallbackState,
        attempt: Option<&AttemptRecord>,
        at: Timestamp,
        learn: &mut Vec<Fact>,
    ) -> Result<bool> {
        let filed = self.move_to_history(row, state, attempt, at);
        self.unless_unreadable(row, filed, learn)
    }

    fn move_to_history(
        &mut self,
        row: Row,
        state: CallbackState,
        attempt: Option<&AttemptRecord>,
        at: Timestamp,
    ) -> Result<()> {
        let attempt = attempt.map(json);
        let sql = "INSERT INTO history
                   SELECT id, endpoint, user, seq, operation_id, change, ?2, tries + (?2 = 'dead'),
                     iif(?3 IS NULL, attempts, json_insert(attempts, '$[#]', json(?3))), replayed,
                     ?4, 100 + length(user) + length(operation_id) + length(change)
                       + length(attempts) + ifnull(length(?3), 0), collapsed
                   FROM outbox WHERE id = ?1 RETURNING bytes";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let values = params![row, state.name(), attempt, at.0];
        let bytes: Option<i64> = statement.query_row(values, |row| row.get(0)).optional()?;
        self.numbers.history_bytes += bytes.unwrap_or(0);
        self.run("DELETE FROM outbox WHERE id = ?1", [row])
    }

    pub(super) fn forget(&mut self, row: i64) -> Result<()> {
        let sql = "DELETE FROM history WHERE id = ?1 RETURNING bytes";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let bytes: Option<i64> = statement.query_row([row], |row| row.get(0)).optional()?;
        self.numbers.free(bytes.unwrap_or(0).max(0).unsigned_abs());
        Ok(())
    }

    fn change_endpoint(
        &mut self,
        endpoint: EndpointName,
        change: EndpointChange,
    ) -> Result<Outcome> {
        let learn = self.note_endpoint(endpoint, change)?.into_iter().collect();
        Ok(Outcome::Written { learn, done: Done::Written })
    }

    pub(super) fn stands(&self, endpoint: &EndpointName) -> EndpointState {
        let written = self.endpoints.get(endpoint).cloned();
        written.unwrap_or_else(|| self.index.lock().endpoint(endpoint))
    }

    /// Nothing is written where nothing changes.
    pub(super) fn note_endpoint(
        &mut self,
        endpoint: EndpointName,
        change: EndpointChange,
    ) -> Result<Option<Fact>> {
        let before = self.stands(&endpoint);
        let mut state = before.clone();
        state.apply(change, self.numbers.highest_seq);
        if state == before {
            return Ok(None);
        }
        let sql = "INSERT INTO endpoints(name, state) VALUES (?1, ?2)
                   ON CONFLICT(name) DO UPDATE SET state = excluded.state";
        self.run(sql, params![endpoint.as_str(), json(&state)])?;
        self.endpoints.insert(endpoint.clone(), state.clone());
        Ok(Some(Fact::Endpoint { endpoint, state }))
    }

    fn epoch(&self, fresh: &str) -> Result<Outcome> {
        self.run("INSERT OR IGNORE INTO texts VALUES ('epoch', ?1)", [fresh])?;
        let sql = "SELECT value FROM texts WHERE name = 'epoch'";
        let epoch = self.transaction.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(Outcome::Written { learn: Vec::new(), done: Done::Epoch(epoch) })
    }

    pub(super) fn run(&self, sql: &str, values: impl rusqlite::Params) -> Result<()> {
        self.transaction.prepare_cached(sql)?.execute(values).map(|_| ())
    }
}

/// Whether the file and the contract can hold its numbers.
fn fits(commit: &Commit) -> bool {
    let wake_at = commit.wake_at.map_or(0, |at| at.0);
    let (seqs, times): (Vec<u64>, Vec<u64>) =
        commit.callbacks.iter().map(|c| (c.change.seq, c.change.at.0)).unzip();
    let counters = [commit.based_on.saturating_add(1), commit.state.last_seq()];
    counters.into_iter().chain(seqs).all(|counter| counter <= SEQ_MAX)
        && [commit.at.0, wake_at].into_iter().chain(times).all(|at| i64::try_from(at).is_ok())
}
