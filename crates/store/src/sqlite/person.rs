//! A person: their account, and all that is erased when nothing of them may stay.

use super::{
    facts::Fact,
    prune::Owed,
    rows::json,
    write::{Batch, Done, Outcome},
};
use crate::{Account, CallbackState, Erase, Erased, Erasure, Registered};
use presence::UserId;
use rusqlite::{OptionalExtension, Result, params};

/// How many settled callbacks are erased in one transaction.
const ERASED_MAX: usize = 1_000;

impl Batch<'_> {
    pub(super) fn register(&self, accounts: &[Account]) -> Result<Outcome> {
        let known = "SELECT 1 FROM accounts WHERE name = ?1";
        for account in accounts {
            if self.transaction.prepare_cached(known)?.exists([account.user.as_str()])? {
                let done = Done::Registered(Registered::Already(account.user.clone()));
                return Ok(Outcome::Written { learn: Vec::new(), done });
            }
        }
        for account in accounts {
            let sql = "INSERT INTO accounts(name, account) VALUES (?1, ?2)";
            self.run(sql, params![account.user.as_str(), json(account)])?;
        }
        Ok(Outcome::Written { learn: Vec::new(), done: Done::Registered(Registered::All) })
    }

    /// A part of it: what is owed, then the history, then the rest.
    pub(super) fn erase(&mut self, erase: &Erase) -> Result<Outcome> {
        let user = &erase.user;
        let (mut learn, mut erased) = (Vec::new(), Erased::default());
        let needed = || Done::Erased(Erasure::StillNeeded, false);
        if self.is_in_use(user) {
            return Ok(Outcome::Written { learn, done: needed() });
        }
        if self.is_to_be_told(user) {
            erased.owed = match erase.force {
                true => self.give_up(erase, &mut learn)?,
                false => 0,
            };
            let goes_on = !learn.is_empty();
            let done = if goes_on { Done::Erased(Erasure::Done(erased), true) } else { needed() };
            return Ok(Outcome::Written { learn, done });
        }
        let sql = "SELECT id, endpoint, state FROM history WHERE user = ?1 LIMIT ?2";
        for settled in self.history(sql, params![user.as_str(), ERASED_MAX])? {
            self.forget_settled(settled, &mut learn)?;
            erased.callbacks += 1;
        }
        let has_more = erased.callbacks == ERASED_MAX as u64;
        if !has_more {
            erased.state = self.erase_state(user)?;
            erased.account = self.delete("DELETE FROM accounts WHERE name = ?1", user)? > 0;
            let unreadable = "DELETE FROM set_aside WHERE (from_table = 'accounts' AND key = ?1)
                 OR json_extract(content, '$.user') = ?1 OR json_extract(content, '$.name') = ?1";
            let unread = self.delete(unreadable, user)?;
            erased.set_aside = unread as u64;
            learn.push(Fact::SetAside { more: -(unread as i64) });
        }
        let done = Done::Erased(Erasure::Done(erased), has_more);
        Ok(Outcome::Written { learn, done })
    }

    /// Whether they are online, await a deadline, or are written about at this moment.
    fn is_in_use(&self, user: &UserId) -> bool {
        let is_held = self.held.iter().any(|id| id.user == *user);
        is_held || self.versions.contains_key(user) || self.index.lock().is_active(user)
    }

    fn is_to_be_told(&self, user: &UserId) -> bool {
        let index = self.index.lock();
        index.owes(user) || index.is_marked_anywhere(user)
    }

    /// Some of what Apps are still to be told about them is not told any more. Nothing while one of these
    /// callbacks is in flight.
    fn give_up(&mut self, erase: &Erase, learn: &mut Vec<Fact>) -> Result<u64> {
        let user = &erase.user;
        let owed = self.owed("user = ?1 LIMIT ?2", params![user.as_str(), ERASED_MAX], learn)?;
        if !owed.iter().all(|owed| self.hold_if(&owed.id, |index| !index.is_busy(&owed.id))) {
            return Ok(0);
        }
        let given_up = owed.len() as u64;
        for Owed { row, id, .. } in owed {
            self.file(row, CallbackState::Expired, None, erase.at, learn)?;
            learn.extend(self.note_endpoint(id.endpoint.clone(), erase.resync())?);
            learn.push(Fact::Gone { id, row });
        }
        let endpoints = self.index.lock().endpoints();
        for endpoint in endpoints {
            for mark in self.marks_of(&endpoint, user)? {
                learn.extend(self.note_endpoint(endpoint.clone(), erase.resync())?);
                self.unmark((&endpoint, user, mark.subject), mark.seq, learn)?;
            }
        }
        Ok(given_up)
    }

    fn erase_state(&mut self, user: &UserId) -> Result<bool> {
        let sql = "SELECT last_seq FROM users WHERE name = ?1";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let last = statement.query_row([user.as_str()], |row| row.get::<_, i64>(0)).optional()?;
        drop(statement);
        let Some(last) = last else { return Ok(false) };
        self.numbers.seq_floor = self.numbers.seq_floor.max(u64::try_from(last).unwrap_or(0));
        Ok(self.delete("DELETE FROM users WHERE name = ?1", user)? > 0)
    }

    fn delete(&self, sql: &str, user: &UserId) -> Result<usize> {
        self.transaction.prepare_cached(sql)?.execute([user.as_str()])
    }
}
